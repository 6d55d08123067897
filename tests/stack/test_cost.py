"""Tests the estimated cost of each environment, and its budget."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from environments import environment_names
from ops.__main__ import app
from ops.cost.advice import advise
from ops.cost.bill import Bill, make_bill
from ops.cost.budget import budget_warnings
from ops.cost.charges import CHARGES
from ops.cost.prices import load_prices
from ops.cost.resources import BillableResources, stack_resources
from ops.cost.usage import load_usage, samples
from ops.review.review import review
from ops.terraform.plan import read_plan
from ops.terraform.stack_document import read_synthesized
from tests.ops.review.documents import stack_plan

HOURS = 730


def bill(synthesized: Path, environment: str, usage: str = "idle") -> Bill:
    return make_bill(
        stack_resources(read_synthesized(synthesized / environment)), load_usage(usage)
    )


def fixed(result: Bill, type_: str) -> float:
    return sum(item.usd for item in result.items if item.type == type_ and item.fixed)


@pytest.mark.parametrize(
    ("environment", "type_", "by_hand"),
    [
        ("dev", "aws_rds_cluster_instance", 1 * HOURS * 0.5 * 0.12),
        ("prod", "aws_rds_cluster_instance", 2 * HOURS * 2.0 * 0.12),
        ("dev", "aws_elasticache_replication_group", 1 * HOURS * 0.0128),
        ("prod", "aws_elasticache_replication_group", 2 * HOURS * 0.0256),
        ("dev", "aws_nat_gateway", 1 * HOURS * 0.045),
        ("prod", "aws_nat_gateway", 3 * HOURS * 0.045),
        ("prod", "aws_vpc_endpoint", 3 * 3 * HOURS * 0.01),
    ],
)
def test_fixed_costs_equal_amounts_computed_by_hand(
    synthesized: Path, environment: str, type_: str, by_hand: float
) -> None:
    assert fixed(bill(synthesized, environment), type_) == pytest.approx(by_hand)


def test_the_advice_for_prod_names_each_setting_that_costs_money(synthesized: Path) -> None:
    resources, usage = stack_resources(read_synthesized(synthesized / "prod")), load_usage("100m")
    advice = advise(resources, make_bill(resources, usage), load_prices(), usage)
    assert {item.setting for item in advice} == {
        "X-Ray's sampling rule (not in the environment file)",
        "dynamodb.point_in_time_recovery",
        "elasticache.node_type",
        "elasticache.replicas",
        "lambdas.provisioned_concurrency",
        "monitoring.detailed_metrics",
        "monitoring.log_retention_days",
        "network.interface_endpoints",
        "network.nat_gateways",
        "rate_limiting",
        "rds.instances",
        "rds.min_capacity",
        "the class of log groups (not in the environment file)",
    }
    assert all(item.usd > 0 and item.buys for item in advice)


@pytest.mark.parametrize("environment", environment_names())
def test_every_resource_has_a_price_or_is_free(synthesized: Path, environment: str) -> None:
    result = bill(synthesized, environment)
    assert result.unpriced == ()
    types = {item.type for item in read_synthesized(synthesized / environment).resources.values()}
    assert types <= load_prices().free | set(CHARGES)


def test_the_cost_rises_with_usage(synthesized: Path) -> None:
    idle, some, much = (bill(synthesized, "prod", usage).usd for usage in ("idle", "1m", "100m"))
    assert idle < some < some * 2 < much


@pytest.mark.parametrize("usage", ["idle", "1m"])
@pytest.mark.parametrize("environment", environment_names())
def test_the_expected_cost_triggers_no_budget_alert(
    synthesized: Path, environment: str, usage: str
) -> None:
    resources = stack_resources(read_synthesized(synthesized / environment))
    used = load_usage(usage)
    assert not list(budget_warnings(resources, make_bill(resources, used), used))


def test_a_budget_below_the_idle_cost_is_reported(synthesized: Path) -> None:
    resources = stack_resources(read_synthesized(synthesized / "prod"))
    documented = BillableResources(
        tuple(
            replace(item, values={**item.values, "limit_amount": "100"})
            if item.type == "aws_budgets_budget"
            else item
            for item in resources.items
        )
    )
    usage = load_usage("idle")
    [warning] = budget_warnings(documented, make_bill(documented, usage), usage)
    assert re.match(
        r"multitask-platform-prod: the estimate for an idle month is [89]\d\d\.", warning
    )
    assert "an alert at 80.00 of 100.00 USD: raise budget.monthly_usd" in warning


def test_a_review_reports_a_budget_below_the_idle_cost(synthesized: Path) -> None:
    stack = read_synthesized(synthesized / "prod")
    [budget] = [item for item in stack.resources.values() if item.type == "aws_budgets_budget"]
    plan = read_plan(stack_plan(stack, {budget.address: {**budget.block, "limit_amount": "100"}}))
    notes = review(plan, "prod", stack, usage=load_usage("idle")).notes
    assert [note for note in notes if "raise budget.monthly_usd" in note]


def test_synthesis_reports_a_budget_below_the_idle_cost(
    synthesized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_stack_with_low_budget(names: Sequence[str], out: Path, *_: object) -> None:
        directory = out / "stacks" / names[0]
        directory.mkdir(parents=True)
        document = json.loads((synthesized / names[0] / "cdk.tf.json").read_text())
        for budget in document["resource"]["aws_budgets_budget"].values():
            budget["limit_amount"] = "100"
        (directory / "cdk.tf.json").write_text(json.dumps(document))

    monkeypatch.setattr("ops.commands.environment.synthesize", write_stack_with_low_budget)
    result = CliRunner().invoke(app, ["synth", "prod", "--out", str(tmp_path)])
    assert result.exit_code == 0
    assert "Warning: multitask-platform-prod: the estimate for an idle month" in result.stderr


def test_usage_files_name_existing_resources(synthesized: Path) -> None:
    paths = {
        item.construct.path for item in read_synthesized(synthesized / "prod").resources.values()
    }
    assert {path for name in samples() for path in load_usage(name).resources} <= paths
