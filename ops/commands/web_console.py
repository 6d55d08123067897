"""Defines the command console: shows an environment in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cloud import EMBEDDED
from ops.commands.options import ROOT, EnvironmentArgument, RootOption, parse_whole_number
from ops.console import print_line
from ops.embedded.ports import choose_port
from ops.local.console_process import ConsoleAddress, console_address, local_token, new_token


def console(
    environment: EnvironmentArgument = EMBEDDED,
    *,
    write: Annotated[
        bool,
        typer.Option(
            "--write",
            help="Allow changes, such as redrives, even on AWS. Each change needs a confirmation.",
        ),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            parser=parse_whole_number(1, 65_535),
            metavar="PORT",
            help="Port on 127.0.0.1. The default is a free port.",
        ),
    ] = None,
    root: RootOption = ROOT,
) -> None:
    """Show an environment in a web console on this machine, until interrupted.

    For the platform on this machine, `ops up` starts a console. While that console runs, this
    command without --port only prints the console's address.
    """
    running = console_address(root) if environment == EMBEDDED else None
    if running and port is None:
        print_line(str(running))
        return
    from ops.web_console.server import run_console  # noqa: PLC0415 - only this command needs it
    from ops.web_console.source import Source  # noqa: PLC0415

    token = local_token(root) if environment == EMBEDDED else new_token()
    address = ConsoleAddress(port or choose_port(), token)
    source = Source(environment, root, write=write)
    if not source.is_local:
        # Reports wrong credentials before the console starts. Skipped for the local platform, which
        # may not be running yet.
        source.cloud()
    run_console(
        source,
        port=address.port,
        token=address.token,
        ready=lambda: print_line(str(address)),
    )
