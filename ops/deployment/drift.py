"""What has been changed by other hands than Terraform's since the last apply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ops.cloud import Cloud
from ops.deployment.deploy import prepare_stack
from ops.root import Root
from ops.terraform.state import outputs, refuse_locked_state

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
    ("aws_ssm_parameter", "insecure_value"): ROTATION,
    ("aws_ssm_parameter", "value"): ROTATION,
    ("aws_ssm_parameter", "version"): ROTATION,
    ("aws_dynamodb_table", "global_secondary_index"): AUTOSCALING,
    ("aws_dynamodb_table", "read_capacity"): AUTOSCALING,
    ("aws_dynamodb_table", "write_capacity"): AUTOSCALING,
}
"""Attributes that others than Terraform own, by resource type, with their owner: a change of these is no drift."""

ACCESS = {
    ("aws_iam_role", "inline_policy"),
    ("aws_iam_role", "managed_policy_arns"),
    ("aws_s3_bucket", "policy"),
    ("aws_security_group", "egress"),
    ("aws_security_group", "ingress"),
}
"""What the program sets by resources of their own, and what is looked at all the same: here a foreign addition opens access."""

_ALARM = "CloudWatch's reply to DescribeAlarms omits it"
_EGRESS = (
    "a security group keeps the rule it was born with, which the resource then takes for its own"
)
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
"""What an emulated AWS tells wrongly, with the reason; looked past only where the environment has one."""


@dataclass(frozen=True)
class Difference:
    """One resource that is not as it was applied."""

    address: str
    kind: Literal["changed", "gone"]
    attributes: list[str]
    """Those that differ. Values are not told: they may be what nobody should read."""


def compare_with_state(cloud: Cloud, root: Root, out: Path) -> list[Difference]:
    """Compares the cloud with the state, changing neither.

    Args:
        out: where synthesis writes.

    Raises:
        OperatorError: the environment has not been deployed, or is being changed right now.
    """
    cloud.check_account()
    outputs(cloud)
    refuse_locked_state(cloud)
    stack = prepare_stack(cloud, root, out)
    file = stack.directory / "drift.tfplan"
    try:
        # Nothing is applied from it, so it needs no lock and no right to take one.
        stack.plan(file, ["-refresh-only", "-lock=false"])
        shown = stack.show(file)
    finally:
        file.unlink(missing_ok=True)
    return differences(shown, emulated=cloud.environment.endpoints.aws is not None)


def differences(plan: Mapping[str, Any], *, emulated: bool = False) -> list[Difference]:
    """The differences in a refresh-only plan (`terraform show -json`), less what others own.

    Args:
        emulated: look past what an emulated AWS tells wrongly.
    """
    known = {**OWNED, **(EMULATED if emulated else {})}
    resources = plan.get("configuration", {}).get("root_module", {}).get("resources", [])
    configured = {item["address"]: item.get("expressions", {}).keys() for item in resources}
    found = []
    for item in plan.get("resource_drift", []):
        before, after = item["change"]["before"] or {}, item["change"]["after"] or {}
        if "delete" in item["change"]["actions"]:
            found.append(Difference(item["address"], "gone", []))
            continue
        # What the program does not set is a service's own business: a status, a count, an address.
        asked = configured.get(item["address"].partition("[")[0], frozenset()) | {
            name for kind, name in ACCESS if kind == item["type"]
        }
        changed = {name for name in asked if differs(before.get(name), after.get(name))}
        foreign = sorted(name for name in changed if (item["type"], name) not in known)
        if foreign:
            found.append(Difference(item["address"], "changed", foreign))
    return sorted(found, key=lambda difference: difference.address)


def differs(before: Any, after: Any) -> bool:
    """Whether a value is another than the state has.

    Where the state has nothing, nothing was asked for: what a service or a resource beside it has filled in there is no drift.
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
