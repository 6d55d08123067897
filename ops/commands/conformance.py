"""Defines the command conformance: compares an endpoint with AWS."""

from __future__ import annotations

import re
from typing import Annotated

import boto3
import typer

from ops.cloud import EMBEDDED, connect
from ops.commands.options import ROOT, JsonOption, RootOption
from ops.conformance.run import run_checks
from ops.console import print_result, report
from ops.embedded.services import ACCESS_KEY, SECRET_KEY


def _check_url(url: str | None) -> str | None:
    if url is not None and not re.fullmatch(r"https?://[^/\s]+/?", url):
        raise typer.BadParameter(f"{url!r} is not a URL, such as http://127.0.0.1:4566")
    return url


def conformance(
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            callback=_check_url,
            help="URL of an AWS emulator; the default is the running platform's.",
        ),
    ] = None,
    services: Annotated[
        list[str] | None,
        typer.Option(
            "--service",
            help="Service to check, by its name in boto3, such as sqs. Can be repeated."
            " Default: all.",
        ),
    ] = None,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Check that an AWS emulator supports what the stack and the functions need.

    Creates small resources, uses them, and deletes them. Exits with status 1 if a check fails.
    """
    url, authority = endpoint, None
    if not url:
        cloud = connect(EMBEDDED, root)
        url, authority = cloud.endpoint, cloud.authority
    assert url
    # An emulator accepts every access key. The operator's AWS credentials must not be sent to it.
    results = run_checks(url, boto3.Session(ACCESS_KEY, SECRET_KEY), services, authority)
    lines = [
        f"{'failed' if result.error else 'passed'}  {result.service:<24} {result.name}"
        + (f"\n        {result.error}" if result.error else "")
        for result in results
    ]
    print_result(results, lines, as_json=as_json)
    failed = sum(result.error is not None for result in results)
    report(f"{len(results) - failed} of {len(results)} checks passed")
    raise typer.Exit(1 if failed else 0)
