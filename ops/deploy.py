"""A release: apply, migrate, move traffic, publish the page, wait for health. Every step may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ops.cloud import Cloud
from ops.console import say
from ops.errors import OperatorError
from ops.health import wait_until_healthy
from ops.migrations import ALIAS, MIGRATION, migrate
from ops.root import Root
from ops.site import publish
from ops.state import remove_stale_lock
from ops.synth import synthesize
from ops.terraform import Plan, Terraform, changes
from ops.toolchain import terraform, terraform_variables

FIRST = ("authorizer",)
"""Moved before the services: new services may rely on what the new authorizer passes on, old ones ignore it."""


def deploy(cloud: Cloud, root: Root, out: Path, confirm: Callable[[Plan], None]) -> dict[str, Any]:
    """Releases the checked-out program to an environment.

    Args:
        out: where synthesis writes.
        confirm: is shown the plan; raises to stop.

    Raises:
        OperatorError: a step failed; the same command continues.
        InterruptedRunError: the operator stopped it.
    """
    name = cloud.environment.name
    root.prepare()
    cloud.check_account()
    synthesize([name], out, cloud.variables)
    directory = out / "stacks" / name
    remove_stale_lock(cloud, directory)
    stack = Terraform(
        terraform(root),
        directory,
        {**terraform_variables(root), **cloud.variables},
        root.logs / f"terraform-{name}.jsonl",
    )
    stack.init()
    file = directory / "release.tfplan"
    try:
        plan = stack.plan(file)
        confirm(plan)
        applied = stack.apply(plan)
    finally:
        file.unlink(missing_ok=True)
    say(f"Applied: {changes(applied.counts)}")
    functions = applied.outputs["functions"]
    moved = []
    if cloud.environment.release_strategy == "gradual":
        # The migration function is moved before it runs: what migrates must be the new code.
        moved += move_traffic(cloud, {MIGRATION: functions[MIGRATION]})
        _migrate(cloud, functions[MIGRATION])
        moved += move_traffic(cloud, functions)
    else:
        _migrate(cloud, functions[MIGRATION])
        say("Traffic: the apply moved it (all_at_once)")
    published = publish(cloud, applied.outputs)
    health = wait_until_healthy(applied.outputs["health_url"])
    return {
        "environment": name,
        "apiUrl": applied.outputs["api_url"],
        "changes": applied.counts,
        "moved": moved,
        "published": published,
        "health": health.body,
    }


def _migrate(cloud: Cloud, function: str) -> None:
    try:
        say(migrate(cloud, function).line())
    except OperatorError as error:
        raise OperatorError(
            f"{error}\nTraffic stays where it is, and the old code works with the schema as it is"
        ) from error


def move_traffic(cloud: Cloud, functions: Mapping[str, str]) -> list[dict[str, str]]:
    """Points each function's live alias at its newest published version, the authorizer first; returns what was moved.

    Args:
        functions: function names by service.
    """
    client = cloud.client("lambda")
    moved = []
    for service in sorted(functions, key=lambda name: (name not in FIRST, name)):
        function = functions[service]
        newest = _newest_version(client, function)
        current = client.get_alias(FunctionName=function, Name=ALIAS)
        if newest is None or (current["FunctionVersion"] == newest and not current.get("RoutingConfig")):
            continue
        client.update_alias(
            FunctionName=function,
            Name=ALIAS,
            FunctionVersion=newest,
            RoutingConfig={"AdditionalVersionWeights": {}},
            RevisionId=current["RevisionId"],
        )
        say(f"Traffic: {service} from version {current['FunctionVersion']} to {newest}")
        moved.append({"service": service, "from": current["FunctionVersion"], "to": newest})
    return moved


def _newest_version(client: Any, function: str) -> str | None:
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=function)
    numbers = [int(item["Version"]) for page in pages for item in page["Versions"] if item["Version"].isdigit()]
    return str(max(numbers)) if numbers else None
