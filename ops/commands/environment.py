"""bootstrap, synth, env, logs: one environment, wherever it lives."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Annotated

import typer

from ops.cloud import EMBEDDED, connect
from ops.commands.options import (
    ROOT,
    EnvironmentArgument,
    EnvironmentOption,
    JsonOption,
    RootOption,
)
from ops.console import answer, out, say
from ops.deployment.bootstrap import bootstrap_account
from ops.root import PROJECT, Root
from ops.terraform.synthesis import synthesize
from ops.terraform.toolchain import node_variables, terraform_variables
from ops.upkeep.logs import follow, parse_since, read


def bootstrap(
    environment: EnvironmentArgument, root: RootOption = ROOT, as_json: JsonOption = False
) -> None:
    """Make what exists before or beside the stack: state bucket, account-level settings. May be repeated."""
    steps = bootstrap_account(connect(environment, Root(root)))
    if as_json:
        answer([dataclasses.asdict(step) for step in steps])
        return
    for step in steps:
        out.print(
            f"{step.outcome:<14} {step.name}{f': {step.detail}' if step.detail else ''}",
            markup=False,
        )


def synth(
    environments: Annotated[
        list[str] | None, typer.Argument(help="Environments; all if none is named.")
    ] = None,
    directory: Annotated[Path, typer.Option("--out", help="The output directory.")] = PROJECT
    / "cdktf.out",
) -> None:
    """Write environments' Terraform, one directory each below OUT/stacks."""
    synthesize(environments or [], directory.resolve(), {})
    say(f"Wrote {directory}/stacks")


def env(environment: EnvironmentArgument, root: RootOption = ROOT) -> None:
    """Print the exports that let plain `cdktf` and `terraform` work on an environment: eval "$(python -m ops env local)"."""
    place = Root(root)
    variables = {**connect(environment, place).variables, **node_variables()}
    settings = terraform_variables(place).get("TF_CLI_CONFIG_FILE")
    for name, value in {
        **variables,
        **({"TF_CLI_CONFIG_FILE": settings} if settings else {}),
    }.items():
        out.print(f"export {name}={shlex.quote(value)}", markup=False)


def logs(
    service: Annotated[
        str,
        typer.Argument(
            help="A function: auth, profile, chat, post, catalog, ai, authorizer, health..."
        ),
    ],
    *,
    environment: EnvironmentOption = EMBEDDED,
    since: Annotated[str, typer.Option(help="How far back: 30s, 10m, 2h, 1d.")] = "10m",
    keep_on: Annotated[bool, typer.Option("--follow", "-f", help="Go on until stopped.")] = False,
    root: RootOption = ROOT,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show a service's log lines."""
    try:
        start = parse_since(since)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from error
    cloud = connect(environment, Root(root))
    for line in (follow if keep_on else read)(cloud, service, start):
        out.print(line.as_json() if as_json else line.as_text(), markup=False)


def register(app: typer.Typer) -> None:
    """Adds the verbs of this group."""
    for verb in (bootstrap, synth, env, logs):
        app.command()(verb)
