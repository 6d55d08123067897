"""Defines the commands migrate, redrive and restore-drill."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cloud import connect
from ops.commands.options import ROOT, EnvironmentArgument, JsonOption, RootOption
from ops.console import print_result
from ops.deployment.migrations import function_name, plan_migrations, run_migrations
from ops.upkeep.redrive import Redrive
from ops.upkeep.restore import run_restore_drill


def migrate(
    environment: EnvironmentArgument,
    plan: Annotated[bool, typer.Option("--plan", help="Only list the pending migrations.")] = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Apply pending database migrations. Waits for a migration that is running. Safe to repeat."""
    cloud = connect(environment, root)
    result = (plan_migrations if plan else run_migrations)(cloud, function_name(cloud))
    pending = [f"pending   {name}" for name in result.pending] or ["Nothing is pending"]
    print_result(result, pending if plan else [result.line()], as_json=as_json)


def redrive(
    environment: EnvironmentArgument,
    queue: Annotated[
        str | None,
        typer.Argument(
            help="Dead-letter queue, with or without -dlq, such as profile-events. Default: all."
        ),
    ] = None,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Move messages from dead-letter queues back to their consumers. Safe to repeat."""
    results = Redrive(connect(environment, root)).run(queue)
    lines = [f"{item.queue:<28} {item.redriven} redriven, {item.left} left" for item in results]
    print_result(results, lines, as_json=as_json)


def restore_drill(
    environment: EnvironmentArgument,
    table: Annotated[
        str, typer.Option("--table", help="DynamoDB table, without the environment suffix.")
    ] = "profile-profiles",
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Restore a table and the database as copies, and compare each copy with its original.

    Deletes the copies at the end. Exit status 1 means that a copy differs from its original.
    """
    results = run_restore_drill(connect(environment, root), root, table)
    print_result(results, [result.line() for result in results], as_json=as_json)
    raise typer.Exit(0 if all(result.is_equal for result in results) else 1)
