"""Runs the conformance checks against an AWS emulator, and returns their results."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass

import boto3
from botocore.exceptions import BotoCoreError, ClientError

# Importing these modules adds their checks to CHECKS.
from ops.conformance import compute, data, identity, messaging, operations  # noqa: F401
from ops.conformance.checks import CHECKS, Aws, Check, ConformanceError
from ops.errors import OperatorError


@dataclass(frozen=True)
class Result:
    """The result of one check."""

    service: str
    name: str
    error: str | None
    """Why the check failed. None if it passed."""


def run_checks(
    endpoint: str,
    session: boto3.session.Session,
    services: list[str] | None = None,
    authority: str | None = None,
) -> list[Result]:
    """Runs the checks of some services (default: all), and deletes the resources they created.

    Raises:
        OperatorError: A service has no checks.
    """
    known = {item.service for item in CHECKS}
    if unknown := set(services or ()) - known:
        raise OperatorError(
            f"There are no checks of {', '.join(sorted(unknown))}: choose from"
            f" {', '.join(sorted(known))}"
        )
    aws = Aws(endpoint, session, authority)
    try:
        return [
            Result(item.service, item.name, _run(item, aws))
            for item in CHECKS
            if not services or item.service in services
        ]
    finally:
        _close(aws.resources)


def _run(item: Check, aws: Aws) -> str | None:
    try:
        item.run(aws)
    except (
        BotoCoreError,
        ClientError,
        ConformanceError,
        KeyError,
        IndexError,
        ValueError,
    ) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _close(resources: ExitStack) -> None:
    # ExitStack runs all callbacks even if one raises. The error is ignored: a resource that an
    # emulator cannot delete disappears with the emulator.
    with suppress(BotoCoreError, ClientError):
        resources.close()
