"""deploy: an environment's release."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from ops.cloud import connect
from ops.commands.options import ROOT, EnvironmentArgument, JsonOption, RootOption
from ops.commands.releases import BakeOption, PromoteOption, WeightOption, settings
from ops.console import answer, out, say
from ops.deploy import deploy as release
from ops.errors import OperatorError
from ops.release import BAKE, WEIGHT
from ops.root import PROJECT, Root
from ops.terraform import Plan

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before applying.")]


def deploy(
    environment: EnvironmentArgument,
    *,
    yes: YesOption = False,
    weight: WeightOption = WEIGHT,
    bake: BakeOption = f"{BAKE / 60:.0f}m",
    promote: PromoteOption = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Apply, migrate, move traffic, publish the page and wait for health. May be repeated at any point."""

    place = Root(root)
    how = settings(weight, bake, promote)
    result = release(connect(environment, place), place, PROJECT / "cdktf.out", asking(environment, yes), how)
    if as_json:
        answer(result)
    else:
        out.print(f"{environment} is healthy at {result['apiUrl']}", markup=False)


def asking(environment: str, yes: bool) -> Callable[[Plan], None]:
    """What shows a plan and asks whether to apply it."""

    def confirm(plan: Plan) -> None:
        say(f"Plan for {environment}: " + "\n".join(plan.lines()))
        if yes or not any(plan.counts.values()):
            return
        if not typer.confirm("Apply it?", err=True):
            raise OperatorError("Not applied")

    return confirm


def register(app: typer.Typer) -> None:
    """Adds the verbs of this group."""
    app.command()(deploy)
