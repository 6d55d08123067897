"""Runs the database migrations of an environment, by its migration function."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.config import Config

from ops.cloud import Cloud
from ops.console import Progress, say
from ops.errors import OperatorError
from ops.functions.versions import ALIAS, MIGRATION

ANSWER_MARGIN = 10
"""Seconds an invocation's answer may come after the function's own timeout."""


@dataclass(frozen=True)
class Migrated:
    """What a run did, what is still to do, and what the schema has that the deployed version does not know."""

    applied: list[str]
    pending: list[str]
    unknown: list[str]

    def line(self) -> str:
        """In one line."""
        done = f"applied {', '.join(self.applied)}" if self.applied else "nothing to do"
        ahead = (
            f" (the schema is ahead of this version by {', '.join(self.unknown)})"
            if self.unknown
            else ""
        )
        return f"Migrations: {done}{ahead}"


class MigrationFunction:
    """An environment's migration function.

    Args:
        cloud: the environment.
        name: the function's; its live version is invoked.
    """

    def __init__(self, cloud: Cloud, name: str) -> None:
        # Waited for as long as it may run and never sent twice: a second invocation would wait for the first.
        settings = Config(
            read_timeout=cloud.environment.function(MIGRATION).timeout + ANSWER_MARGIN,
            retries={"total_max_attempts": 1},
            tcp_keepalive=True,
        )
        self._client = cloud.client("lambda", settings=settings)
        self._name = name

    def invoke(self, order: dict[str, Any]) -> Any:
        """Its answer.

        Raises:
            OperatorError: it failed; the message is its own, which names file and line.
        """
        reply = self._client.invoke(
            FunctionName=self._name, Qualifier=ALIAS, Payload=json.dumps(order).encode()
        )
        payload = json.loads(reply["Payload"].read() or b"null")
        if reply.get("FunctionError"):
            reason = payload.get("errorMessage") if isinstance(payload, dict) else None
            raise OperatorError(f"The migration function failed: {reason or payload}")
        return payload


def function_name(cloud: Cloud) -> str:
    """The migration function's name, which follows from the environment's."""
    return f"{MIGRATION}-lambda-{cloud.environment.name}"


def plan_migrations(cloud: Cloud, function: str) -> Migrated:
    """What `run_migrations` would do.

    Raises:
        OperatorError: it would refuse.
    """
    return _result(MigrationFunction(cloud, function).invoke({"plan": True}))


def run_migrations(cloud: Cloud, function: str) -> Migrated:
    """Applies the migrations that are due, each by an invocation of its own, so that each has all of the function's time.

    Raises:
        OperatorError: one failed and left the schema as it was before it. What was applied before stays applied.
    """
    by = cloud.client("sts").get_caller_identity()["Arn"]
    migration = MigrationFunction(cloud, function)
    found = _result(migration.invoke({"plan": True}))
    # A run without anything due still tells the record what a crash has kept from it.
    due = found.pending or [""]
    applied: list[str] = []
    for number, name in enumerate(due, 1):
        heading = f"Migration {number} of {len(due)}: {name}" if name else "Looking for migrations"
        found = _result(_followed(migration, {"by": by, "limit": 1}, heading))
        applied += found.applied
        for done in found.applied:
            say(f"Migration {number} of {len(due)}: applied {done}")
        if not found.pending:
            break
    return Migrated(applied, found.pending, found.unknown)


def _followed(migration: MigrationFunction, order: dict[str, Any], heading: str) -> Any:
    """The answer of an invocation, with a line that shows how long it takes."""
    begun = time.monotonic()
    with Progress() as progress, ThreadPoolExecutor(max_workers=1) as beside:
        answer = beside.submit(migration.invoke, order)
        while not answer.done():
            progress.show(f"{heading} ({time.monotonic() - begun:.0f} s)")
            time.sleep(0.1)
        return answer.result()


def _result(answer: Any) -> Migrated:
    return Migrated(answer["applied"], answer["pending"], answer["unknown"])
