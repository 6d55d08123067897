"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.root import Root


def _parse_root(value: str | Root) -> Root:
    return value if isinstance(value, Root) else Root(Path(value))


RootOption = Annotated[
    Root,
    typer.Option(
        "--root",
        parser=_parse_root,
        metavar="PATH",
        help="Directory with the files of the local platform.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON to standard output.")
]
EnvironmentArgument = Annotated[
    str, typer.Argument(metavar="ENVIRONMENT", help="Name of an environment file in environments/.")
]
EnvironmentOption = Annotated[
    str,
    typer.Option(
        "--env", metavar="ENVIRONMENT", help="Name of an environment file in environments/."
    ),
]
ROOT = Root()
