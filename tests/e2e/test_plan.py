"""A plan after the apply changes nothing but what the embedded AWS tells wrongly."""

from __future__ import annotations

from typing import Any

from ops.root import Root
from tests.e2e.support import Platform
from tests.terraform import plan

_ALARM = "CloudWatch's reply to DescribeAlarms omits it"
_EGRESS = "a security group keeps the rule it was born with, which the resource then takes for its own"

GAPS = {
    ("aws_cloudwatch_metric_alarm", "actions_enabled"): _ALARM,
    ("aws_cloudwatch_metric_alarm", "alarm_actions"): _ALARM,
    ("aws_cloudwatch_metric_alarm", "alarm_description"): _ALARM,
    ("aws_cloudwatch_metric_alarm", "dimensions"): _ALARM,
    ("aws_cloudwatch_metric_alarm", "extended_statistic"): _ALARM,
    ("aws_cloudwatch_metric_alarm", "ok_actions"): _ALARM,
    ("aws_cloudwatch_metric_alarm", "period"): _ALARM,
    ("aws_cloudwatch_metric_alarm", "statistic"): _ALARM,
    ("aws_cloudwatch_metric_alarm", "treat_missing_data"): _ALARM,
}
"""What the embedded AWS tells wrongly, by resource type and attribute, with the reason. A gap that no longer shows must go."""

GAPS_UNTIL_NEXT_APPLY = {
    ("aws_vpc_security_group_egress_rule", "description"): _EGRESS,
    ("aws_vpc_security_group_egress_rule", "tags_all"): _EGRESS,
}
"""What a second apply puts right: seen on a platform that was applied once."""


def differences(change: dict[str, Any]) -> set[str]:
    """The attributes that a change would change."""
    before, after = change["before"] or {}, change["after"] or {}
    unknown = {name for name, value in (change["after_unknown"] or {}).items() if value}
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} | unknown


def test_a_second_apply_would_change_nothing(platform: Platform) -> None:
    shown = plan(platform.directory, Root(platform.root), variables=platform.cloud.variables)
    changes = [item for item in shown["resource_changes"] if item["change"]["actions"] != ["no-op"]]
    assert {tuple(item["change"]["actions"]) for item in changes} <= {("update",)}
    found = {(item["type"], attribute) for item in changes for attribute in differences(item["change"])}
    if platform.own:
        assert found == GAPS.keys() | GAPS_UNTIL_NEXT_APPLY.keys()
    else:
        assert found - GAPS_UNTIL_NEXT_APPLY.keys() == GAPS.keys()
    outputs = {name for name, change in shown["output_changes"].items() if change["actions"] != ["no-op"]}
    assert not outputs
