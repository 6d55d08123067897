"""redrive: what becomes of events that could not be handled."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from ops.cloud import connect
from ops.commands.options import ROOT, EnvironmentArgument, JsonOption, RootOption
from ops.console import answer, out
from ops.root import Root
from ops.upkeep.redrive import Redrive


def redrive(
    environment: EnvironmentArgument,
    queue: Annotated[
        str | None,
        typer.Argument(
            help="A queue, such as profile-events; all dead-letter queues if none is named."
        ),
    ] = None,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Give messages in dead-letter queues to their consumers again. May be stopped and repeated at any point."""
    results = Redrive(connect(environment, Root(root))).run(queue)
    if as_json:
        answer([dataclasses.asdict(result) for result in results])
        return
    for result in results:
        out.print(
            f"{result.queue:<28} {result.redriven} redriven, {result.left} left", markup=False
        )


def register(app: typer.Typer) -> None:
    """Adds the verbs of this group."""
    app.command()(redrive)
