"""Arguments that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.root import DEFAULT_ROOT

RootOption = Annotated[
    Path, typer.Option("--root", help="Where the local platform keeps its files.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON on standard output.")]
EnvironmentArgument = Annotated[
    str, typer.Argument(metavar="ENVIRONMENT", help="A file's name in environments/.")
]
EnvironmentOption = Annotated[
    str, typer.Option("--env", metavar="ENVIRONMENT", help="A file's name in environments/.")
]
ROOT = DEFAULT_ROOT
