"""Tests the cost module: budget and cost dashboard."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cdktf import TerraformStack
from cdktf_cdktf_provider_aws.provider import AwsProvider

from environments import Environment
from modules.base.naming import Names
from modules.cost import Cost
from tests.modules.synthesis import Synthesized, environment, synthesize


def _build(stack: TerraformStack, env: Environment, _names: Names) -> None:
    edge = AwsProvider(stack, "edge", alias="edge", region="us-east-1")
    Cost(stack, "cost", environment=env, alerts_topic_arn="topic", edge_provider=edge)


@pytest.fixture(scope="module")
def dev() -> Synthesized:
    return synthesize(_build, environment("dev", billing_email="billing@example.com"))


def test_the_budget_is_as_documented_and_covers_only_this_environment(dev: Synthesized) -> None:
    budget = dev.find_only("aws_budgets_budget")
    assert budget["name"] == "multitask-platform-dev"
    assert (
        budget["limit_amount"],
        budget["limit_unit"],
        budget["time_unit"],
        budget["budget_type"],
    ) == ("200", "USD", "MONTHLY", "COST")
    assert budget["cost_filter"] == [{"name": "TagKeyValue", "values": ["user:Environment$dev"]}]
    assert budget["provider"] == "aws.edge"


def test_the_budget_alerts_at_80_percent_spent_and_when_the_forecast_exceeds_the_budget(
    dev: Synthesized,
) -> None:
    notifications: list[dict[str, Any]] = dev.find_only("aws_budgets_budget")["notification"]
    assert [(item["notification_type"], item["threshold"]) for item in notifications] == [
        ("ACTUAL", 80),
        ("FORECASTED", 100),
    ]
    for item in notifications:
        assert (item["comparison_operator"], item["threshold_type"]) == (
            "GREATER_THAN",
            "PERCENTAGE",
        )
        assert item["subscriber_email_addresses"] == ["billing@example.com"]
        assert item["subscriber_sns_topic_arns"] == ["topic"]


def test_without_a_billing_address_only_the_topic_is_notified() -> None:
    budget = synthesize(_build, environment("dev", billing_email=None)).find_only(
        "aws_budgets_budget"
    )
    for item in budget["notification"]:
        assert not item.get("subscriber_email_addresses")
        assert item["subscriber_sns_topic_arns"] == ["topic"]


def test_the_dashboard_shows_the_charges_in_total_and_by_service(dev: Synthesized) -> None:
    dashboard = dev.find_only("aws_cloudwatch_dashboard")
    assert dashboard["dashboard_name"] == "multitask-cost-dev"
    total, services = (
        item["properties"] for item in json.loads(dashboard["dashboard_body"])["widgets"]
    )
    assert total["metrics"] == [["AWS/Billing", "EstimatedCharges", "Currency", "USD"]]
    assert (total["period"], total["stat"], total["region"], total["title"]) == (
        86_400,
        "Maximum",
        "us-east-1",
        "Estimated Monthly Charges",
    )
    assert "{AWS/Billing,Currency,ServiceName}" in services["metrics"][0][0]["expression"]
