"""Defines the command capacity: computes which limit an environment exceeds first."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ops.commands.options import EnvironmentOrExampleArgument, JsonOption, parse_whole_number
from ops.console import out, print_json, print_line, report
from ops.root import write_text
from ops.terraform.stack_document import Synthesized

FIRST = 10
"""Maximum number of limits that the picture shows. The text shows as many, or all with --all."""


def capacity(  # noqa: PLR0917 - typer takes options as arguments
    environment: EnvironmentOrExampleArgument,
    users: Annotated[
        int | None,
        typer.Option(
            "--users",
            metavar="N",
            parser=parse_whole_number(1, 1_000_000_000),
            help="Number of daily active users.",
        ),
    ] = None,
    usage: Annotated[
        Path | None,
        typer.Option(
            "--usage",
            metavar="FILE",
            help="Usage model: a file with numbers that replace those of ops/capacity/model.yml.",
        ),
    ] = None,
    find: Annotated[
        bool,
        typer.Option(
            "--find", help="Use the largest number of daily active users that breaks no limit."
        ),
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE",
            help="Write an SVG picture of the limits that are reached first to this file.",
        ),
    ] = None,
    all_limits: Annotated[
        bool, typer.Option("--all", help="List every limit, not only the first ten.")
    ] = False,
    memory: Annotated[
        int | None,
        typer.Option(
            "--memory",
            metavar="MS",
            parser=parse_whole_number(1),
            help="List each function's cheapest memory size whose p99 latency is at most MS ms.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compute which limits an environment exceeds first, at how many users, and the month's cost.

    The limits come from the synthesized stack and from AWS's documented quotas, the demand from
    the usage model and the measured AWS calls of each route.
    """
    from ops.terraform.stack_cache import read_cached_stack  # noqa: PLC0415 - slow to import

    if (users is None) != find:
        raise typer.BadParameter("exactly one of --users N and --find is required")
    show(
        read_cached_stack(environment, report),
        users,
        usage=usage,
        picture=picture,
        all_limits=all_limits,
        memory=memory,
        as_json=as_json,
    )


def show(
    synthesized: Synthesized,
    users: float | None,
    *,
    usage: Path | None = None,
    picture: Path | None = None,
    all_limits: bool = False,
    memory: float | None = None,
    as_json: bool = False,
) -> None:
    """Prints the forecast of a stack.

    Args:
        users: Daily active users. None for the largest number that breaks no limit.
        memory: Maximum p99 latency in milliseconds, for which memory sizes are compared.
    """
    # Only this command needs these modules, so they are imported here.
    from environments import load_environment  # noqa: PLC0415
    from ops.capacity import text  # noqa: PLC0415
    from ops.capacity.calls import load_rows  # noqa: PLC0415
    from ops.capacity.forecast import MOST_USERS, Forecast  # noqa: PLC0415
    from ops.capacity.memory import choose  # noqa: PLC0415
    from ops.capacity.model import load_model  # noqa: PLC0415
    from ops.capacity.month import month_usage  # noqa: PLC0415
    from ops.capacity.picture import svg  # noqa: PLC0415
    from ops.capacity.quotas import load_quotas  # noqa: PLC0415
    from ops.capacity.stack import read_stack  # noqa: PLC0415
    from ops.cost.bill import make_bill  # noqa: PLC0415
    from ops.cost.prices import load_prices  # noqa: PLC0415
    from ops.cost.resources import stack_resources  # noqa: PLC0415

    granted = load_environment(synthesized.environment).quotas
    model, quotas = load_model(usage), load_quotas().with_granted(granted)
    forecast = Forecast(read_stack(synthesized), model, quotas, load_rows())
    first = forecast.first_break()
    count = users if users is not None else (first or MOST_USERS) // 1
    uses = forecast.uses(count)
    bill = make_bill(stack_resources(synthesized), month_usage(forecast, count))
    title = f"{synthesized.environment} at {text.format_users(count)} daily active users"
    if picture:
        write_text(picture, svg(forecast, uses[:FIRST], count, title))
        report(f"Wrote {picture}")
    choices = (
        list(choose(forecast, count, memory, rows=load_rows(), quotas=quotas, prices=load_prices()))
        if memory
        else []
    )
    seconds = forecast.recovery_seconds(count)
    if as_json:
        document = text.document(count, uses, first, bill, quotas)
        document["recoverySeconds"] = round(seconds)
        document["memory"] = [asdict(choice) for choice in choices]
        print_json(document)
        return
    shown = uses if all_limits else uses[:FIRST]
    print_line(f"{title}. The first limit breaks at {text.format_users(first)}.")
    out.print(text.use_table(shown))
    print_line("\nTo raise these limits:")
    for line in text.changes(shown):
        print_line(line)
    if memory:
        print_line("")
        out.print(text.memory_table(choices, memory))
    print_line(f"\nAfter an outage, everybody is connected again within about {seconds:,.0f} s.")
    print_line(
        f"The month costs {bill.usd:,.0f} USD: {bill.fixed_usd:,.0f} fixed and"
        f" {bill.used_usd:,.0f} that depend on usage."
    )
    print_line(
        f"Model: {model.name}. Quotas of {quotas.region}, read {quotas.read:%Y-%m-%d}."
        " A question mark means that AWS's documentation does not contain the value."
    )
