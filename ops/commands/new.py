"""Generate code for new parts of the platform."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.console import Progress, print_line, report
from ops.scaffold.service import create_service

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode="markdown"
)


@app.callback()
def options() -> None:
    """Generate code for new parts of the platform."""


@app.command()
def service(
    name: Annotated[
        str, typer.Argument(help="Name of the service, for example notes: the path /v1/NAME.")
    ],
) -> None:
    """Write a new service with a table, three routes, tests and documentation.

    Prints the written files. Takes about half a minute, and changes nothing if it fails or is
    interrupted.
    """
    with Progress() as progress:
        files = create_service(name, show=progress.show)
    for file in files:
        print_line(str(file))
    report(
        f"Wrote the service {name}. Next:\n"
        "  ops up                   # starts it on this machine\n"
        "  ops smoke local          # calls every route\n"
        "  ops review dev --offline # reviews what it adds to dev, without AWS\n"
        f"  python -m pytest tests/lambdas/{name}\n"
        f"Then change the table in modules/tables.py, the code in lambdas/{name} and its page"
        f" docs/api/{name}.md."
    )
