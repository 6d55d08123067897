"""Commands up, down, dev, status and code: the platform on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cloud import EMBEDDED
from ops.commands.options import ROOT, EnvironmentOption, JsonOption, RootOption
from ops.console import out, print_json, report
from ops.local.mail import verification_code
from ops.local.platform import start_platform, stop_platform
from ops.local.status import read_status
from ops.root import Root


def up(root: RootOption = ROOT, as_json: JsonOption = False) -> None:
    """Start the platform on this machine, or update the one that is running."""
    result = start_platform(Root(root))
    if as_json:
        print_json({**result.platform, "seconds": result.seconds})
        return
    took = ", ".join(f"{step} {seconds:.1f}" for step, seconds in result.seconds.items())
    report(f"Up in {sum(result.seconds.values()):.0f} s ({took})")
    for label, key in (
        ("API", "apiUrl"),
        ("WebSocket", "wsUrl"),
        ("Site", "siteUrl"),
        ("AWS", "awsEndpoint"),
    ):
        out.print(f"{label:<10} {result.platform[key]}", markup=False)


def down(
    root: RootOption = ROOT,
    purge: Annotated[bool, typer.Option("--purge", help="Also delete all data.")] = False,
) -> None:
    """Stop the platform on this machine and keep its data."""
    stopped = stop_platform(Root(root), purge=purge)
    report(f"Stopped {', '.join(stopped)}" if stopped else "Nothing was running")
    if purge:
        report(f"Deleted {root}")


def dev(root: RootOption = ROOT) -> None:
    """Deploy functions as you save them, plan infrastructure changes, and show all logs.

    Press a to apply the plan, q to quit.
    """
    from ops.local.dev import develop  # noqa: PLC0415 - only this command needs a file watcher

    develop(Root(root))


def status(
    environment: EnvironmentOption = EMBEDDED, root: RootOption = ROOT, as_json: JsonOption = False
) -> None:
    """Show the processes, addresses and health of a platform.

    Exit status 1 means that the platform is not healthy.
    """
    result = read_status(environment, Root(root))
    if as_json:
        print_json(result)
    else:
        for process in result["processes"]:
            line = (
                f"port {process['port']}, process {process['pid']}"
                if process["running"]
                else "not running"
            )
            out.print(f"{process['name']:<10} {line}", markup=False)
        for label, address in result["addresses"].items():
            out.print(f"{label:<10} {address}", markup=False)
        out.print(f"{'resources':<10} {result['resources']}", markup=False)
        out.print(
            f"{'health':<10} {result['health']['status']} {result['health']['body']}", markup=False
        )
    raise typer.Exit(0 if result["health"]["status"] == 200 else 1)


def code(
    email: Annotated[str, typer.Argument(help="Email address that the code was sent to.")],
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Print the latest verification code that the embedded Cognito sent."""
    latest = verification_code(Root(root), email)
    if as_json:
        print_json({"email": email, "code": latest})
    else:
        out.print(latest, markup=False)


def register(app: typer.Typer) -> None:
    """Adds the commands of this module to the app."""
    for verb in (up, down, dev, status, code):
        app.command()(verb)
