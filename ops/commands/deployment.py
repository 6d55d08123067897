"""Defines commands for environments: doctor, deploy, promote, drift, remove and publish-site."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ops.cloud import EMBEDDED, connect
from ops.commands.options import (
    ROOT,
    EnvironmentArgument,
    JsonOption,
    RootOption,
    ask,
    ask_confirmation,
    check_environment,
)
from ops.commands.releases import BakeOption, PromoteOption, WeightOption, settings
from ops.console import print_result, report
from ops.deployment.deploy import Collaborators, deploy_environment
from ops.deployment.drift import compare_with_state
from ops.deployment.promote import GATES, Promotion, promote_commit
from ops.deployment.remove import destroy_environment
from ops.deployment.site.operations import publish_under_lock
from ops.doctor.examination import examine
from ops.errors import OperatorError
from ops.local.platform import state_consistency
from ops.review.run import stacks_directory
from ops.root import PROJECT, Root
from ops.terraform.runner import PlanFile, describe_counts
from ops.terraform.state import outputs
from ops.traffic.release import BAKE, WEIGHT

YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Apply without asking for confirmation.")
]

SkipDoctorOption = Annotated[
    bool, typer.Option("--skip-doctor", help="Do not run the checks of `ops doctor` first.")
]


def doctor(
    environment: EnvironmentArgument, root: RootOption = ROOT, as_json: JsonOption = False
) -> None:
    """Check whether an environment can be deployed. Exit status 1 means that a check failed.

    Changes nothing. Prints a warning for each check that the credentials do not permit.
    """
    findings = examine(environment, root)
    print_result(findings, [line for item in findings for line in item.lines()], as_json=as_json)
    counts = Counter(item.status for item in findings)
    report(", ".join(f"{counts[status]} {status}" for status in ("failure", "warning", "ok")))
    raise typer.Exit(1 if counts["failure"] else 0)


def deploy(
    environment: EnvironmentArgument,
    *,
    yes: YesOption = False,
    weight: WeightOption = WEIGHT,
    bake: BakeOption = f"{BAKE / 60:.0f}m",
    promote: PromoteOption = False,
    skip_doctor: SkipDoctorOption = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Deploy an environment: infrastructure, migrations, functions and site. Safe to repeat."""
    cloud = connect(environment, root)
    result = deploy_environment(
        cloud,
        root,
        stacks_directory(cloud, root).parent,
        plan_confirmation(environment, yes),
        settings=settings(weight, bake, promote),
        examined=not skip_doctor,
        collaborators=deployment_collaborators(environment, root),
    )
    print_result(result, [f"{environment} is healthy at {result['apiUrl']}"], as_json=as_json)


def promote(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FROM",
            help="Environment whose commit is deployed to TO.",
            callback=check_environment,
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TO",
            help="Environment to deploy to: the next after FROM in the order dev, staging, prod.",
            callback=check_environment,
        ),
    ],
    *,
    approved_by: Annotated[
        str | None, typer.Option(help="Name of the approver, if an approval is required.")
    ] = None,
    passed: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GATE",
            help="Gate that an earlier job of this pipeline passed: tests, integration or smoke."
            " With all three, the command does not access FROM.",
        ),
    ] = None,
    yes: YesOption = False,
    weight: WeightOption = WEIGHT,
    bake: BakeOption = f"{BAKE / 60:.0f}m",
    skip_doctor: SkipDoctorOption = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Run the gates on FROM's commit, deploy the commit to TO, and run TO's smoke tests.

    If TO requires an approval, use --approved-by or enter the approver's name at the prompt.
    Environments cannot be skipped. A pipeline passes --passed for each gate that its earlier jobs
    passed; with all three, the promotion's record contains `vouched: true`.
    """
    unknown = sorted(set(passed or ()) - set(GATES))
    if unknown:
        raise typer.BadParameter(
            f"Unknown gate {', '.join(unknown)}: use {', '.join(GATES)}", param_hint="--passed"
        )
    promotion = Promotion(
        source,
        connect(target, root),
        lambda: connect(source, root),
        approved_by,
        passed or (),
    )
    result = promote_commit(
        promotion,
        root,
        PROJECT / "cdktf.out",
        plan_confirmation(target, yes),
        settings=settings(weight, bake, promote=False),
        examined=not skip_doctor,
        approve=ask if sys.stdin.isatty() else None,
    )
    print_result(result, [f"{target} runs {result['commit']}"], as_json=as_json)


def drift(
    environment: EnvironmentArgument, root: RootOption = ROOT, as_json: JsonOption = False
) -> None:
    """Report changes made outside Terraform since the last apply. Exit status 2 means drift."""
    cloud = connect(environment, root)
    differences = compare_with_state(cloud, root, stacks_directory(cloud, root).parent)
    lines = [f"{item.kind:<8} {item.address} {', '.join(item.attributes)}" for item in differences]
    print_result(differences, lines, as_json=as_json)
    report(f"{len(differences)} resources differ" if differences else "No drift")
    raise typer.Exit(2 if differences else 0)


def remove(
    environment: EnvironmentArgument,
    yes: YesOption = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Destroy an environment and its data, and list the resources that remain.

    Fails if the environment's removal_policy is retain.
    """

    def confirm(plan: PlanFile) -> None:
        report(f"Removal of {environment}: " + describe_counts(plan.counts))
        if not yes and ask(f"Type {environment} to destroy it") != environment:
            raise OperatorError(f"Not removed, because the input was not {environment}")

    cloud = connect(environment, root)
    result = destroy_environment(cloud, root, stacks_directory(cloud, root).parent, confirm)
    heading = f"Removed {result['removed']} resources of {environment}. These remain:"
    kept = [f"  {line}" for line in result["kept"]]
    print_result(result, [heading, *kept], as_json=as_json)


def publish_site(
    environment: EnvironmentArgument,
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIRECTORY]",
            exists=True,
            file_okay=False,
            help="Output directory of a front end's build, for example dist. By default, publishes"
            " the status page and the API reference that come with the project.",
        ),
    ] = None,
    *,
    immutable: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Pattern of the files that browsers cache for a year, for example 'static/*'. By"
            " default, files whose names contain a hash of their content, as Vite, Next and Astro"
            " write them.",
        ),
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Restore the previous site.")
    ] = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Publish a built front end, or restore the previous site. Safe to repeat.

    Publishes each file under its path in the directory. Later deployments keep the front end and
    update only config.json.
    """
    if rollback and (directory or immutable):
        raise typer.BadParameter(
            "--rollback cannot be combined with a directory or --immutable", param_hint="--rollback"
        )
    cloud = connect(environment, root)
    result = publish_under_lock(
        cloud, outputs(cloud), directory, immutable=immutable, roll_back=rollback
    )
    print_result(result, [str(result)], as_json=as_json)


def deployment_collaborators(environment: str, root: Root) -> Collaborators:
    """Returns the Python functions that a deployment calls.

    For the embedded AWS, the Python function `run_apply` writes a record before the apply. If the
    apply is killed, the record remains, and the next `ops up` adopts the resources that the
    killed apply created.
    """
    if environment != EMBEDDED:
        return Collaborators()
    return Collaborators(run_apply=state_consistency(root).apply)


def plan_confirmation(environment: str, yes: bool) -> Callable[[PlanFile], None]:
    """Returns a function that prints a plan and asks the operator to confirm it."""

    def confirm(plan: PlanFile) -> None:
        report(f"Plan for {environment}: " + "\n".join(plan.lines()))
        if yes or not any(plan.counts.values()):
            return
        if not ask_confirmation("Apply it?"):
            raise OperatorError("Not applied, because the operator declined")

    return confirm
