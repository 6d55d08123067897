"""Command redrive: retries messages in dead-letter queues."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from ops.cloud import connect
from ops.commands.options import ROOT, EnvironmentArgument, JsonOption, RootOption
from ops.console import out, print_json
from ops.root import Root
from ops.upkeep.redrive import Redrive


def redrive(
    environment: EnvironmentArgument,
    queue: Annotated[
        str | None,
        typer.Argument(
            help="Queue, such as profile-events; the default is all dead-letter queues."
        ),
    ] = None,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Move messages from dead-letter queues back to their consumers. Safe to repeat."""
    results = Redrive(connect(environment, Root(root))).run(queue)
    if as_json:
        print_json([dataclasses.asdict(result) for result in results])
        return
    for result in results:
        out.print(
            f"{result.queue:<28} {result.redriven} redriven, {result.left} left", markup=False
        )


def register(app: typer.Typer) -> None:
    """Adds the commands of this module to the app."""
    app.command()(redrive)
