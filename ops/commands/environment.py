"""Create environment files, and compare environments.

Also defines the commands bootstrap, synth, env and logs.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from environments import environment_names
from ops.cloud import EMBEDDED, connect, locate
from ops.commands.options import (
    ROOT,
    EnvironmentArgument,
    EnvironmentOption,
    EnvironmentOrExampleArgument,
    JsonOption,
    RootOption,
    check_environment_or_example,
    check_log_group,
    complete_example,
    complete_service,
)
from ops.console import print_line, print_result, report
from ops.deployment.bootstrap import bootstrap_account
from ops.deployment.environment_file import compare_environments, create_environment
from ops.root import PROJECT
from ops.terraform.stack_document import read_synthesized
from ops.terraform.synthesis import HCL, format_hcl, program_variables, synthesize
from ops.terraform.toolchain import (
    program_python,
    redirecting_variables,
    terraform_variables,
)
from ops.upkeep.logs import follow, parse_since, read

app = typer.Typer(
    help="Create environment files, and compare environments.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)


def bootstrap(
    environment: EnvironmentArgument, root: RootOption = ROOT, as_json: JsonOption = False
) -> None:
    """Create the Terraform state bucket and configure the AWS account. Safe to repeat.

    Exit status 1 means that a step failed.
    """
    cloud = connect(environment, root)
    steps = bootstrap_account(cloud, billing=cloud.endpoint is None)
    lines = [
        f"{step.outcome:<14} {step.name}{f': {step.detail}' if step.detail else ''}"
        for step in steps
    ]
    print_result(steps, lines, as_json=as_json)
    raise typer.Exit(1 if any(step.outcome == "failed" for step in steps) else 0)


def synth(
    environments: Annotated[
        list[str] | None,
        typer.Argument(
            help="Environments to synthesize; the default is all.",
            callback=check_environment_or_example,
        ),
    ] = None,
    directory: Annotated[Path, typer.Option("--out", help="Output directory.")] = PROJECT
    / "cdktf.out",
    hcl: Annotated[
        bool, typer.Option("--hcl", help="Write formatted HCL (cdk.tf) instead of JSON.")
    ] = False,
    root: RootOption = ROOT,
) -> None:
    """Synthesize the Terraform of environments, each into its own directory in OUT/stacks.

    Without --hcl, warns if an environment would trigger its budget alert even without any requests.
    """
    from ops.cost.bill import make_bill  # noqa: PLC0415 - only this command needs it
    from ops.cost.budget import budget_warnings  # noqa: PLC0415
    from ops.cost.resources import stack_resources  # noqa: PLC0415
    from ops.cost.usage import load_usage  # noqa: PLC0415

    names = environments or environment_names()
    directory.mkdir(parents=True, exist_ok=True)
    synthesize(names, directory.resolve(), HCL if hcl else {})
    if hcl:
        for name in names:
            format_hcl(directory.resolve() / "stacks" / name, root)
    report(f"Wrote {directory}/stacks")
    if hcl:
        return
    usage = load_usage("idle")
    for name in names:
        resources = stack_resources(read_synthesized(directory / "stacks" / name))
        for warning in budget_warnings(resources, make_bill(resources, usage), usage):
            report(f"Warning: {warning}")


def env(environment: EnvironmentArgument, root: RootOption = ROOT) -> None:
    """Print shell exports that `cdktf` and `terraform` need to work on an environment.

    Unsets variables that would make Terraform use another state, such as TF_WORKSPACE. For the
    platform on this machine, also unsets the shell's AWS settings, such as AWS_PROFILE.
    """
    cloud = locate(environment, root)
    variables = {**cloud.variables, **program_variables()}
    for name in os.environ.keys() - cloud.inherited_variables().keys() - variables.keys():
        print_line(f"unset {name}")
    for name in redirecting_variables():
        print_line(f"unset {name}")
    # cdktf.json starts main.py with the interpreter in this variable.
    variables["PLATFORM_PYTHON"] = program_python()
    settings = terraform_variables(root).get("TF_CLI_CONFIG_FILE")
    if settings:
        variables["TF_CLI_CONFIG_FILE"] = settings
    for name, value in variables.items():
        print_line(f"export {name}={shlex.quote(value)}")


def logs(
    service: Annotated[
        str,
        typer.Argument(
            help="Function: auth, profile, chat, post, catalog, ai, health, and others.",
            autocompletion=complete_service,
            callback=check_log_group,
        ),
    ],
    *,
    environment: EnvironmentOption = EMBEDDED,
    since: Annotated[
        str, typer.Option(help="Maximum age of a log line, such as 30s, 10m, 2h or 1d.")
    ] = "10m",
    is_following: Annotated[
        bool, typer.Option("--follow", "-f", help="Print new log lines until interrupted.")
    ] = False,
    root: RootOption = ROOT,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line.")
    ] = False,
) -> None:
    """Print the log lines of a service."""
    try:
        start = parse_since(since)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from error
    cloud = connect(environment, root)
    for line in (follow if is_following else read)(cloud, service, start):
        print_line(line.as_json() if as_json else line.as_text())


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the new environment.")],
    like: Annotated[
        str,
        typer.Option(
            help="Environment whose settings are copied.",
            autocompletion=complete_example,
            callback=check_environment_or_example,
        ),
    ] = "dev",
) -> None:
    """Write a new environment file with the settings and comments of another one."""
    print_line(str(create_environment(name, like)))
    report(
        f"Check the domains and the settings. Then:\n"
        f"  export {name.upper()}_ACCOUNT_ID=...   # 12 digits\n"
        f"  ops doctor {name}      # lists what the account lacks\n"
        f"  ops bootstrap {name}   # once per account\n"
        f"  ops deploy {name}\n"
        f"A pipeline needs a GitHub environment {name} and a job in"
        " .github/workflows/deploy.yml (docs/operations/pipelines.md)."
    )


@app.command()
def diff(
    first: EnvironmentOrExampleArgument,
    second: EnvironmentOrExampleArgument,
    as_json: JsonOption = False,
) -> None:
    """Show the settings and the numbers of resources that differ between two environments."""
    result = compare_environments(first, second)
    rows = [
        (item.key, _text(item.first), _text(item.second))
        for item in [*result.settings, *result.resources]
    ]
    table = [("", first, second), *rows]
    widths = [max(len(row[column]) for row in table) for column in (0, 1)]
    lines = [f"{key:<{widths[0]}}  {one:<{widths[1]}}  {two}".rstrip() for key, one, two in table]
    print_result(result, lines, as_json=as_json)


def _text(value: object) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
