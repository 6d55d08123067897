"""Defines commands for requests, log lines and invocations: trace, tail and invoke."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from ops.cloud import EMBEDDED, connect
from ops.commands.options import (
    ROOT,
    EnvironmentArgument,
    EnvironmentOption,
    JsonOption,
    RootOption,
    check_function,
    check_log_group,
    complete_service,
)
from ops.console import out, print_json, print_line, report
from ops.errors import OperatorError
from ops.inspection.invocations import find_example, invoke_function, list_examples
from ops.inspection.lines import choose_colours, follow_services
from ops.inspection.text import describe_line, format_waterfall
from ops.inspection.waterfall import read_waterfall
from ops.upkeep.logs import all_log_groups, parse_since

SinceOption = Annotated[
    str, typer.Option(help="Maximum age of a log line, such as 30s, 10m, 2h or 1d.")
]


def _start(since: str) -> int:
    try:
        return parse_since(since)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from error


def trace(
    correlation_id: Annotated[
        str, typer.Argument(help="Header X-Correlation-Id of a response, or of the request.")
    ],
    environment: EnvironmentOption = EMBEDDED,
    since: SinceOption = "1h",
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Follow a request through API Gateway, functions, events, queues and WebSockets.

    Prints each step with its time, status, error and log lines. Exit status 1 means that no log
    line has the correlation id.
    """
    start = _start(since)
    waterfall = read_waterfall(connect(environment, root), correlation_id, start)
    if as_json:
        print_json(waterfall)
        return
    for line in format_waterfall(waterfall):
        out.print(line)


def tail(
    environment: EnvironmentArgument,
    services: Annotated[
        list[str] | None,
        typer.Argument(
            help="Functions, or gateway for the access logs; the default is all.",
            autocompletion=complete_service,
            callback=check_log_group,
        ),
    ] = None,
    since: SinceOption = "0s",
    root: RootOption = ROOT,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line.")
    ] = False,
) -> None:
    """Print the new log lines of all functions and APIs until interrupted.

    Each service has its own colour on a terminal. Exit status 130 means that you stopped the
    command with Ctrl-C.
    """
    start = _start(since)
    cloud = connect(environment, root)
    colours = choose_colours(all_log_groups(cloud).values())
    for lines in follow_services(cloud, services or (), start):
        for line in lines:
            if as_json:
                print_line(line.as_json())
            else:
                label = (f"{line.service:<11} ", colours[line.service])
                out.print(Text.assemble(label, line.as_text()))


def invoke(
    environment: EnvironmentArgument,
    service: Annotated[
        str,
        typer.Argument(
            help="Name of the function.", autocompletion=complete_service, callback=check_function
        ),
    ],
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            "--event", metavar="FILE", help="File with the event as JSON, or - for standard input."
        ),
    ] = None,
    example: Annotated[
        str | None,
        typer.Option(
            "--example", metavar="NAME", help="Name of an example event, or a unique part of it."
        ),
    ] = None,
    is_write: Annotated[
        bool,
        typer.Option(
            "--write",
            help="Confirm that the function may change data. Required if the environment's"
            " removal_policy is retain.",
        ),
    ] = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Invoke the live version of a function with an event, and print its log lines and its result.

    With neither --event nor --example, only print the names of the function's examples. Tokens,
    passwords and signatures in the result are masked. Exit status 1 means that the function raised
    an error.
    """
    if file and example:
        raise typer.BadParameter("--event and --example cannot be combined", param_hint="--event")
    if not file and not example:
        _print_examples(service, as_json)
        return
    event = _read_event(file) if file else find_example(service, str(example)).event
    result = invoke_function(connect(environment, root), service, event, write=is_write)
    if as_json:
        print_json(result)
    else:
        for line in result.lines:
            report(describe_line(line))
        report(f"{service} version {result.version}: {result.duration:.0f} ms")
        print_json(result.result)
    if result.error:
        raise OperatorError(f"{service} raised an error: {result.error}")


def _print_examples(service: str, as_json: bool) -> None:
    examples = list_examples(service)
    if as_json:
        print_json(examples)
        return
    for each in examples:
        print_line(f"{each.kind:<12} {each.name}")
    report(f"Invoke {service} with --example NAME or --event FILE")


def _read_event(file: Path) -> dict[str, Any]:
    """Returns the event in a file.

    Raises:
        OperatorError: The file cannot be read, or does not contain a JSON object.
    """
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        event = json.loads(text)
    except (OSError, ValueError) as error:
        raise OperatorError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(event, dict):
        raise OperatorError(f"{file} contains no JSON object, but an event must be one")
    return event
