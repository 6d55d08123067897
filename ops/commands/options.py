"""Defines arguments and options that several commands share."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from environments import environment_names, example_names
from ops.console import without_progress
from ops.root import PROJECT, Root


def ask(question: str, *, hide_input: bool = False) -> str:
    """Prompts the operator on standard error, and returns the input."""
    with without_progress():
        return str(typer.prompt(question, hide_input=hide_input, err=True))


def ask_confirmation(question: str) -> bool:
    """Prompts the operator on standard error. Returns True if the input is yes."""
    with without_progress():
        return typer.confirm(question, err=True)


def _parse_root(value: str | Root) -> Root:
    return value if isinstance(value, Root) else Root(Path(value))


def complete_environment(incomplete: str) -> list[str]:
    """Returns the environments whose names start with `incomplete`, for the shell's completion."""
    return [name for name in environment_names() if name.startswith(incomplete)]


def complete_example(incomplete: str) -> list[str]:
    """Returns the environments and examples whose names start with `incomplete`."""
    names = [*environment_names(), *example_names()]
    return [name for name in names if name.startswith(incomplete)]


def complete_service(incomplete: str) -> list[str]:
    """Returns the functions whose names start with `incomplete`, for the shell's completion."""
    names = sorted(file.parent.name for file in (PROJECT / "lambdas").glob("*/handler.py"))
    return [name for name in names if name.startswith(incomplete)]


def check_environment(value: Any) -> Any:
    """Validates the environment names in a command-line value. Returns the value.

    Raises:
        BadParameter: An environment has no file, or is an example.
    """
    return _check_environment(value, complete_environment(""))


def check_environment_or_example(value: Any) -> Any:
    """Validates names of environments or examples in a command-line value. Returns the value.

    Raises:
        BadParameter: An environment has no file.
    """
    return _check_environment(value, complete_example(""))


def _check_environment(value: Any, known: list[str]) -> Any:
    for name in value if isinstance(value, list | tuple) else [value]:
        if name in example_names() and name not in known:
            raise typer.BadParameter(
                f"{name!r} is an example: `ops environment new NAME --like {name}` creates an"
                " environment from it"
            )
        if name is not None and name not in known:
            similar = difflib.get_close_matches(name, known, 1)
            raise typer.BadParameter(
                f"there is no environment {name!r}"
                + (f", did you mean {similar[0]}?" if similar else f": use {_either(known)}")
                + " `ops environment new` creates an environment"
            )
    return value


def check_function(value: str) -> str:
    """Validates the name of a function, and returns it.

    Raises:
        BadParameter: The function does not exist.
    """
    return _check_name(value, complete_service(""))


def check_functions(value: str) -> str:
    """Validates the name of a function, or `all`, and returns it.

    Raises:
        BadParameter: The function does not exist.
    """
    return _check_name(value, [*complete_service(""), "all"])


def check_log_group(value: Any) -> Any:
    """Validates names of functions, or `gateway` for the access logs. Returns the value.

    Raises:
        BadParameter: The log group does not exist.
    """
    for name in [value] if isinstance(value, str) else value or ():
        _check_name(name, [*complete_service(""), "gateway"])
    return value


def _check_name(value: str, known: list[str]) -> str:
    if value not in known:
        raise typer.BadParameter(f"{value!r} is not a function: use {_either(known)}")
    return value


def _either(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}."


def check_email(value: str) -> str:
    """Validates an email address, and returns it.

    Raises:
        BadParameter: The services would reject the address.
    """
    from ops.accounts import account_address  # noqa: PLC0415 - only some commands need it
    from ops.errors import OperatorError  # noqa: PLC0415

    try:
        account_address(value)
    except OperatorError as error:
        raise typer.BadParameter(str(error)) from error
    return value


def parse_whole_number(minimum: int, maximum: int | None = None) -> Callable[[Any], int]:
    """Returns a parser of whole numbers in a range."""
    bounds = f"from {minimum} upwards" if maximum is None else f"from {minimum} to {maximum}"

    def parse(value: Any) -> int:
        text = str(value)
        if re.fullmatch(r"[0-9]{1,10}", text):
            number = int(text)
            if minimum <= number and (maximum is None or number <= maximum):
                return number
        raise typer.BadParameter(f"{text!r} is not a whole number {bounds}")

    return parse


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
        callback=check_environment,
    ),
]
EnvironmentOrExampleArgument = Annotated[
    str,
    typer.Argument(
        metavar="ENVIRONMENT",
        help="Name of an environment file in environments/ or environments/examples/.",
        autocompletion=complete_example,
        callback=check_environment_or_example,
    ),
]
EnvironmentOption = Annotated[
    str,
    typer.Option(
        "--env",
        metavar="ENVIRONMENT",
        help="Name of an environment file in environments/.",
        autocompletion=complete_environment,
        callback=check_environment,
    ),
]
ROOT = Root()
