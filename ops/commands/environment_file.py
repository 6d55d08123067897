"""Create environment files, and compare environments."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.commands.options import (
    EnvironmentArgument,
    JsonOption,
    check_environment,
    complete_environment,
)
from ops.console import print_line, print_result, report
from ops.deployment.environment_file import compare_environments, create_environment

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode="markdown"
)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the new environment.")],
    like: Annotated[
        str,
        typer.Option(
            help="Environment whose settings are copied.",
            autocompletion=complete_environment,
            callback=check_environment,
        ),
    ] = "dev",
) -> None:
    """Write a new environment file with the settings and comments of another one."""
    print_line(str(create_environment(name, like)))
    report(
        f"Check the domains and the settings. Then:\n"
        f"  export {name.upper()}_ACCOUNT_ID=...   # 12 digits\n"
        f"  ops doctor {name}      # lists what the account lacks\n"
        f"  ops bootstrap {name}   # once per account\n"
        f"  ops deploy {name}\n"
        f"A pipeline needs a GitHub environment {name} and a job in"
        " .github/workflows/deploy.yml (docs/operations/pipelines.md)."
    )


@app.command()
def diff(
    first: EnvironmentArgument, second: EnvironmentArgument, as_json: JsonOption = False
) -> None:
    """Show the settings and the numbers of resources that differ between two environments."""
    result = compare_environments(first, second)
    rows = [
        (item.key, _text(item.first), _text(item.second))
        for item in [*result.settings, *result.resources]
    ]
    table = [("", first, second), *rows]
    widths = [max(len(row[column]) for row in table) for column in (0, 1)]
    lines = [f"{key:<{widths[0]}}  {one:<{widths[1]}}  {two}".rstrip() for key, one, two in table]
    print_result(result, lines, as_json=as_json)


def _text(value: object) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
