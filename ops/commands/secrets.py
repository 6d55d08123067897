"""Manage the platform's secrets. Their values are never shown."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ops.cloud import connect
from ops.commands.options import ROOT, EnvironmentArgument, JsonOption, RootOption, ask
from ops.console import print_json, print_line, report
from ops.upkeep.secrets import DATABASE, SIGNING_KEY, Secrets

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode="markdown"
)
NameArgument = Annotated[str, typer.Argument(help="Name of the secret, from `ops secrets list`.")]


@app.command(name="list")
def list_(
    environment: EnvironmentArgument, root: RootOption = ROOT, as_json: JsonOption = False
) -> None:
    """List all secrets with the type, state, version and last change of each."""
    secrets = Secrets(connect(environment, root)).all()
    if as_json:
        print_json([secret.as_dict() for secret in secrets])
        return
    for secret in secrets:
        version = f"version {secret.version}" if secret.version else ""
        changed = f"{secret.changed:%Y-%m-%d %H:%M}" if secret.changed else ""
        line = (
            f"{secret.name:<16} {secret.kind:<10} {secret.state:<6} {version:<11} {changed:<17}"
            f" {secret.description}"
        )
        print_line(line.rstrip())


@app.command(name="set")
def set_(
    environment: EnvironmentArgument,
    name: NameArgument,
    clear: Annotated[
        bool, typer.Option("--clear", help="Clear the stored value instead of storing one.")
    ] = False,
    root: RootOption = ROOT,
) -> None:
    """Store a value, read from a prompt or standard input to keep it out of the shell history."""
    secrets = Secrets(connect(environment, root))
    if clear:
        report(f"Cleared {name}" if secrets.clear(name) else f"{name} was already unset")
        return
    value = ask(f"Value of {name}", hide_input=True) if sys.stdin.isatty() else sys.stdin.read()
    report(
        f"Stored {name}; functions use it within 5 minutes"
        if secrets.store(name, value)
        else f"{name} already has this value"
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
            help="Also reject the previous value. For jwt-secret, this signs out all users.",
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Rotate jwt-secret even if it was changed less than 7 days ago. This signs out"
            " users who have not refreshed their session since that change.",
        ),
    ] = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Generate a new value of a secret. With neither --leaked nor --force, users stay signed in.

    Without --leaked, the previous value of jwt-secret or cursor-key stays valid. The previous
    password of the database never stays valid.
    """
    version = Secrets(connect(environment, root)).rotate(name, leaked=leaked, force=force)
    if name == DATABASE:
        report("RDS is changing the master password, which takes about one minute")
    elif leaked:
        report(f"{name} has version {version}; earlier versions are rejected within 5 minutes")
    else:
        kept = "tokens" if name == SIGNING_KEY else "cursors"
        report(f"{name} has version {version}; {kept} from the previous version stay valid")
    if as_json:
        print_json({"name": name, "version": version})
