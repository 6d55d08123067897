"""Commands migrate and restore-drill: database migrations and a test of the backups."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from ops.cloud import connect
from ops.commands.options import ROOT, EnvironmentArgument, JsonOption, RootOption
from ops.console import out, print_json
from ops.deployment.migrations import function_name, plan_migrations, run_migrations
from ops.root import Root
from ops.upkeep.restore import drill


def migrate(
    environment: EnvironmentArgument,
    plan: Annotated[bool, typer.Option("--plan", help="Only list the pending migrations.")] = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Apply pending database migrations. Waits for a migration that is running. Safe to repeat."""
    cloud = connect(environment, Root(root))
    result = (plan_migrations if plan else run_migrations)(cloud, function_name(cloud))
    if as_json:
        print_json(dataclasses.asdict(result))
    elif plan:
        for name in result.pending:
            out.print(f"pending   {name}", markup=False)
        if not result.pending:
            out.print("Nothing is pending", markup=False)
    else:
        out.print(result.line(), markup=False)


def restore_drill(
    environment: EnvironmentArgument,
    table: Annotated[
        str, typer.Option("--table", help="DynamoDB table, without the environment suffix.")
    ] = "profile-profiles",
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Restore copies of one table and the database, compare them with the originals, delete them.

    Exit status 1 means that a copy differs from its original.
    """
    results = drill(connect(environment, Root(root)), Root(root), table)
    if as_json:
        print_json([dataclasses.asdict(result) for result in results])
    else:
        for result in results:
            out.print(result.line(), markup=False)
    raise typer.Exit(0 if all(result.same for result in results) else 1)


def register(app: typer.Typer) -> None:
    """Adds the commands of this module to the app."""
    app.command()(migrate)
    app.command("restore-drill")(restore_drill)
