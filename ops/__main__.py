"""Entry point of the program `ops`, which `make setup` installs, and of `python -m ops`."""

from __future__ import annotations

import signal

if __name__ == "__main__":
    # Ctrl-C during the imports below ends the program without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import errno
import os
import sys
import tomllib
from collections.abc import Callable, MutableMapping
from typing import Annotated

import typer

from ops.commands.index import LazyGroup
from ops.console import accept_any_encoding, report
from ops.errors import FullDiskError, InterruptedRunError, OperatorError
from ops.root import PROJECT

app = typer.Typer(
    cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown"
)


def _print_version(wanted: bool) -> None:
    if wanted:
        with (PROJECT / "pyproject.toml").open("rb") as file:
            sys.stdout.write(f"ops {tomllib.load(file)['project']['version']}\n")
        raise typer.Exit


@app.callback(epilog="Example: `ops up`")
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Operate the Multitask Platform on this machine and on AWS.

    Exit status 1 means that a command failed, 2 that its arguments are wrong, and 130 that it was
    interrupted. Some commands define further statuses.
    """


LOOPBACK = ("localhost", "127.0.0.1", "::1")


def connect_to_loopback_directly(variables: MutableMapping[str, str]) -> None:
    """Changes `variables` so that programs reach loopback addresses without an HTTP proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in variables.get(name, "").split(",") if host]
        if hosts != ["*"]:
            variables[name] = ",".join(dict.fromkeys([*hosts, *LOOPBACK]))


def _is_aws_error(error: Exception) -> bool:
    """Returns True if the AWS SDK raised the error.

    Imports the SDK only if the command has already imported it.
    """
    if "botocore" not in sys.modules:
        return False
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    return isinstance(error, BotoCoreError | ClientError)


DISK_FULL_ERRORS = {errno.ENOSPC, errno.EDQUOT}
UNUSABLE_PATH_ERRORS = {
    *(errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT),
    *(errno.ENOTDIR, errno.EPERM, errno.EROFS),
}


def _describe(error: OSError) -> str:
    """Returns the message of an error that the operator can correct. Re-raises other errors."""
    if error.errno in DISK_FULL_ERRORS:
        return str(FullDiskError(error))
    if error.errno in UNUSABLE_PATH_ERRORS and error.filename is not None:
        return (
            f"{error.filename} cannot be used ({error.strerror}): check the path and its"
            " permissions, and run the command again"
        )
    raise error


def main(run: Callable[[], object] = lambda: app(prog_name="ops")) -> None:
    """Runs a command, and reports expected errors without a traceback.

    Exit statuses: 0 success, 1 failure with a reason, 2 wrong arguments, 130 interrupted.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    accept_any_encoding()
    connect_to_loopback_directly(os.environ)
    try:
        run()
    except OperatorError as error:
        report(f"Error: {error}")
        sys.exit(1)
    except InterruptedRunError as error:
        report(str(error))
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        report(f"Error: {_describe(error)}")
        sys.exit(1)
    except Exception as error:
        if not _is_aws_error(error):
            raise
        report(f"Error: AWS returned an error: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
