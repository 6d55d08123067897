"""Entry point of `python -m ops COMMAND`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, MutableMapping

import typer
from botocore.exceptions import BotoCoreError, ClientError

from ops.commands import (
    cost,
    database,
    deployment,
    diagram,
    environment,
    events,
    local,
    releases,
    review,
    secrets,
    users,
)
from ops.console import accept_any_encoding, report
from ops.errors import InterruptedRunError, OperatorError

app = typer.Typer(
    help="Operate the Multitask Platform on this machine (up, down, status, logs, code) and on AWS"
    " (bootstrap, deploy, ...). Exit status 1 means that a command failed, 2 that its arguments are"
    " wrong, and 130 that it was interrupted. Some commands define further statuses.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for group in (local, environment, deployment, releases, events, database, review, cost, diagram):
    group.register(app)
app.add_typer(users.app, name="user")
app.add_typer(secrets.app, name="secrets")


LOOPBACK = ("localhost", "127.0.0.1", "::1")


def connect_to_loopback_directly(variables: MutableMapping[str, str]) -> None:
    """Excludes this machine's loopback addresses from the HTTP proxy settings in `variables`."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in variables.get(name, "").split(",") if host]
        if hosts != ["*"]:
            variables[name] = ",".join(dict.fromkeys([*hosts, *LOOPBACK]))


def main(run: Callable[[], object] = app) -> None:
    """Runs a command.

    Exit statuses: 0 success, 1 failure with a reason, 2 wrong arguments, 130 interrupted.
    """
    accept_any_encoding()
    connect_to_loopback_directly(os.environ)
    try:
        run()
    except OperatorError as error:
        report(f"Error: {error}")
        sys.exit(1)
    except (ClientError, BotoCoreError) as error:
        report(f"Error: AWS returned an error: {error}")
        sys.exit(1)
    except InterruptedRunError as error:
        report(str(error))
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
