"""deploy: an environment's release."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cloud import connect
from ops.commands.options import ROOT, EnvironmentArgument, JsonOption, RootOption
from ops.console import answer, out, say
from ops.deploy import deploy as release
from ops.errors import OperatorError
from ops.root import PROJECT, Root
from ops.terraform import Plan


def deploy(
    environment: EnvironmentArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before applying.")] = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Apply, migrate, move traffic, publish the page and wait for health. May be repeated at any point."""

    def confirm(plan: Plan) -> None:
        say(f"Plan for {environment}: " + "\n".join(plan.lines()))
        if yes or not any(plan.counts.values()):
            return
        if not typer.confirm("Apply it?", err=True):
            raise OperatorError("Not applied")

    result = release(connect(environment, Root(root)), Root(root), PROJECT / "cdktf.out", confirm)
    if as_json:
        answer(result)
    else:
        out.print(f"{environment} is healthy at {result['apiUrl']}", markup=False)


def register(app: typer.Typer) -> None:
    """Adds the verbs of this group."""
    app.command()(deploy)
