"""up, down, dev, status, code: the platform on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cloud import EMBEDDED
from ops.commands.options import ROOT, EnvironmentOption, JsonOption, RootOption
from ops.console import answer, out, say
from ops.local.mail import verification_code
from ops.local.platform import start_platform, stop_platform
from ops.local.status import read_status
from ops.root import Root


def up(root: RootOption = ROOT, as_json: JsonOption = False) -> None:
    """Start the whole platform on this machine, or bring it up to date."""
    result = start_platform(Root(root))
    if as_json:
        answer({**result.platform, "seconds": result.seconds})
        return
    took = ", ".join(f"{step} {seconds:.1f}" for step, seconds in result.seconds.items())
    say(f"Up in {sum(result.seconds.values()):.0f} s ({took})")
    for label, key in (
        ("API", "apiUrl"),
        ("WebSocket", "wsUrl"),
        ("Site", "siteUrl"),
        ("AWS", "awsEndpoint"),
    ):
        out.print(f"{label:<10} {result.platform[key]}", markup=False)


def down(
    root: RootOption = ROOT,
    purge: Annotated[bool, typer.Option("--purge", help="Remove all its data too.")] = False,
) -> None:
    """Stop it and keep its data."""
    stopped = stop_platform(Root(root), purge=purge)
    say(f"Stopped {', '.join(stopped)}" if stopped else "Nothing ran")
    if purge:
        say(f"Removed {root}")


def dev(root: RootOption = ROOT) -> None:
    """Serve functions as they are saved, plan infrastructure changes and apply them on a key, and show all logs."""
    from ops.local.dev import develop  # noqa: PLC0415 - only this verb needs a file watcher

    develop(Root(root))


def status(
    environment: EnvironmentOption = EMBEDDED, root: RootOption = ROOT, as_json: JsonOption = False
) -> None:
    """Say what runs, where, and how it is. Exit status 1 unless it is healthy."""
    found = read_status(environment, Root(root))
    if as_json:
        answer(found)
    else:
        for process in found["processes"]:
            line = (
                f"port {process['port']}, process {process['pid']}"
                if process["running"]
                else "not running"
            )
            out.print(f"{process['name']:<10} {line}", markup=False)
        for label, address in found["addresses"].items():
            out.print(f"{label:<10} {address}", markup=False)
        out.print(f"{'resources':<10} {found['resources']}", markup=False)
        out.print(
            f"{'health':<10} {found['health']['status']} {found['health']['body']}", markup=False
        )
    raise typer.Exit(0 if found["health"]["status"] == 200 else 1)


def code(
    email: Annotated[str, typer.Argument(help="The address it was mailed to.")],
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Print the last verification code that the embedded Cognito mailed."""
    found = verification_code(Root(root), email)
    if as_json:
        answer({"email": email, "code": found})
    else:
        out.print(found, markup=False)


def register(app: typer.Typer) -> None:
    """Adds the verbs of this group."""
    for verb in (up, down, dev, status, code):
        app.command()(verb)
