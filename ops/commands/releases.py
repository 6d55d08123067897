"""Defines commands for function versions: release, rollback, deploy-function, prune, smoke."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from ops.cloud import connect
from ops.commands.options import (
    ROOT,
    EnvironmentArgument,
    JsonOption,
    RootOption,
    check_functions,
    complete_service,
    parse_whole_number,
)
from ops.console import print_result, report
from ops.smoke import Check
from ops.smoke.command import run_smoke_tests
from ops.traffic.code_update import deploy_function_code
from ops.traffic.prune import KEEP, delete_old_versions
from ops.traffic.release import BAKE, WEIGHT, Settings, release_service, roll_back_service

ServiceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SERVICE",
        help="Name of a function, such as auth, or `all`.",
        autocompletion=complete_service,
        callback=check_functions,
    ),
]
WeightOption = Annotated[
    int,
    typer.Option(
        parser=parse_whole_number(1, 99),
        metavar="PERCENT",
        help="Percentage of traffic for new versions during the bake period, from 1 to 99.",
    ),
]


def _seconds(bake: str) -> int:
    match = re.fullmatch(r"(\d+)([sm])", bake)
    if not match:
        raise typer.BadParameter(
            f"{bake!r} is not a duration: use seconds or minutes, for example 90s or 5m"
        )
    return int(match[1]) * (60 if match[2] == "m" else 1)


def _check_bake(bake: str) -> str:
    _seconds(bake)
    return bake


BakeOption = Annotated[
    str,
    typer.Option(callback=_check_bake, help="Length of the bake period, such as 90s or 5m."),
]
PromoteOption = Annotated[
    bool,
    typer.Option("--promote", help="Shift all traffic after the probes, without a bake period."),
]


def settings(weight: int, bake: str, promote: bool) -> Settings:
    """Converts command options to release settings."""
    seconds = _seconds(bake)
    # Checks run at an interval. A short bake period gets a shorter interval, so that it has at
    # least five checks.
    return Settings(weight, float(seconds), promote, min(Settings.interval, max(seconds / 5, 1.0)))


def _check_version(version: str | None) -> str | None:
    return None if version is None else str(parse_whole_number(1)(version))


def release(
    environment: EnvironmentArgument,
    service: ServiceArgument,
    *,
    weight: WeightOption = WEIGHT,
    bake: BakeOption = f"{BAKE / 60:.0f}m",
    promote: PromoteOption = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Publish the checkout's code, probe it, shift some traffic, and promote or roll back.

    Exit status 1 means that the release failed or was rolled back.
    """
    _print_shifts(
        release_service(connect(environment, root), service, settings(weight, bake, promote)),
        as_json,
    )


def rollback(
    environment: EnvironmentArgument,
    service: ServiceArgument,
    *,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            callback=_check_version,
            help="Version number; the default is the previous version.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Take over the environment's lock if another command holds it."
        ),
    ] = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Shift traffic back to the previous version.

    For the service `all`, roll back every function whose traffic the last release shifted.
    """
    _print_shifts(roll_back_service(connect(environment, root), service, to, force=force), as_json)


def deploy_function(
    environment: EnvironmentArgument,
    service: ServiceArgument,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Deploy the checkout's code to one function, without an apply. For development only.

    Fails if the environment's removal_policy is retain.
    """
    _print_shifts(deploy_function_code(connect(environment, root), service), as_json)


def prune(
    environment: EnvironmentArgument,
    keep: Annotated[
        int,
        typer.Option(
            parser=parse_whole_number(1),
            metavar="N",
            help="Number of versions to keep per function.",
        ),
    ] = KEEP,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Delete old function versions, except those that an alias uses or a rollback needs."""
    deleted = delete_old_versions(connect(environment, root), keep)
    lines = [f"{service:<12} {', '.join(numbers)}" for service, numbers in deleted.items()]
    print_result(deleted, lines, as_json=as_json)
    report(f"Deleted {sum(map(len, deleted.values()))} versions")


def smoke(
    environment: EnvironmentArgument, root: RootOption = ROOT, as_json: JsonOption = False
) -> None:
    """Call every API route (mostly reads), then delete the test data. Takes less than 60 s.

    Exit status 1 means that a response was wrong.
    """
    checks = run_smoke_tests(connect(environment, root))
    show_checks(checks, as_json)
    raise typer.Exit(0 if all(check.ok for check in checks) else 1)


def show_checks(checks: list[Check], as_json: bool) -> None:
    """Prints the results of smoke tests."""
    lines = [
        f"{'ok' if check.ok else 'WRONG':<6}{check.seconds:6.2f} s  {check.request}"
        f"  {check.detail}".rstrip()
        for check in checks
    ]
    print_result(checks, lines, as_json=as_json)
    wrong = sum(not check.ok for check in checks)
    report(
        f"{len(checks)} requests, {wrong} wrong" if wrong else f"{len(checks)} requests, all right"
    )


def _print_shifts(shifts: list[dict[str, Any]], as_json: bool) -> None:
    lines = [f"{shift['service']:<12} {shift['from']} -> {shift['to']}" for shift in shifts]
    print_result(shifts, lines, as_json=as_json)
    if not shifts:
        report("No traffic was shifted")
