"""release, rollback, deploy-function, prune, smoke, promote: what serves."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated, Any

import typer

from ops.cloud import connect
from ops.commands.options import ROOT, EnvironmentArgument, JsonOption, RootOption
from ops.console import answer, out, say
from ops.root import Root
from ops.smoke import Check
from ops.smoke.command import run_smoke_tests
from ops.traffic.code_update import deploy_function_code
from ops.traffic.prune import KEEP, delete_old_versions
from ops.traffic.release import BAKE, WEIGHT, Settings, release_service, roll_back_service

ServiceArgument = Annotated[
    str, typer.Argument(metavar="SERVICE", help="A function, such as auth; or all.")
]
WeightOption = Annotated[
    int, typer.Option(min=1, max=99, help="Percent of the traffic for new versions while watched.")
]
BakeOption = Annotated[str, typer.Option(help="How long new versions are watched: 90s, 5m.")]
PromoteOption = Annotated[
    bool,
    typer.Option("--promote", help="All traffic at once after the probes, without share and bake."),
]


def settings(weight: int, bake: str, promote: bool) -> Settings:
    """How a release goes, from its options.

    Raises:
        BadParameter: the duration is none.
    """
    match = re.fullmatch(r"(\d+)([sm])", bake)
    if not match:
        raise typer.BadParameter(
            f"{bake!r} is no duration: give a number and s or m, such as 5m", param_hint="--bake"
        )
    seconds = int(match[1]) * (60 if match[2] == "m" else 1)
    # A short bake is looked at often enough to see something.
    return Settings(weight, float(seconds), promote, min(Settings.interval, max(seconds / 5, 1.0)))


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
    """Publish the checkout's code, probe it, shift some traffic, watch, then promote or put back. Exit status 1 when put back."""
    _show(
        release_service(connect(environment, Root(root)), service, settings(weight, bake, promote)),
        as_json,
    )


def rollback(
    environment: EnvironmentArgument,
    service: ServiceArgument,
    *,
    to: Annotated[
        str | None, typer.Option(metavar="N", help="A version's number; else what served before.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take the lock from a command that holds it.")
    ] = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Move traffic back to the version that served before; all: of everything that the last release moved."""
    _show(roll_back_service(connect(environment, Root(root)), service, to, force=force), as_json)


def deploy_function(
    environment: EnvironmentArgument,
    service: ServiceArgument,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Give one function the checkout's code and all traffic, without an apply. For development; refused where data is kept."""
    _show(deploy_function_code(connect(environment, Root(root)), service), as_json)


def prune(
    environment: EnvironmentArgument,
    keep: Annotated[int, typer.Option(min=1, help="Versions of each function to keep.")] = KEEP,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Delete old versions, never one that an alias names or a rollback would go to."""
    gone = delete_old_versions(connect(environment, Root(root)), keep)
    if as_json:
        answer(gone)
        return
    for service, numbers in gone.items():
        out.print(f"{service:<12} {', '.join(numbers)}", markup=False)
    say(f"Deleted {sum(map(len, gone.values()))} versions")


def smoke(
    environment: EnvironmentArgument, root: RootOption = ROOT, as_json: JsonOption = False
) -> None:
    """Ask every route, read-mostly, within 60 s, and clean up. Exit status 1 unless all answers are right."""
    checks = run_smoke_tests(connect(environment, Root(root)))
    show_checks(checks, as_json)
    raise typer.Exit(0 if all(check.ok for check in checks) else 1)


def show_checks(checks: list[Check], as_json: bool) -> None:
    """Prints what smoke tests found."""
    if as_json:
        answer([dataclasses.asdict(check) for check in checks])
        return
    for check in checks:
        state = "ok" if check.ok else "WRONG"
        out.print(
            f"{state:<6}{check.seconds:6.2f} s  {check.request}  {check.detail}".rstrip(),
            markup=False,
        )
    wrong = sum(not check.ok for check in checks)
    say(f"{len(checks)} requests, {wrong} wrong" if wrong else f"{len(checks)} requests, all right")


def _show(moves: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        answer(moves)
        return
    for move in moves:
        out.print(f"{move['service']:<12} {move['from']} -> {move['to']}", markup=False)
    if not moves:
        say("Nothing was moved")


def register(app: typer.Typer) -> None:
    """Adds the verbs of this group."""
    for verb in (release, rollback, prune, smoke):
        app.command()(verb)
    app.command("deploy-function")(deploy_function)
