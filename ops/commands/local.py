"""Defines commands for the platform on this machine: up, down, dev, status, code and seed."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cloud import EMBEDDED, connect
from ops.commands.options import ROOT, EnvironmentOption, JsonOption, RootOption, check_email
from ops.console import print_result, report
from ops.deployment.health import Health
from ops.local.console_process import console_address
from ops.local.mail import verification_code
from ops.local.platform import start_platform, stop_platform
from ops.local.status import read_status


def up(
    root: RootOption = ROOT,
    reset: Annotated[
        bool,
        typer.Option(
            "--reset",
            help="Start with an empty embedded AWS. Also reset a database that cannot start. Copies"
            " of the old data are kept.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start the platform on this machine, or update the one that is running."""
    result = start_platform(root, reset=reset)
    took = ", ".join(f"{step} {seconds:.1f}" for step, seconds in result.seconds.items())
    report(f"Up in {sum(result.seconds.values()):.0f} s ({took})")
    labels = {
        "Plain site": "plainSiteUrl",
        "Site": "siteUrl",
        "API": "apiUrl",
        "WebSocket": "wsUrl",
        "AWS": "awsEndpoint",
    }
    lines = [f"{label:<10} {result.platform[key]}" for label, key in labels.items()]
    console = console_address(root)
    if console:
        lines.append(f"{'Console':<10} {console}")
    lines.append(describe_trust(result.platform["authority"]))
    document = {**result.platform, "seconds": result.seconds, "consoleUrl": str(console or "")}
    print_result(document, lines, as_json=as_json)


def describe_trust(authority: str) -> str:
    """Returns the lines that explain why browsers warn about the addresses with TLS."""
    return (
        f"The certificate of the https and wss addresses is from the authority {authority}.\n"
        "Browsers warn about this certificate. They do not warn about the plain site, which uses"
        " http. To avoid the warning, see docs/architecture/local-platform.md. For curl, add"
        f" --cacert {authority}"
    )


def down(
    root: RootOption = ROOT,
    purge: Annotated[
        bool, typer.Option("--purge", help="Also delete all data of the platform.")
    ] = False,
) -> None:
    """Stop the platform on this machine and keep its data."""
    stopped = stop_platform(root, purge=purge)
    report(f"Stopped {', '.join(stopped)}" if stopped else "Nothing was running")
    if purge:
        report(f"Deleted {root}")


def dev(root: RootOption = ROOT) -> None:
    """Deploy functions as you save them, plan infrastructure changes, and show all logs.

    Press a to apply the plan, q to quit.
    """
    from ops.local.dev import develop  # noqa: PLC0415 - only this command needs a file watcher

    develop(root)


def status(
    environment: EnvironmentOption = EMBEDDED, root: RootOption = ROOT, as_json: JsonOption = False
) -> None:
    """Show the processes, addresses and health of a platform.

    Exit status 1 means that the platform is not healthy.
    """
    result = read_status(environment, root)
    processes = [
        (
            process["name"],
            f"port {process['port']}, process {process['pid']}"
            if process["running"]
            else "not running: start it with `make up`",
        )
        for process in result["processes"]
    ]
    health = result["health"]
    rows = [
        *processes,
        *result["addresses"].items(),
        ("resources", result["resources"]),
        ("health", f"{health['status']} {Health(**health).describe()}"),
    ]
    lines = [f"{label:<10} {value}" for label, value in rows]
    if result["authority"]:
        lines.append(describe_trust(result["authority"]))
    print_result(result, lines, as_json=as_json)
    raise typer.Exit(0 if health["status"] == 200 else 1)


def code(
    email: Annotated[
        str,
        typer.Argument(help="Email address that the code was sent to.", callback=check_email),
    ],
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Print the latest verification code that the embedded Cognito sent."""
    latest = verification_code(root, email)
    print_result({"email": email, "code": latest}, [latest], as_json=as_json)


def _check_local(environment: str) -> str:
    if environment != EMBEDDED:
        raise typer.BadParameter(
            f"{environment!r} must not have demonstration data: use {EMBEDDED}, or omit the"
            " argument"
        )
    return environment


def seed(
    environment: Annotated[
        str,
        typer.Argument(help="The environment. Only local is allowed.", callback=_check_local),
    ] = EMBEDDED,
    is_removal: Annotated[
        bool,
        typer.Option(
            "--remove", help="Delete the demonstration people and everything that they created."
        ),
    ] = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Fill the platform on this machine with demonstration data: people, rooms, posts, listings.

    Creates only what is missing, so it is safe to repeat.
    """
    from ops.seed import remove_community, seed_community  # noqa: PLC0415 - only needed here

    cloud = connect(environment, root)
    if is_removal:
        removed = remove_community(cloud)
        print_result(removed, [f"Deleted {address}" for address in removed], as_json=as_json)
        return
    result = seed_community(cloud)
    report(f"Sign in as any of the demonstration people with the password {result.password}")
    print_result(result, result.addresses, as_json=as_json)
