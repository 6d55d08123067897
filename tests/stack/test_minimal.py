"""Tests the example `minimal`: its cost, its safety and the parts that save money."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modules.networking import DUAL_STACK_SERVICES
from ops.cloud import embedded_variables
from ops.cost.bill import make_bill
from ops.cost.resources import stack_resources
from ops.cost.usage import load_usage
from ops.embedded import Addresses
from ops.root import Root
from ops.terraform.stack_document import Resource, Synthesized, read_synthesized
from ops.terraform.synthesis import HCL, format_hcl
from tests.stack.stacks import Stack, synthesize
from tests.stack.test_checkov import SKIPS, run_checkov
from tests.stack.test_terraform import check_hcl, check_plan, use_embedded_account

ONLY = {"PLATFORM_ENVIRONMENTS": "minimal"}
LIMIT = 60.0
"""US dollars a month without requests."""
SAFETY = {
    "aws_cognito_user_pool": ("password_policy", "account_recovery_setting", "mfa_configuration"),
    "aws_dynamodb_table": (
        "deletion_protection_enabled",
        "point_in_time_recovery",
        "server_side_encryption",
    ),
    "aws_elasticache_replication_group": (
        "at_rest_encryption_enabled",
        "transit_encryption_enabled",
        "transit_encryption_mode",
    ),
    "aws_elasticache_user": ("access_string", "authentication_mode"),
    "aws_kms_key": ("enable_key_rotation", "policy"),
    "aws_rds_cluster": (
        "deletion_protection",
        "iam_database_authentication_enabled",
        "manage_master_user_password",
        "skip_final_snapshot",
        "storage_encrypted",
    ),
    "aws_rds_cluster_instance": ("publicly_accessible",),
    "aws_s3_bucket_public_access_block": (
        "block_public_acls",
        "block_public_policy",
        "ignore_public_acls",
        "restrict_public_buckets",
    ),
    "aws_s3_bucket_server_side_encryption_configuration": ("rule",),
    "aws_s3_bucket_versioning": ("versioning_configuration",),
    "aws_wafv2_web_acl": ("default_action", "rule"),
    "aws_wafv2_web_acl_association": (),
}
"""The arguments that protect data and users, by resource type."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(tmp_path_factory.mktemp("minimal"), ONLY) / "minimal"


@pytest.fixture(scope="module")
def minimal(directory: Path) -> Synthesized:
    return read_synthesized(directory)


def every(stack: Synthesized, type_: str) -> list[dict[str, Any]]:
    return [item.block for item in stack.resources.values() if item.type == type_]


def test_an_idle_month_costs_less_than_60_usd(minimal: Synthesized) -> None:
    bill = make_bill(stack_resources(minimal), load_usage("idle"))
    assert bill.unpriced == ()
    assert bill.usd < LIMIT
    # The catalog service's scheduled sweep runs 61 times a month. Each run keeps the database awake
    # for about 6 minutes.
    awake = sum(item.usd for item in bill.items if item.price == "aurora.capacity")
    assert awake == pytest.approx(61 * 360 / 3600 * 0.5 * 0.12, rel=0.01)


def test_a_busy_month_includes_the_cost_of_a_database_that_never_pauses(
    minimal: Synthesized,
) -> None:
    bill = make_bill(stack_resources(minimal), load_usage("1m"))
    capacity = sum(item.usd for item in bill.items if item.price == "aurora.capacity")
    assert capacity == pytest.approx(730 * 0.5 * 0.12, rel=0.01)


def safety(stack: Synthesized, name: str) -> Iterator[tuple[str, str, Any]]:
    """Yields the construct path, argument and value of each setting in SAFETY.

    Placeholders replace the environment's name and account, so that stacks can be compared.
    """

    def text(resource: Resource, argument: str) -> str:
        value = json.dumps(resource.block.get(argument), sort_keys=True)
        for own, common in ((name, "ENVIRONMENT"), ("111122223333", "A"), ("123456789012", "A")):
            value = value.replace(own, common)
        return value

    for resource in stack.resources.values():
        for argument in SAFETY.get(resource.type, ()):
            yield resource.construct.path, argument, text(resource, argument)


def test_minimal_is_as_safe_as_prod(minimal: Synthesized, synthesized: Path) -> None:
    prod = read_synthesized(synthesized / "prod")
    own = set(safety(minimal, "minimal"))
    expected = {
        item for item in safety(prod, "prod") if not item[0].startswith("database/aurora-1")
    }
    assert own == expected
    assert {item.type for item in minimal.resources.values()} >= SAFETY.keys()


def test_traffic_leaves_the_network_only_over_ipv6(minimal: Synthesized) -> None:
    types = {item.type for item in minimal.resources.values()}
    assert not types & {"aws_nat_gateway", "aws_internet_gateway", "aws_eip"}
    routes = every(minimal, "aws_route")
    assert [route["destination_ipv6_cidr_block"] for route in routes] == ["::/0"] * 2
    assert all("egress_only_gateway_id" in route for route in routes)
    assert all(subnet["ipv6_cidr_block"] for subnet in every(minimal, "aws_subnet"))
    [api] = every(minimal, "aws_apigatewayv2_api")
    assert api["ip_address_type"] == "dualstack"


def test_functions_in_the_network_call_endpoints_with_ipv6(minimal: Synthesized) -> None:
    functions = {item["function_name"]: item for item in every(minimal, "aws_lambda_function")}
    inside = {name for name, item in functions.items() if "vpc_config" in item}
    assert {name.partition("-")[0] for name in inside} == {
        "catalog",
        "chat",
        "delivery",
        "health",
        "migration",
    }
    for name, item in functions.items():
        endpoints = {
            value
            for key, value in item["environment"]["variables"].items()
            if key.startswith("AWS_ENDPOINT_URL_")
        }
        assert endpoints == (
            {f"https://{service}.us-east-1.api.aws" for service in DUAL_STACK_SERVICES}
            if name in inside
            else set()
        )
        if name in inside:
            assert item["vpc_config"]["ipv6_allowed_for_dual_stack"] is True


def test_only_requests_resume_a_paused_database(minimal: Synthesized) -> None:
    [cluster] = every(minimal, "aws_rds_cluster")
    scaling = cluster["serverlessv2_scaling_configuration"]
    assert (scaling["min_capacity"], scaling["seconds_until_auto_pause"]) == (0, 300)
    [group] = every(minimal, "aws_rds_cluster_parameter_group")
    parameters = {item["name"]: item["value"] for item in group["parameter"]}
    assert parameters["idle_session_timeout"] == "60000"
    [health] = [
        item
        for item in every(minimal, "aws_lambda_function")
        if item["function_name"] == "health-lambda-minimal"
    ]
    assert "RDS_ENDPOINT" not in health["environment"]["variables"]
    [rule] = [
        item
        for item in every(minimal, "aws_cloudwatch_event_rule")
        if item["name"] == "catalog-sweep-minimal"
    ]
    assert rule["schedule_expression"] == "rate(12 hours)"


@pytest.mark.nightly
def test_checkov_reports_only_reviewed_findings(directory: Path, tmp_path: Path) -> None:
    findings = run_checkov(Stack("minimal", directory), tmp_path)
    assert not [
        finding
        for finding in sorted(findings)
        if not any(
            skip.covers(environment, finding) for skip in SKIPS for environment in ("dev", "prod")
        )
    ]


@pytest.mark.nightly
def test_terraform_accepts_minimal(tmp_path: Path, root: Root, empty_cloud: Addresses) -> None:
    hcl = synthesize(tmp_path / "hcl", {**HCL, **ONLY}) / "minimal"
    format_hcl(hcl, root)
    check_hcl(hcl, root)
    stacks = synthesize(tmp_path / "json", {**embedded_variables(empty_cloud), **ONLY})
    use_embedded_account(stacks)
    check_plan(stacks / "minimal", root, empty_cloud)
