"""The platform's secrets: the SSM parameters and the database's master password. No value is ever printed."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.cloud import Cloud
from ops.console import say
from ops.env_file import KEYS
from ops.errors import OperatorError
from ops.terraform.state import outputs

UNSET = "unset"
"""What an operator's parameter holds until somebody stores a value; functions take it for none."""

GENERATED_LENGTH = 64
"""Letters and digits, as Terraform makes the first ones."""

LONGEST_VALUE = 4096
"""Characters of a standard parameter (SSM)."""

DATABASE = "database"
"""The master password, which RDS makes, keeps in Secrets Manager and changes by itself every seven days."""

SESSION_LIFETIME = timedelta(days=7)
"""How long a refresh token lives; it verifies under the newest signing key and the one before (docs/decisions/0019)."""

SIGNING_KEY = "jwt-secret"


@dataclass(frozen=True)
class Secret:
    """What may be said of a secret."""

    name: str
    kind: str
    """`generated`: the platform makes it. `supplied`: an operator stores it. `managed`: AWS makes and keeps it."""
    state: str
    """`set` or `unset`."""
    version: int | None
    """None: AWS numbers no versions of it."""
    changed: datetime | None
    description: str

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        changed = (
            self.changed.astimezone(UTC).isoformat(timespec="seconds") if self.changed else None
        )
        return {**asdict(self), "changed": changed}


class Secrets:
    """The secrets of one environment.

    Raises:
        OperatorError: the environment has not been deployed; from every method also for a name that is not one of its secrets.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._environment = cloud.environment.name
        found = outputs(cloud)
        if "secrets" not in found:
            raise OperatorError(
                f"{self._environment} was deployed by an older program: run `ops deploy {self._environment}`"
            )
        self._parameters: dict[str, dict[str, Any]] = found["secrets"]
        self._cluster: str = found["database_cluster_id"]
        self._database: str = found["database_secret_arn"]
        self._ssm = cloud.client("ssm")

    def all(self) -> list[Secret]:
        """All of them, by name."""
        return [
            *(self._describe(name) for name in sorted(self._parameters)),
            self._describe_database(),
        ]

    def store(self, name: str, value: str) -> bool:
        """Stores a value that an operator supplies; False: it was that already.

        Raises:
            OperatorError: the value cannot be one, or the platform makes it itself.
        """
        parameter = self._parameter(name)
        if parameter["generated"]:
            raise OperatorError(
                f"The platform makes {name} itself: `ops secrets rotate {self._environment} {name}`"
            )
        self._cloud.check_account()
        return self._put(parameter["name"], _checked(value), unless_equal=True) is not None

    def clear(self, name: str) -> bool:
        """Takes a supplied value away; False: there was none."""
        return self.store(name, UNSET)

    def is_set(self, name: str) -> bool:
        """Whether there is a value."""
        return self._describe(name).state == "set"

    def rotate(self, name: str, *, leaked: bool = False, force: bool = False) -> int | None:
        """Makes a new value; returns its version, None where AWS numbers none.

        The value before is still accepted, so that nobody is signed out. With `leaked` two are made, so that it is not. With
        `force` the signing key is changed although it was changed less than a session's life ago.

        Raises:
            OperatorError: an operator supplies it; or the signing key was changed less than a session's life ago, so that another
                change would sign people out.
        """
        if name == DATABASE:
            self._cloud.check_account()
            self._cloud.client("rds").modify_db_cluster(
                DBClusterIdentifier=self._cluster,
                RotateMasterUserPassword=True,
                ApplyImmediately=True,
            )
            return None
        parameter = self._parameter(name)
        if not parameter["generated"]:
            raise OperatorError(
                f"Its provider makes {name}: get a new one there, `ops secrets set {self._environment} {name}`, and"
                " revoke the old one there"
            )
        self._cloud.check_account()
        if name == SIGNING_KEY and not (leaked or force):
            self._check_pause(self._describe(name))
        version = None
        for _ in range(2 if leaked else 1):
            version = self._put(parameter["name"], _generate())
        return version

    def _check_pause(self, key: Secret) -> None:
        """The first version is Terraform's: whatever its age, no token is older than it."""
        if key.version == 1 or key.changed is None:
            return
        until = key.changed + SESSION_LIFETIME
        if until > datetime.now(UTC):
            raise OperatorError(
                f"{key.name} was changed on {key.changed.astimezone(UTC):%Y-%m-%d %H:%M} UTC. Another change before"
                f" {until.astimezone(UTC):%Y-%m-%d %H:%M} signs out whoever has not refreshed since: wait, or use --force; if it has leaked, --leaked"
            )

    def _parameter(self, name: str) -> dict[str, Any]:
        found = self._parameters.get(name)
        if found is None:
            if name == DATABASE:
                raise OperatorError(
                    f"RDS makes and keeps it: `ops secrets rotate {self._environment} {name}`"
                )
            known = ", ".join([*sorted(self._parameters), DATABASE])
            raise OperatorError(f"{self._environment} has no secret {name}; it has {known}")
        return found

    def _describe(self, name: str) -> Secret:
        parameter = self._parameter(name)
        generated: bool = parameter["generated"]
        # What the platform makes is never unset, so it need not be read.
        found = self._ssm.get_parameter(Name=parameter["name"], WithDecryption=not generated)[
            "Parameter"
        ]
        return Secret(
            name,
            "generated" if generated else "supplied",
            "set" if generated or found["Value"].strip() not in {"", UNSET} else "unset",
            found["Version"],
            found["LastModifiedDate"],
            parameter["description"],
        )

    def _describe_database(self) -> Secret:
        found = self._cloud.client("secretsmanager").describe_secret(SecretId=self._database)
        changed = found.get("LastChangedDate") or found.get("CreatedDate")
        return Secret(
            DATABASE,
            "managed",
            "set",
            None,
            changed,
            "PostgreSQL's master password, for migrations",
        )

    def _put(self, parameter: str, value: str, *, unless_equal: bool = False) -> int | None:
        """The new version; None where nothing had to be stored."""
        if (
            unless_equal
            and self._ssm.get_parameter(Name=parameter, WithDecryption=True)["Parameter"]["Value"]
            == value
        ):
            return None
        version: int = self._ssm.put_parameter(
            Name=parameter, Value=value, Type="SecureString", Overwrite=True
        )["Version"]
        return version


def _generate() -> str:
    return "".join(
        secrets.choice(string.ascii_letters + string.digits) for _ in range(GENERATED_LENGTH)
    )


def _checked(value: str) -> str:
    """The value without the white space of a line. Raises OperatorError, without the value, where it cannot be sent in a header."""
    value = value.strip()
    if not value:
        raise OperatorError("Nothing was given, so nothing is stored; --clear takes a value away")
    if not (
        value.isascii() and value.isprintable() and " " not in value and len(value) <= LONGEST_VALUE
    ):
        raise OperatorError(
            f"A key is one line of at most {LONGEST_VALUE} letters, digits and symbols, without spaces"
        )
    return value


def supply_provider_keys(found: Secrets, keys: Mapping[str, str]) -> None:
    """Stores the keys that are given by secret's name, and says how to give one where no provider has any.

    Terraform never sees them.
    """
    for name, value in keys.items():
        if found.store(name, value):
            say(f"Stored {name}")
    if not any(found.is_set(name) for name in KEYS):
        say(
            "No language model has a key, so /v1/ai answers 503 ai_not_configured. Set GEMINI_API_KEY or OPENAI_API_KEY, here or in"
            " .env, and run this again; or `ops secrets set local gemini-api-key`"
        )
