"""Command redrive: retries messages in dead-letter queues."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cloud import connect
from ops.commands.options import ROOT, EnvironmentArgument, JsonOption, RootOption
from ops.console import print_result
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
    results = Redrive(connect(environment, root)).run(queue)
    lines = [f"{item.queue:<28} {item.redriven} redriven, {item.left} left" for item in results]
    print_result(results, lines, as_json=as_json)
