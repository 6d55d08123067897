"""Manages the platform's secrets in SSM and the database's master password. Never prints values."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from environments.resource_names import UNSET
from ops.cloud import Cloud
from ops.console import report
from ops.env_file import KEYS
from ops.errors import OperatorError
from ops.terraform.state import outputs

GENERATED_LENGTH = 64
"""Length of a generated value, which consists of letters and digits. Terraform generates the first
value in the same format.
"""

LONGEST_VALUE = 4096
"""Maximum characters of a standard SSM parameter."""

DATABASE = "database"
"""Name of the secret with the database's master password. RDS rotates it every 7 days."""

SESSION_LIFETIME = timedelta(days=7)
"""Lifetime of a refresh token. Functions accept tokens that were signed with one of the two newest
keys, so two rotations within this time sign users out (docs/decisions/0019)."""

SIGNING_KEY = "jwt-secret"


@dataclass(frozen=True)
class Secret:
    """A secret's metadata without its value."""

    name: str
    kind: str
    """`generated` (by the platform), `supplied` (by an operator) or `managed` (by AWS)."""
    state: str
    """`set` or `unset`."""
    version: int | None
    """None for a secret whose versions AWS does not number."""
    changed: datetime | None
    description: str

    def as_dict(self) -> dict[str, Any]:
        """Returns the metadata as the JSON object that `--json` prints."""
        changed = (
            self.changed.astimezone(UTC).isoformat(timespec="seconds") if self.changed else None
        )
        return {**asdict(self), "changed": changed}


class Secrets:
    """The secrets of one environment.

    Raises:
        OperatorError: The environment has not been deployed. Methods raise OperatorError for an
            unknown secret.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._environment = cloud.environment.name
        stack_outputs = outputs(cloud)
        if "secrets" not in stack_outputs:
            raise OperatorError(
                f"{self._environment} was deployed by an older version of the platform:"
                f" run `ops deploy {self._environment}`"
            )
        self._parameters: dict[str, dict[str, Any]] = stack_outputs["secrets"]
        self._cluster: str = stack_outputs["database_cluster_id"]
        self._database: str = stack_outputs["database_secret_arn"]
        self._ssm = cloud.client("ssm")

    def all(self) -> list[Secret]:
        """Returns all secrets, sorted by name, with the database's password last."""
        return [
            *(self._describe(name) for name in sorted(self._parameters)),
            self._describe_database(),
        ]

    def store(self, name: str, value: str) -> bool:
        """Stores a value that an operator supplies.

        Returns False if the secret already had this value.

        Raises:
            OperatorError: The value is invalid, or the platform generates this secret.
        """
        parameter = self._parameter(name)
        if parameter["generated"]:
            raise OperatorError(
                f"The platform generates {name}:"
                f" use `ops secrets rotate {self._environment} {name}`"
            )
        name, value = parameter["name"], _validated(value)
        stored = self._ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        if stored == value:
            return False
        self._put_parameter(name, value)
        return True

    def clear(self, name: str) -> bool:
        """Replaces an operator's value with the placeholder UNSET.

        Returns False if the secret already had the placeholder.
        """
        return self.store(name, UNSET)

    def is_set(self, name: str) -> bool:
        """Returns True if the secret has a value, not only a placeholder."""
        return self._describe(name).state == "set"

    def rotate(self, name: str, *, leaked: bool = False, force: bool = False) -> int | None:
        """Generates a new value, or makes RDS generate a new password for the database.

        Functions accept the two newest values of a generated secret, so one rotation of the
        signing key within SESSION_LIFETIME signs nobody out.

        Args:
            leaked: Generate two new values, so that functions reject the previous value.
            force: Rotate the signing key even if it was changed less than SESSION_LIFETIME ago.

        Returns:
            The new version, or None if AWS does not number the versions.

        Raises:
            OperatorError: An operator supplies the secret, or the signing key was changed less than
                SESSION_LIFETIME ago and neither `leaked` nor `force` is set: another change would
                sign users out.
        """
        if name == DATABASE:
            self._cloud.client("rds").modify_db_cluster(
                DBClusterIdentifier=self._cluster,
                RotateMasterUserPassword=True,
                ApplyImmediately=True,
            )
            return None
        parameter = self._parameter(name)
        if not parameter["generated"]:
            raise OperatorError(
                f"An external provider issues {name}: create a new key there, store it with"
                f" `ops secrets set {self._environment} {name}`, and revoke the old key there"
            )
        if name == SIGNING_KEY and not (leaked or force):
            self._check_interval(self._describe(name))
        version = None
        for _ in range(2 if leaked else 1):
            version = self._put_parameter(parameter["name"], _generate())
        return version

    def _check_interval(self, key: Secret) -> None:
        """Raises an error if the key was changed less than SESSION_LIFETIME ago.

        Version 1 may be rotated at any time: no tokens with an earlier key exist.
        """
        if key.version == 1 or key.changed is None:
            return
        until = key.changed + SESSION_LIFETIME
        if until > datetime.now(UTC):
            raise OperatorError(
                f"{key.name} was changed on {key.changed.astimezone(UTC):%Y-%m-%d %H:%M} UTC."
                f" Another change before {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC signs out users"
                " who have not refreshed their session since the last change: wait, or use --force."
                " If the key has leaked, use --leaked"
            )

    def _parameter(self, name: str) -> dict[str, Any]:
        parameter = self._parameters.get(name)
        if parameter is None:
            if name == DATABASE:
                raise OperatorError(
                    f"RDS manages the secret {name}: change it with"
                    f" `ops secrets rotate {self._environment} {name}`"
                )
            known = ", ".join([*sorted(self._parameters), DATABASE])
            raise OperatorError(f"{self._environment} has no secret {name}: use one of {known}")
        return parameter

    def _describe(self, name: str) -> Secret:
        parameter = self._parameter(name)
        generated: bool = parameter["generated"]
        # A generated secret always has a value, which is not decrypted. A supplied secret must be
        # decrypted, because only its value shows whether an operator has set it.
        stored = self._ssm.get_parameter(Name=parameter["name"], WithDecryption=not generated)[
            "Parameter"
        ]
        return Secret(
            name,
            "generated" if generated else "supplied",
            "set" if generated or stored["Value"].strip() not in {"", UNSET} else "unset",
            stored["Version"],
            stored["LastModifiedDate"],
            parameter["description"],
        )

    def _describe_database(self) -> Secret:
        secret = self._cloud.client("secretsmanager").describe_secret(SecretId=self._database)
        changed = secret.get("LastChangedDate") or secret.get("CreatedDate")
        description = "PostgreSQL's master password, for migrations"
        return Secret(DATABASE, "managed", "set", None, changed, description)

    def _put_parameter(self, name: str, value: str) -> int:
        """Stores a value and returns its version."""
        response = self._ssm.put_parameter(
            Name=name, Value=value, Type="SecureString", Overwrite=True
        )
        version: int = response["Version"]
        return version


def _generate() -> str:
    return "".join(
        secrets.choice(string.ascii_letters + string.digits) for _ in range(GENERATED_LENGTH)
    )


def _validated(value: str) -> str:
    """Returns a value without surrounding whitespace. Raises an error if an HTTP header cannot
    contain the value.
    """
    value = value.strip()
    if not value:
        raise OperatorError(
            "The value is empty, so it was not stored: use --clear to clear a value"
        )
    if not (
        value.isascii() and value.isprintable() and " " not in value and len(value) <= LONGEST_VALUE
    ):
        raise OperatorError(
            f"The value is invalid: use one line of at most {LONGEST_VALUE} ASCII letters, digits"
            " and symbols, without spaces"
        )
    return value


def supply_provider_keys(stored: Secrets, keys: Mapping[str, str]) -> None:
    """Stores the API keys of AI providers. Prints how to set a key if no provider has one.

    Args:
        keys: The keys by secret name. Terraform never receives them.
    """
    for name, value in keys.items():
        if stored.store(name, value):
            report(f"Stored {name}")
    if not any(stored.is_set(name) for name in KEYS):
        report(
            "No language model has a key, so /v1/ai returns 503 ai_not_configured. Set"
            " the variable GEMINI_API_KEY or OPENAI_API_KEY in the shell or in .env and run this"
            " command again, or run `ops secrets set local gemini-api-key`"
        )
