"""Reads and changes the published versions of an environment's functions, and their alias
`live`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from environments.resource_names import ALIAS
from ops.cloud import Cloud
from ops.errors import OperatorError

FIRST = ("authorizer",)
"""Functions whose traffic is shifted first.

A new version of a service may need the new authorizer's context.
"""
MIGRATION: Final = "migration"
"""The function that migrates the database. It has no traffic, so releases do not shift it."""
UPDATE_TIMEOUT = 120.0
"""Seconds to wait for a code update.

An update usually takes a few seconds, in a VPC sometimes tens of seconds.
"""
UPDATE_INTERVAL = 0.1
"""Seconds between two checks of a code update."""


@dataclass(frozen=True)
class Live:
    """The state of a function's `live` alias."""

    service: str
    version: str
    """The version that receives all traffic that `weights` does not assign."""
    weights: Mapping[str, float]
    """The fraction of traffic (0 to 1) of each additional version."""
    revision: str

    @property
    def serving(self) -> set[str]:
        """Every version that receives traffic, including those with a weight."""
        return {self.version, *self.weights}

    @property
    def awaits_allocation(self) -> bool:
        """True if Lambda temporarily sends all traffic to the previous version.

        When the version of an alias with provisioned concurrency changes, Lambda assigns the weight
        1 to the previous version until the concurrency of the new version is ready. Releases never
        use that weight.
        """
        return sum(self.weights.values()) >= 1


@dataclass(frozen=True)
class Version:
    """A published version of a function."""

    number: str
    artifact: str
    """SHA-256 of the code, in base64."""
    modified: str = ""


@dataclass(frozen=True)
class Allocation:
    """The provisioned concurrency of a function's `live` alias."""

    requested: int
    status: str
    """IN_PROGRESS, READY or FAILED."""
    reason: str
    """The reason why an allocation failed."""


class Functions:
    """All functions of one environment.

    Args:
        names: Function names by service, from the stack's outputs.
    """

    def __init__(self, cloud: Cloud, names: Mapping[str, str]) -> None:
        self.client = cloud.client("lambda")
        self.names = names
        self._environment = cloud.environment.name

    def select(self, service: str) -> list[str]:
        """Returns the named service, or for `all` every service in release order.

        Raises:
            OperatorError: The environment has no such service.
        """
        if service == "all":
            return sort_for_release(name for name in self.names if name != MIGRATION)
        if service not in self.names:
            raise OperatorError(
                f"{self._environment} has no service {service}: use"
                f" {', '.join(sorted(self.names))} or all"
            )
        return [service]

    def live(self, service: str) -> Live:
        """Returns the current state of the service's alias."""
        alias = self.client.get_alias(FunctionName=self.names[service], Name=ALIAS)
        weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
        return Live(service, alias["FunctionVersion"], dict(weights), alias["RevisionId"])

    def route(self, live: Live, version: str, weights: Mapping[str, float] | None = None) -> Live:
        """Points the alias to a version, with optional weights for other versions.

        Raises:
            OperatorError: The alias has changed since `live` was read.
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
                f"The traffic of {live.service} was not changed, because another process changed it"
                " at the same time: check `ops status`, then run the command again"
            ) from error
        return Live(live.service, version, dict(weights or {}), alias["RevisionId"])

    def allocation(self, service: str) -> Allocation | None:
        """Returns the alias's provisioned concurrency. None if the alias has no such setting."""
        try:
            response = self.client.get_provisioned_concurrency_config(
                FunctionName=self.names[service], Qualifier=ALIAS
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ProvisionedConcurrencyConfigNotFoundException":
                return None
            raise
        return Allocation(
            response["RequestedProvisionedConcurrentExecutions"],
            response["Status"],
            response.get("StatusReason", ""),
        )

    def allocate(self, service: str, count: int) -> None:
        """Requests provisioned concurrency for the alias. Lambda allocates it in the background."""
        self.client.put_provisioned_concurrency_config(
            FunctionName=self.names[service],
            Qualifier=ALIAS,
            ProvisionedConcurrentExecutions=count,
        )

    def deallocate(self, service: str) -> None:
        """Removes the provisioned concurrency of the alias."""
        self.client.delete_provisioned_concurrency_config(
            FunctionName=self.names[service], Qualifier=ALIAS
        )

    def versions(self, service: str) -> list[Version]:
        """Returns the published versions, oldest first."""
        pages = self.client.get_paginator("list_versions_by_function").paginate(
            FunctionName=self.names[service]
        )
        published = [
            Version(item["Version"], item.get("CodeSha256", ""), item.get("LastModified", ""))
            for page in pages
            for item in page["Versions"]
            if item["Version"].isdigit()
        ]
        return sorted(published, key=lambda version: int(version.number))

    def newest(self, service: str) -> Version | None:
        """Returns the version that was published last."""
        versions = self.versions(service)
        return versions[-1] if versions else None

    def find(self, service: str, number: str) -> Version | None:
        """Returns a version, or None if it was never published or has been deleted."""
        try:
            settings = self.client.get_function_configuration(
                FunctionName=self.names[service], Qualifier=number
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return None
            raise
        return Version(
            settings["Version"], settings.get("CodeSha256", ""), settings.get("LastModified", "")
        )

    def publish(self, service: str, package: Path, *, wait: bool = True) -> Version:
        """Uploads new code and publishes it as a version. The alias does not change.

        Args:
            package: The zip file.
            wait: True to wait until the update is complete. Not needed on the embedded AWS.

        Raises:
            OperatorError: The update failed or took longer than UPDATE_TIMEOUT.
        """
        function = self.names[service]
        published = self.client.update_function_code(
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
                    f"The code update of {function} failed or timed out"
                    f" ({state.get('LastUpdateStatusReason', status)}): check the function in the"
                    " Lambda console, then run the command again"
                )
            time.sleep(UPDATE_INTERVAL)
        return Version(published["Version"], published["CodeSha256"])

    def aliased_versions(self, service: str) -> set[str]:
        """Returns every version to which an alias routes traffic, including by weight."""
        used: set[str] = set()
        pages = self.client.get_paginator("list_aliases").paginate(FunctionName=self.names[service])
        for alias in (alias for page in pages for alias in page["Aliases"]):
            weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
            used |= {alias["FunctionVersion"], *weights}
        return used

    def delete(self, service: str, number: str) -> None:
        """Deletes a version. Lambda rejects the deletion of a version that an alias uses."""
        # With the version in the name, IAM requires no permission to delete the whole function.
        self.client.delete_function(FunctionName=f"{self.names[service]}:{number}")

    def configuration(self, service: str, number: str) -> dict[str, Any]:
        """Returns a version's configuration, including its environment variables and role."""
        settings: dict[str, Any] = self.client.get_function_configuration(
            FunctionName=self.names[service], Qualifier=number
        )
        return settings


def sort_for_release(services: Sequence[str] | Any) -> list[str]:
    """Returns services in the order in which releases shift their traffic."""
    return sorted(services, key=lambda name: (name not in FIRST, name))
