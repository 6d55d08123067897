"""The functions of an environment: their published versions, and the alias `live` that says which of them serves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from ops.cloud import Cloud
from ops.errors import OperatorError

ALIAS = "live"
FIRST = ("authorizer",)
"""Moved before the services: new services may rely on what the new authorizer passes on, old ones ignore it."""
MIGRATION: Final = "migration"
"""Invoking it migrates the database, so it is neither probed nor released by itself."""
UPDATE_TIMEOUT = 120.0
"""Seconds a function may take to accept new code; on AWS it takes a few, in a VPC sometimes tens."""
UPDATE_INTERVAL = 0.1


@dataclass(frozen=True)
class Live:
    """What the alias says."""

    service: str
    version: str
    """The main version."""
    weights: Mapping[str, float]
    """Shares of traffic (0 to 1) that other versions get."""
    revision: str

    @property
    def serving(self) -> set[str]:
        """Every version that gets traffic."""
        return {self.version, *self.weights}


@dataclass(frozen=True)
class Version:
    """A published version."""

    number: str
    artifact: str
    """SHA-256 of its code, in base64."""
    modified: str = ""


class Functions:
    """Every function of one environment.

    Args:
        names: the functions' names by service, as the stack's outputs have them.
    """

    def __init__(self, cloud: Cloud, names: Mapping[str, str]) -> None:
        self.client = cloud.client("lambda")
        self.names = names
        self._environment = cloud.environment.name

    def chosen(self, service: str) -> list[str]:
        """The services that `service` or `all` stands for, in the order in which they are moved.

        Raises:
            OperatorError: there is no such service.
        """
        if service == "all":
            return ordered(name for name in self.names if name != MIGRATION)
        if service not in self.names:
            raise OperatorError(
                f"{self._environment} has no service {service}: there are {', '.join(sorted(self.names))}, and all"
            )
        return [service]

    def live(self, service: str) -> Live:
        """What serves now."""
        alias = self.client.get_alias(FunctionName=self.names[service], Name=ALIAS)
        weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
        return Live(service, alias["FunctionVersion"], dict(weights), alias["RevisionId"])

    def move(self, live: Live, version: str, weights: Mapping[str, float] | None = None) -> Live:
        """Points the alias at a version, with shares for others.

        Raises:
            OperatorError: somebody has moved the alias since `live` was read.
        """
        try:
            alias = self.client.update_alias(
                FunctionName=self.names[live.service],
                Name=ALIAS,
                FunctionVersion=version,
                RoutingConfig={"AdditionalVersionWeights": dict(weights or {})},
                RevisionId=live.revision,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailedException":
                raise
            raise OperatorError(
                f"Somebody else has moved the traffic of {live.service} just now, so it was left as it is: look at `ops status`,"
                " then run the command again"
            ) from error
        return Live(live.service, version, dict(weights or {}), alias["RevisionId"])

    def versions(self, service: str) -> list[Version]:
        """The published versions, oldest first."""
        pages = self.client.get_paginator("list_versions_by_function").paginate(
            FunctionName=self.names[service]
        )
        found = [
            Version(item["Version"], item.get("CodeSha256", ""), item.get("LastModified", ""))
            for page in pages
            for item in page["Versions"]
            if item["Version"].isdigit()
        ]
        return sorted(found, key=lambda version: int(version.number))

    def newest(self, service: str) -> Version | None:
        """The version published last."""
        found = self.versions(service)
        return found[-1] if found else None

    def find(self, service: str, number: str) -> Version | None:
        """A version, None when it was never published or is deleted."""
        try:
            found = self.client.get_function_configuration(
                FunctionName=self.names[service], Qualifier=number
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return None
            raise
        return Version(found["Version"], found.get("CodeSha256", ""), found.get("LastModified", ""))

    def publish(self, service: str, package: Path, *, wait: bool = True) -> Version:
        """Gives the function new code and publishes it as a version; the alias stays where it is.

        Args:
            package: the zip.
            wait: until Lambda says that the update is done; an embedded AWS serves a published version at once.

        Raises:
            OperatorError: Lambda did not accept the code in time.
        """
        function = self.names[service]
        made = self.client.update_function_code(
            FunctionName=function, ZipFile=package.read_bytes(), Publish=True
        )
        deadline = time.monotonic() + UPDATE_TIMEOUT
        while wait:
            state = self.client.get_function_configuration(FunctionName=function)
            status = state.get("LastUpdateStatus", "Successful")
            if status == "Successful":
                break
            if status == "Failed" or time.monotonic() > deadline:
                raise OperatorError(
                    f"{function} did not take the new code: {state.get('LastUpdateStatusReason', status)}"
                )
            time.sleep(UPDATE_INTERVAL)
        return Version(made["Version"], made["CodeSha256"])

    def aliased(self, service: str) -> set[str]:
        """Every version that any alias names, weights included."""
        used: set[str] = set()
        pages = self.client.get_paginator("list_aliases").paginate(FunctionName=self.names[service])
        for alias in (alias for page in pages for alias in page["Aliases"]):
            weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
            used |= {alias["FunctionVersion"], *weights}
        return used

    def delete(self, service: str, number: str) -> None:
        """Deletes a version; Lambda itself refuses one that an alias names."""
        # With the number in the name, a permission for versions alone is enough.
        self.client.delete_function(FunctionName=f"{self.names[service]}:{number}")

    def configuration(self, service: str, number: str) -> dict[str, Any]:
        """A version's own settings, its variables and role among them."""
        found: dict[str, Any] = self.client.get_function_configuration(
            FunctionName=self.names[service], Qualifier=number
        )
        return found


def ordered(services: Sequence[str] | Any) -> list[str]:
    """Services in the order in which their traffic is moved."""
    return sorted(services, key=lambda name: (name not in FIRST, name))
