"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.root import PROJECT, Root


def _parse_root(value: str | Root) -> Root:
    return value if isinstance(value, Root) else Root(Path(value))


def complete_environment(incomplete: str) -> list[str]:
    """Returns the environments whose names start with `incomplete`, for the shell's completion."""
    names = sorted(file.stem for file in (PROJECT / "environments").glob("*.yml"))
    return [name for name in names if name.startswith(incomplete)]


def complete_service(incomplete: str) -> list[str]:
    """Returns the functions whose names start with `incomplete`, for the shell's completion."""
    names = sorted(file.parent.name for file in (PROJECT / "lambdas").glob("*/handler.py"))
    return [name for name in names if name.startswith(incomplete)]


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
    str,
    typer.Argument(
        metavar="ENVIRONMENT",
        help="Name of an environment file in environments/.",
        autocompletion=complete_environment,
    ),
]
EnvironmentOption = Annotated[
    str,
    typer.Option(
        "--env",
        metavar="ENVIRONMENT",
        help="Name of an environment file in environments/.",
        autocompletion=complete_environment,
    ),
]
ROOT = Root()
