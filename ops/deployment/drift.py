"""Reports changes made outside Terraform since the last apply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ops.cloud import Cloud
from ops.deployment.deploy import prepare_stack
from ops.root import Root
from ops.terraform.runner import Terraform
from ops.terraform.state import outputs, read_state, refuse_locked_state

RELEASES = "releases publish versions and move the alias"
ROTATION = "the rotation of secrets"
AUTOSCALING = "autoscaling"

OWNED: Mapping[tuple[str, str], str] = {
    ("aws_lambda_alias", "function_version"): RELEASES,
    ("aws_lambda_alias", "routing_config"): RELEASES,
    ("aws_lambda_function", "code_sha256"): RELEASES,
    ("aws_lambda_function", "last_modified"): RELEASES,
    ("aws_lambda_function", "qualified_arn"): RELEASES,
    ("aws_lambda_function", "qualified_invoke_arn"): RELEASES,
    ("aws_lambda_function", "source_code_hash"): RELEASES,
    ("aws_lambda_function", "source_code_size"): RELEASES,
    ("aws_lambda_function", "version"): RELEASES,
    ("aws_rds_cluster", "master_user_secret"): ROTATION,
    ("aws_dynamodb_table", "global_secondary_index"): AUTOSCALING,
    ("aws_dynamodb_table", "read_capacity"): AUTOSCALING,
    ("aws_dynamodb_table", "write_capacity"): AUTOSCALING,
}
"""Attributes that change outside Terraform by design, with the reason. They are not drift."""

ACCESS = {
    ("aws_iam_role", "inline_policy"),
    ("aws_iam_role", "managed_policy_arns"),
    ("aws_s3_bucket", "policy"),
    ("aws_security_group", "egress"),
    ("aws_security_group", "ingress"),
}
"""Attributes that are always compared, because a foreign addition grants access.

The program sets them through separate resources.
"""

_ALARM = "the response of DescribeAlarms omits it"
_EGRESS = "a new security group keeps its default egress rule, and the provider adopts it"
EMULATED: Mapping[tuple[str, str], str] = {
    ("aws_cloudwatch_metric_alarm", "actions_enabled"): _ALARM,
    ("aws_cloudwatch_metric_alarm", "alarm_actions"): _ALARM,
    ("aws_cloudwatch_metric_alarm", "alarm_description"): _ALARM,
    ("aws_cloudwatch_metric_alarm", "dimensions"): _ALARM,
    ("aws_cloudwatch_metric_alarm", "extended_statistic"): _ALARM,
    ("aws_cloudwatch_metric_alarm", "ok_actions"): _ALARM,
    ("aws_cloudwatch_metric_alarm", "period"): _ALARM,
    ("aws_cloudwatch_metric_alarm", "statistic"): _ALARM,
    ("aws_cloudwatch_metric_alarm", "treat_missing_data"): _ALARM,
    ("aws_vpc_security_group_egress_rule", "description"): _EGRESS,
    ("aws_vpc_security_group_egress_rule", "tags_all"): _EGRESS,
}
"""Attributes that an emulated AWS returns incorrectly, with the reason.

They are ignored only if the environment uses an emulated AWS.
"""


SECRET_TYPES = ("aws_ssm_parameter",)
"""Types whose refresh reads the value of a secret.

They are not compared, because the nightly comparison runs without approval, so its role is denied
all secrets.
"""


@dataclass(frozen=True)
class Difference:
    """A resource that differs from the last apply."""

    address: str
    kind: Literal["changed", "gone"]
    attributes: list[str]
    """Names of the changed attributes. Values are omitted because they may be secret."""


def compare_with_state(
    cloud: Cloud,
    root: Root,
    out: Path,
    *,
    prepare_stack: Callable[[Cloud, Root, Path], Terraform] = prepare_stack,
) -> list[Difference]:
    """Compares the cloud with the Terraform state without changing either.

    Args:
        out: The output directory of synthesis.

    Raises:
        OperatorError: The environment is not deployed, or another command is changing it.
    """
    outputs(cloud)
    refuse_locked_state(cloud)
    stack = prepare_stack(cloud, root, out)
    # The plan is never applied, so it needs neither a lock nor the permission to lock.
    options = ["-refresh-only", "-lock=false", *targets(read_state(cloud) or {})]
    with stack.temporary_plan("drift", options) as plan:
        shown = stack.show(plan.file)
    return differences(shown, emulated=cloud.environment.endpoints.aws is not None)


def targets(state: Mapping[str, Any]) -> list[str]:
    """Returns options that target every resource of a state, except those of SECRET_TYPES.

    Terraform 1.11 has no option to exclude resources, and it refreshes all resources of the state
    even if the configuration lacks them.
    """
    return [
        f"-target={item['type']}.{item['name']}"
        for item in state.get("resources", ())
        if item["mode"] == "managed" and item["type"] not in SECRET_TYPES
    ]


def differences(plan: Mapping[str, Any], *, emulated: bool = False) -> list[Difference]:
    """Returns the drift in a refresh-only plan (`terraform show -json`), without OWNED attributes.

    Args:
        emulated: Also ignore the EMULATED attributes.
    """
    known = {**OWNED, **(EMULATED if emulated else {})}
    resources = plan.get("configuration", {}).get("root_module", {}).get("resources", [])
    configured = {item["address"]: item.get("expressions", {}).keys() for item in resources}
    drift = []
    for item in plan.get("resource_drift", []):
        before, after = item["change"]["before"] or {}, item["change"]["after"] or {}
        if "delete" in item["change"]["actions"]:
            drift.append(Difference(item["address"], "gone", []))
            continue
        # Services change the attributes that the program does not set, such as a status or count.
        compared = configured.get(item["address"].partition("[")[0], frozenset()) | {
            name for kind, name in ACCESS if kind == item["type"]
        }
        changed = {name for name in compared if differs(before.get(name), after.get(name))}
        foreign = sorted(name for name in changed if (item["type"], name) not in known)
        if foreign:
            drift.append(Difference(item["address"], "changed", foreign))
    return sorted(drift, key=lambda difference: difference.address)


def differs(before: Any, after: Any) -> bool:
    """Returns True if the value differs from the one in the state.

    An empty value in the state never differs: the program did not set it, so a service or another
    resource may fill it in.
    """
    if before in (None, "", [], {}):
        return False
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return any(
            differs(before[key], after.get(key)) if key in before else after[key] is not None
            for key in before.keys() | after.keys()
        )
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return any(differs(one, other) for one, other in zip(before, after, strict=True))
    return bool(before != after)
