"""Read queues and dead-letter queues without removing their messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from ops.cloud import connect
from ops.commands.options import (
    ROOT,
    EnvironmentArgument,
    JsonOption,
    RootOption,
    parse_whole_number,
)
from ops.console import print_result
from ops.inspection import queues
from ops.upkeep.redrive import BATCH

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode="markdown"
)


@app.command(name="list")
def list_(
    environment: EnvironmentArgument, root: RootOption = ROOT, as_json: JsonOption = False
) -> None:
    """List all queues with the approximate numbers of their messages."""
    states = queues.read_queues(connect(environment, root))
    lines = [
        f"{state.queue:<24} {state.visible:>6} visible {state.in_flight:>6} in flight"
        f" {state.delayed:>6} delayed"
        for state in states
    ]
    print_result(states, lines, as_json=as_json)


@app.command()
def peek(
    environment: EnvironmentArgument,
    queue: Annotated[str, typer.Argument(help="Queue, such as profile-events-dlq.")],
    limit: Annotated[
        int,
        typer.Option(
            parser=parse_whole_number(1, 1000),
            metavar="N",
            help="Maximum number of messages to print, from 1 to 1000.",
        ),
    ] = BATCH,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Print messages of a queue, and leave them in the queue.

    Hides the messages from consumers for a moment, at most 10 s. Each call increases the receive
    count of the messages. A queue with a dead-letter queue moves a message there when the count
    exceeds its limit (5, or 20 for delivery-retries).
    """
    messages = queues.peek(connect(environment, root), queue, limit)
    lines = [
        f"{datetime.fromtimestamp(message.sent / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"
        f"  received {message.receive_count}x  {message.id}\n"
        f"  {json.dumps(message.body)}"
        + "".join(f"\n  {name}: {value}" for name, value in message.attributes.items())
        for message in messages
    ]
    print_result(messages, lines or ["No visible message"], as_json=as_json)
