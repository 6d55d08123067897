"""Defines the command cost: estimates the monthly cost of an environment."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.commands.options import (
    EnvironmentOrExampleArgument,
    JsonOption,
    check_environment_or_example,
)
from ops.console import out, print_json, print_line, report
from ops.terraform.stack_cache import read_cached_stack
from ops.terraform.stack_document import Synthesized


def cost(  # noqa: PLR0917 - typer takes options as arguments
    environment: EnvironmentOrExampleArgument,
    usage: Annotated[
        str,
        typer.Option(
            "--usage", metavar="FILE", help="Usage to estimate for: idle, 1m, 100m, or a file."
        ),
    ] = "1m",
    compare: Annotated[
        str | None,
        typer.Option(
            "--compare",
            metavar="ENV",
            help="Another environment to compare the cost with.",
            callback=check_environment_or_example,
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Show the cost change of this plan (JSON from `terraform show -json`).",
        ),
    ] = None,
    resources: Annotated[
        bool, typer.Option("--resources", help="List every charge of every resource.")
    ] = False,
    advise: Annotated[
        bool,
        typer.Option(
            "--advise",
            help="List cheaper values for settings, with the saving and the disadvantage of each"
            " value.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Estimate the monthly cost of an environment by service or resource.

    The estimate uses the synthesized stack or a plan, and separates fixed from usage costs.
    """
    from ops.cost.text import assumptions  # noqa: PLC0415 - only this command needs it
    from ops.cost.usage import load_usage  # noqa: PLC0415

    if sum(map(bool, (compare, plan, advise))) > 1:
        raise typer.BadParameter("--compare, --plan and --advise cannot be combined")
    used = load_usage(usage)
    if plan:
        document = _plan_difference(plan, used, as_json)
    elif advise:
        document = _environment_advice(environment, used, as_json)
    elif compare:
        document = _environment_difference(environment, compare, used, as_json)
    else:
        document = _environment_bill(environment, used, resources, as_json)
    if as_json:
        print_json(document)
    else:
        print_line(f"For {assumptions(used)}")


def _environment_bill(environment: str, used: Any, resources: bool, quiet: bool) -> dict[str, Any]:
    from ops.cost import text  # noqa: PLC0415
    from ops.cost.bill import make_bill  # noqa: PLC0415
    from ops.cost.resources import stack_resources  # noqa: PLC0415

    bill = make_bill(stack_resources(_stacks([environment])[environment]), used)
    if not quiet:
        out.print(text.by_resource(bill) if resources else text.by_service(bill))
        for note in text.notes(bill):
            print_line(note)
    return text.bill_document(bill, used)


def _environment_advice(environment: str, used: Any, quiet: bool) -> dict[str, Any]:
    from ops.cost import text  # noqa: PLC0415
    from ops.cost.advice import advise  # noqa: PLC0415
    from ops.cost.bill import make_bill  # noqa: PLC0415
    from ops.cost.prices import load_prices  # noqa: PLC0415
    from ops.cost.resources import stack_resources  # noqa: PLC0415

    resources = stack_resources(_stacks([environment])[environment])
    bill = make_bill(resources, used)
    advice = advise(resources, bill, load_prices(), used)
    if not quiet:
        out.print(text.by_service(bill))
        print_line("\nCheaper values for settings, with the USD a month that each would save:")
        for line in text.advice_lines(advice):
            print_line(line)
    return {**text.bill_document(bill, used), "advice": [asdict(item) for item in advice]}


def _environment_difference(environment: str, other: str, used: Any, quiet: bool) -> dict[str, Any]:
    from ops.cost import text  # noqa: PLC0415
    from ops.cost.bill import Difference, make_bill  # noqa: PLC0415
    from ops.cost.resources import stack_resources  # noqa: PLC0415

    stacks = _stacks([environment, other])
    difference = Difference(
        *(make_bill(stack_resources(stacks[name]), used) for name in (environment, other))
    )
    if not quiet:
        out.print(text.difference_table(difference, environment, other))
        for note in dict.fromkeys([*text.notes(difference.before), *text.notes(difference.after)]):
            print_line(note)
    return {"environments": [environment, other], **text.difference_document(difference)}


def _plan_difference(file: Path, used: Any, quiet: bool) -> dict[str, Any]:
    from ops.cost import text  # noqa: PLC0415
    from ops.cost.bill import Difference, make_bill  # noqa: PLC0415
    from ops.cost.resources import plan_resources  # noqa: PLC0415
    from ops.terraform.plan_file import read_plan_file  # noqa: PLC0415

    before, after = plan_resources(read_plan_file(file))
    difference = Difference(make_bill(before, used), make_bill(after, used))
    if not quiet:
        out.print(text.difference_table(difference, "before", "after"))
        for note in text.notes(difference.after):
            print_line(note)
    return text.difference_document(difference)


def _stacks(names: list[str]) -> dict[str, Synthesized]:
    return {name: read_cached_stack(name, report) for name in names}
