"""secrets list, set, rotate: the platform's secrets, whose values are never shown."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ops.cloud import connect
from ops.commands.options import ROOT, EnvironmentArgument, JsonOption, RootOption
from ops.console import answer, out, say
from ops.root import Root
from ops.upkeep.secrets import DATABASE, SIGNING_KEY, Secrets

app = typer.Typer(help="The platform's secrets. No value is ever shown.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(help="As `ops secrets list` names it.")]


@app.command(name="list")
def list_(
    environment: EnvironmentArgument, root: RootOption = ROOT, as_json: JsonOption = False
) -> None:
    """List them: who makes each, whether it is set, its version, and when it changed."""
    found = Secrets(connect(environment, Root(root))).all()
    if as_json:
        answer([secret.as_dict() for secret in found])
        return
    for secret in found:
        version = f"version {secret.version}" if secret.version else ""
        changed = f"{secret.changed:%Y-%m-%d %H:%M}" if secret.changed else ""
        line = f"{secret.name:<16} {secret.kind:<10} {secret.state:<6} {version:<11} {changed:<17} {secret.description}"
        out.print(line.rstrip(), markup=False)


@app.command(name="set")
def set_(
    environment: EnvironmentArgument,
    name: NameArgument,
    clear: Annotated[bool, typer.Option("--clear", help="Take the value away.")] = False,
    root: RootOption = ROOT,
) -> None:
    """Store a value, which is asked for, or read from standard input: never from the command line."""
    found = Secrets(connect(environment, Root(root)))
    if clear:
        say(f"{name} is unset now" if found.clear(name) else f"{name} was unset already")
        return
    value = (
        typer.prompt(f"Value of {name}", hide_input=True, err=True)
        if sys.stdin.isatty()
        else sys.stdin.read()
    )
    say(
        f"Stored {name}; functions use it within 5 minutes"
        if found.store(name, value)
        else f"{name} is that already"
    )


@app.command()
def rotate(
    environment: EnvironmentArgument,
    name: NameArgument,
    *,
    leaked: Annotated[
        bool,
        typer.Option(
            "--leaked",
            help="Also stop accepting the value before: for jwt-secret, everybody is signed out.",
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Even if the signing key was changed less than a session's life ago."
        ),
    ] = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Replace a value by a new one. The one before is still accepted, so that nobody is signed out."""
    version = Secrets(connect(environment, Root(root))).rotate(name, leaked=leaked, force=force)
    if name == DATABASE:
        say("RDS changes the master password now, in a minute or so")
    elif leaked:
        say(
            f"{name} has version {version}; within 5 minutes nothing made with an earlier one is accepted"
        )
    else:
        kept = "tokens" if name == SIGNING_KEY else "cursors"
        say(f"{name} has version {version}; {kept} made with the one before stay good")
    if as_json:
        answer({"name": name, "version": version})
