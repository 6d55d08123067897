"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.root import DEFAULT_ROOT

RootOption = Annotated[
    Path, typer.Option("--root", help="Directory with the files of the local platform.")
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
ROOT = DEFAULT_ROOT
