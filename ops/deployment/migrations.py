"""Runs the database migrations of an environment through its migration function."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.config import Config

from environments.resource_names import ALIAS
from ops.cloud import Cloud
from ops.console import Progress, report
from ops.errors import OperatorError
from ops.functions.versions import MIGRATION
from ops.terraform.state import outputs

RESPONSE_MARGIN = 10
"""Seconds that the client waits in addition to the migration function's timeout."""


@dataclass(frozen=True)
class Migrated:
    """The result of a run of the migration function."""

    applied: list[str]
    """Migrations that this run applied."""
    pending: list[str]
    """Migrations that are not applied yet."""
    unknown: list[str]
    """Applied migrations that the live version of the function does not contain."""

    def line(self) -> str:
        """Returns a one-line summary of the migrations."""
        done = f"applied {', '.join(self.applied)}" if self.applied else "nothing to do"
        ahead = (
            f" (the schema is ahead of this version by {', '.join(self.unknown)})"
            if self.unknown
            else ""
        )
        return f"Migrations: {done}{ahead}"


class MigrationFunction:
    """Client of an environment's migration function.

    Args:
        name: The name of the function, whose live version is invoked.
    """

    def __init__(self, cloud: Cloud, name: str) -> None:
        # The client does not retry: a second invocation would only wait until the first has
        # finished.
        settings = Config(
            read_timeout=cloud.environment.function(MIGRATION).timeout + RESPONSE_MARGIN,
            retries={"total_max_attempts": 1},
            tcp_keepalive=True,
        )
        self._client = cloud.client("lambda", settings=settings)
        self._name = name

    def invoke(self, request: dict[str, Any]) -> Any:
        """Invokes the function and returns its result.

        Raises:
            OperatorError: The function failed. The message names the SQL file and line.
        """
        response = self._client.invoke(
            FunctionName=self._name, Qualifier=ALIAS, Payload=json.dumps(request).encode()
        )
        payload = json.loads(response["Payload"].read() or b"null")
        if response.get("FunctionError"):
            reason = payload.get("errorMessage") if isinstance(payload, dict) else None
            raise OperatorError(f"The migration function failed: {reason or payload}")
        return payload


def function_name(cloud: Cloud) -> str:
    """Returns the name of the environment's migration function."""
    name: str = outputs(cloud)["functions"][MIGRATION]
    return name


def plan_migrations(cloud: Cloud, function: str) -> Migrated:
    """Returns the pending migrations without applying them.

    Raises:
        OperatorError: The migrations are invalid or conflict with the applied ones.
    """
    return _migrated(MigrationFunction(cloud, function).invoke({"plan": True}))


def run_migrations(cloud: Cloud, function: str) -> Migrated:
    """Applies the pending migrations, one per invocation, so that each can use the function's full
    timeout.

    Raises:
        OperatorError: A migration failed and was rolled back. Earlier ones stay applied.
    """
    by = cloud.identity
    migration = MigrationFunction(cloud, function)
    result = _migrated(migration.invoke({"plan": True}))
    # The function is invoked even if nothing is pending, because each run repairs the record of
    # applied migrations in DynamoDB.
    due = result.pending or [""]
    applied: list[str] = []
    for number, name in enumerate(due, 1):
        heading = f"Migration {number} of {len(due)}: {name}" if name else "Checking for migrations"
        result = _migrated(_invoke_with_progress(migration, {"by": by, "limit": 1}, heading))
        applied += result.applied
        for done in result.applied:
            report(f"Migration {number} of {len(due)}: applied {done}")
        if not result.pending:
            break
    return Migrated(applied, result.pending, result.unknown)


def _invoke_with_progress(
    migration: MigrationFunction, request: dict[str, Any], heading: str
) -> Any:
    """Invokes the function and shows the elapsed time."""
    begun = time.monotonic()
    with Progress() as progress, ThreadPoolExecutor(max_workers=1) as executor:
        future = executor.submit(migration.invoke, request)
        while not future.done():
            progress.show(f"{heading} ({time.monotonic() - begun:.0f} s)")
            time.sleep(0.1)
        return future.result()


def _migrated(response: Any) -> Migrated:
    return Migrated(response["applied"], response["pending"], response["unknown"])
