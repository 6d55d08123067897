"""Checks every stack against the quotas of AWS that a stack could exceed.

Limits that AWS can raise have the default value, which applies to a new account. For a reference,
the tests count the length of its text, which is longer than most of the values that replace it.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from inspect import signature
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from zipfile import ZipFile

import pytest

from environments import environment_names
from tests.stack.stacks import Block, Stack

NAME_LENGTHS = {
    ("aws_lambda_function", "function_name"): 64,
    ("aws_iam_role", "name"): 64,
    ("aws_iam_policy", "name"): 128,
    ("aws_iam_role_policy", "name"): 128,
    ("aws_s3_bucket", "bucket"): 63,
    ("aws_sqs_queue", "name"): 80,
    ("aws_sns_topic", "name"): 256,
    ("aws_dynamodb_table", "name"): 255,
    ("aws_cloudwatch_event_rule", "name"): 64,
    ("aws_cloudwatch_event_archive", "name"): 48,
    ("aws_cloudwatch_event_bus", "name"): 256,
    ("aws_cloudwatch_metric_alarm", "alarm_name"): 255,
    ("aws_cloudwatch_log_group", "name"): 512,
    ("aws_elasticache_replication_group", "replication_group_id"): 40,
    ("aws_elasticache_user", "user_id"): 40,
    ("aws_elasticache_user_group", "user_group_id"): 40,
    ("aws_rds_cluster", "cluster_identifier"): 63,
    ("aws_rds_cluster_instance", "identifier"): 63,
    ("aws_rds_cluster_parameter_group", "name"): 255,
    ("aws_cognito_user_pool", "name"): 128,
    ("aws_wafv2_web_acl", "name"): 128,
    ("aws_xray_group", "group_name"): 32,
    ("aws_budgets_budget", "name"): 100,
    ("aws_cloudfront_function", "name"): 64,
    ("aws_cloudfront_origin_access_control", "name"): 64,
    ("aws_cloudfront_response_headers_policy", "name"): 128,
    ("aws_security_group", "name"): 255,
    ("aws_ssm_parameter", "name"): 1011,
    ("aws_api_gateway_stage", "stage_name"): 128,
    ("aws_apigatewayv2_api", "name"): 128,
    ("aws_apigatewayv2_authorizer", "name"): 128,
    ("aws_apigatewayv2_stage", "name"): 128,
    ("aws_appautoscaling_policy", "name"): 256,
    ("aws_cloudwatch_dashboard", "dashboard_name"): 255,
    ("aws_cloudwatch_event_target", "target_id"): 64,
    ("aws_cloudwatch_query_definition", "name"): 255,
    ("aws_cognito_user_group", "name"): 128,
    ("aws_cognito_user_pool_client", "name"): 128,
    ("aws_db_subnet_group", "name"): 255,
    ("aws_elasticache_subnet_group", "name"): 255,
    ("aws_elasticache_user", "user_name"): 120,
    ("aws_kms_alias", "name"): 256,
    ("aws_lambda_alias", "name"): 128,
    ("aws_lambda_permission", "statement_id"): 100,
    ("aws_rds_cluster", "database_name"): 63,
    ("aws_scheduler_schedule", "name"): 64,
}
"""Maximum lengths in characters, from each service's API reference."""
NAMES_WITHOUT_LIMIT = {
    # API Gateway documents no limit.
    "aws_api_gateway_authorizer",
    "aws_api_gateway_rest_api",
    # test_distributions_stay_below_the_quotas_of_cloudfront checks the names of DNS records.
    "aws_route53_record",
}

UNRESERVED_MINIMUM = 100
"""Concurrency that Lambda keeps for functions without a reservation (Lambda quotas)."""
ACCOUNT_CONCURRENCY = 1000
"""Lambda's default quota for an account. `ops bootstrap` reports accounts with a lower quota."""


@pytest.fixture(scope="module", params=environment_names())
def stack(request: pytest.FixtureRequest, synthesized: Path) -> Stack:
    return Stack(request.param, synthesized / request.param)


def blocks(stack: Stack, type_: str) -> list[Block]:
    return list(stack.resources(type_).values())


def length(text: str) -> int:
    """Returns the length of a policy without white space, as IAM counts it."""
    return len(re.sub(r"\s", "", text))


def grouped(stack: Stack, type_: str, attribute: str) -> dict[str, list[Block]]:
    """Returns the resources of a type by the value of an attribute."""
    groups: dict[str, list[Block]] = defaultdict(list)
    for block in blocks(stack, type_):
        groups[str(stack.resolve_references(block[attribute]))].append(block)
    return groups


def limited_names(stack: Stack) -> Iterator[tuple[str, str, int]]:
    """Returns the type, the name and the maximum length of each name."""
    for (type_, attribute), limit in NAME_LENGTHS.items():
        for block in blocks(stack, type_):
            if attribute in block:
                yield type_, stack.resolve_references(block[attribute]), limit


def test_names_are_not_too_long(stack: Stack) -> None:
    for type_, name, limit in limited_names(stack):
        assert len(name) <= limit, (type_, name, len(name))


def test_every_name_has_a_limit(stack: Stack) -> None:
    named = {
        type_
        for type_, resources in stack.document["resource"].items()
        for block in resources.values()
        if not str(block.get("name", "$")).startswith("$")
    }
    assert named <= {type_ for type_, _ in NAME_LENGTHS} | NAMES_WITHOUT_LIMIT


def test_inline_policies_of_a_role_have_at_most_10240_characters(stack: Stack) -> None:
    """IAM limits the total length of all inline policies of a role (IAM quotas)."""
    for role, policies in grouped(stack, "aws_iam_role_policy", "role").items():
        assert sum(length(policy["policy"]) for policy in policies) <= 10_240, role


def test_managed_and_trust_policies_are_not_too_long(stack: Stack) -> None:
    """IAM quotas: a managed policy has at most 6,144 characters, a trust policy 2,048."""
    for policy in blocks(stack, "aws_iam_policy"):
        assert length(policy["policy"]) <= 6_144, policy["name"]
    for role in blocks(stack, "aws_iam_role"):
        assert length(role["assume_role_policy"]) <= 2_048, role["name"]


def test_a_role_has_at_most_10_managed_policies(stack: Stack) -> None:
    """By default, IAM allows 10 managed policies per role."""
    for role, attached in grouped(stack, "aws_iam_role_policy_attachment", "role").items():
        assert len(attached) <= 10, role


def test_resource_policies_are_not_too_long(stack: Stack) -> None:
    """The policy of a bucket has at most 20 KB (S3), of a topic 30 KB (SNS), of a key 32 KB (KMS),
    and of a queue 64 KB and 20 statements (SQS).
    """
    limits = {
        ("aws_s3_bucket_policy", "policy"): 20_480,
        ("aws_sns_topic", "policy"): 30_720,
        ("aws_kms_key", "policy"): 32_768,
        ("aws_sqs_queue", "policy"): 65_536,
    }
    for (type_, attribute), limit in limits.items():
        for block in blocks(stack, type_):
            assert len(block.get(attribute, "").encode()) <= limit, block
    for queue in blocks(stack, "aws_sqs_queue"):
        assert len(json.loads(queue.get("policy", '{"Statement": []}'))["Statement"]) <= 20


def test_a_functions_resource_policy_has_at_most_20_kb(stack: Stack) -> None:
    """Lambda quotas: 20 KB. Each permission adds less than 500 bytes to the policy."""
    for function, permissions in grouped(stack, "aws_lambda_permission", "function_name").items():
        assert len(permissions) * 500 <= 20_480, function


def test_environment_variables_have_at_most_4_kb(stack: Stack) -> None:
    """Lambda limits the total size of all variables of a function (Lambda quotas)."""
    for function in blocks(stack, "aws_lambda_function"):
        variables = stack.resolve_references(function["environment"]["variables"])
        size = sum(len(name) + len(str(value)) for name, value in variables.items())
        assert size <= 4_096, (function["function_name"], size)


def test_functions_have_at_most_5_layers_and_250_mb(stack: Stack) -> None:
    """Lambda quotas: 50 MB zipped for a direct upload, 250 MB unzipped."""
    for function in blocks(stack, "aws_lambda_function"):
        assert len(function.get("layers", [])) <= 5
    for code in blocks(stack, "aws_s3_object"):
        if code["key"].startswith("functions/"):
            package = stack.directory / code["source"]
            assert package.stat().st_size <= 50 * 1024**2, code["key"]
            with ZipFile(package) as archive:
                unzipped = sum(member.file_size for member in archive.infolist())
            assert unzipped <= 250 * 1024**2, code["key"]


def test_reserved_concurrency_leaves_the_required_unreserved_concurrency(stack: Stack) -> None:
    reserved = [
        function.get("reserved_concurrent_executions", 0)
        for function in blocks(stack, "aws_lambda_function")
    ]
    assert sum(reserved) <= ACCOUNT_CONCURRENCY - UNRESERVED_MINIMUM


def test_web_acls_have_at_most_1500_capacity_units(stack: Stack) -> None:
    """WAF quotas: the basic price includes 1,500 units.

    The core rule set takes 700 units. A rate-based rule without a scope-down statement takes 2 (WAF
    developer guide).
    """
    for acl in blocks(stack, "aws_wafv2_web_acl"):
        units = sum(
            700 if "managed_rule_group_statement" in rule["statement"] else 2
            for rule in acl["rule"]
        )
        assert units <= 1_500
        assert len({rule["priority"] for rule in acl["rule"]}) == len(acl["rule"])
        for body in acl.get("custom_response_body", []):
            assert len(body["content"]) <= 4_096


def widgets(stack: Stack) -> Iterator[tuple[str, Block]]:
    for dashboard in blocks(stack, "aws_cloudwatch_dashboard"):
        for widget in json.loads(stack.resolve_references(dashboard["dashboard_body"]))["widgets"]:
            yield dashboard["dashboard_name"], widget


def test_dashboards_have_at_most_500_widgets_and_2500_metrics(stack: Stack) -> None:
    """CloudWatch quotas: a dashboard has at most 500 widgets and 2,500 metrics, a widget 500
    metrics and 100 alarms.
    """
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for name, widget in widgets(stack):
        metrics = len(widget["properties"].get("metrics", []))
        assert metrics <= 500
        assert len(widget["properties"].get("alarms", [])) <= 100
        counted[name].update(widgets=1, metrics=metrics)
    assert counted
    for count in counted.values():
        assert count["widgets"] <= 500
        assert count["metrics"] <= 2_500


def test_tables_have_at_most_20_indexes_and_100_projected_attributes(stack: Stack) -> None:
    """By default, DynamoDB allows 20 global secondary indexes per table."""
    for table in blocks(stack, "aws_dynamodb_table"):
        indexes = table.get("global_secondary_index", [])
        assert len(indexes) <= 20, table["name"]
        projected = [index.get("non_key_attributes", []) for index in indexes]
        assert sum(map(len, projected)) <= 100


def test_security_groups_have_at_most_60_rules_per_direction(stack: Stack) -> None:
    """By default, VPC allows 60 rules per direction."""
    for direction in ("ingress", "egress"):
        rules = grouped(stack, f"aws_vpc_security_group_{direction}_rule", "security_group_id")
        for group, members in rules.items():
            assert len(members) <= 60, group
    for function in blocks(stack, "aws_lambda_function"):
        network = function.get("vpc_config", {})
        assert len(network.get("security_group_ids", [])) <= 5
        assert len(network.get("subnet_ids", [])) <= 16


def test_addresses_and_nat_gateways_fit_a_new_account(stack: Stack) -> None:
    """EC2 and VPC quotas of a new account: 5 elastic addresses in a region, 5 NAT gateways in a
    zone.
    """
    assert len(blocks(stack, "aws_eip")) <= 5
    assert len(blocks(stack, "aws_nat_gateway")) <= 5


def test_apis_have_at_most_300_resources_or_routes(stack: Stack) -> None:
    """API Gateway quotas: a REST API has at most 300 resources, a WebSocket API 300 routes."""
    assert len(blocks(stack, "aws_api_gateway_resource")) <= 300
    assert len(blocks(stack, "aws_apigatewayv2_route")) <= 300
    for integration in blocks(stack, "aws_api_gateway_integration"):
        assert integration.get("timeout_milliseconds", 29_000) <= 29_000


def test_rules_and_topics_stay_below_the_quotas_of_a_bus(stack: Stack) -> None:
    """EventBridge quotas: a bus has at most 300 rules, a rule 5 targets, and a pattern 4 KB."""
    assert len(blocks(stack, "aws_cloudwatch_event_rule")) <= 300
    for name, targets in grouped(stack, "aws_cloudwatch_event_target", "rule").items():
        assert len(targets) <= 5, name
    for rule in blocks(stack, "aws_cloudwatch_event_rule"):
        assert len(rule.get("event_pattern", "")) <= 4_096
        assert len(rule.get("description", "")) <= 512


def test_messages_wait_within_the_limits_of_sqs(stack: Stack) -> None:
    """SQS quotas: a visibility timeout is at most 12 hours, a delay 15 minutes, and retention 14
    days.
    """
    for queue in blocks(stack, "aws_sqs_queue"):
        assert queue.get("visibility_timeout_seconds", 30) <= 43_200
        assert queue.get("delay_seconds", 0) <= 900
        assert queue.get("message_retention_seconds", 345_600) <= 1_209_600


def test_distributions_stay_below_the_quotas_of_cloudfront(stack: Stack) -> None:
    """CloudFront quotas: a distribution has at most 100 aliases, 25 behaviors and 25 origins, and a
    function 10 KB.
    """
    for distribution in blocks(stack, "aws_cloudfront_distribution"):
        assert len(distribution.get("aliases", [])) <= 100
        assert len(distribution.get("ordered_cache_behavior") or []) < 25
        assert len(distribution["origin"]) <= 25
    for function in blocks(stack, "aws_cloudfront_function"):
        assert len(function["code"].encode()) <= 10_240
    names = [len(item["name"]) for item in blocks(stack, "aws_route53_record")]
    assert max(names, default=0) <= 255


def test_a_certificate_has_at_most_10_names(stack: Stack) -> None:
    """By default, ACM allows 10 names per certificate."""
    for certificate in blocks(stack, "aws_acm_certificate"):
        assert len(certificate.get("subject_alternative_names") or []) + 1 <= 10


def test_descriptions_are_not_too_long(stack: Stack) -> None:
    """A description has at most 256 characters in Lambda, 1,024 in CloudWatch, 255 in EC2, and
    1,000 in IAM.
    """
    limits = {
        ("aws_lambda_function", "description"): 256,
        ("aws_lambda_alias", "description"): 256,
        ("aws_cloudwatch_metric_alarm", "alarm_description"): 1_024,
        ("aws_security_group", "description"): 255,
        ("aws_vpc_security_group_ingress_rule", "description"): 255,
        ("aws_vpc_security_group_egress_rule", "description"): 255,
        ("aws_iam_role", "description"): 1_000,
    }
    for (type_, attribute), limit in limits.items():
        for block in blocks(stack, type_):
            text = stack.resolve_references(block.get(attribute, ""))
            assert len(text) <= limit, (type_, text)


def test_a_resource_has_at_most_50_tags(stack: Stack) -> None:
    """AWS tagging guide: 50 tags. An S3 object has at most 10, including the default tags."""
    shared: dict[str, Any] = stack.document["provider"]["aws"][0]["default_tags"][0]["tags"]
    for type_, resources in stack.document["resource"].items():
        limit = 10 if type_ == "aws_s3_object" else 50
        for block in resources.values():
            assert len({**shared, **block.get("tags", {})}) <= limit


def test_the_longest_environment_name_exceeds_no_limit(stack: Stack) -> None:
    """An environment's name has at most 15 characters (environments/model.py)."""
    longer = 15 - len(stack.environment)
    for type_, name, limit in limited_names(stack):
        assert len(name) + longer * name.count(stack.environment) <= limit, (type_, name)


def _set(type_: str, **values: Any) -> Callable[[Block], None]:
    """Returns a function that sets arguments of every resource of a type."""

    def add_fault(document: Block) -> None:
        for block in document["resource"].setdefault(type_, {"new": {}}).values():
            block.update(values)

    return add_fault


def _copy(type_: str, number: int) -> Callable[[Block], None]:
    """Returns a function that adds copies of the first resource of a type."""

    def add_fault(document: Block) -> None:
        resources = document["resource"][type_]
        first = next(iter(resources.values()))
        resources.update({f"copy-{index}": first for index in range(number)})

    return add_fault


def _declare_large_package(document: Block) -> None:
    """Adds a small package that declares an unzipped size of 251 MB."""
    with NamedTemporaryFile(suffix=".zip", delete=False) as file, ZipFile(file, "w") as archive:
        archive.writestr("module.py", "")
        archive.infolist()[0].file_size = 251 * 1024**2
    document["resource"]["aws_s3_object"]["large"] = {"key": "functions/x", "source": file.name}


def _add_metrics(document: Block) -> None:
    body = {"widgets": [{"properties": {"metrics": [["AWS/Lambda", "Errors"]] * 501}}]}
    _set("aws_cloudwatch_dashboard", dashboard_body=json.dumps(body))(document)


FAULTS: list[tuple[Callable[[Stack], None], Callable[[Block], None]]] = [
    (test_names_are_not_too_long, _set("aws_lambda_function", function_name="x" * 65)),
    (test_every_name_has_a_limit, _set("aws_iam_instance_profile", name="profile")),
    (
        test_inline_policies_of_a_role_have_at_most_10240_characters,
        _copy("aws_iam_role_policy", 50),
    ),
    (
        test_managed_and_trust_policies_are_not_too_long,
        _set("aws_iam_role", assume_role_policy="x" * 2_049),
    ),
    (test_a_role_has_at_most_10_managed_policies, _copy("aws_iam_role_policy_attachment", 10)),
    (test_resource_policies_are_not_too_long, _set("aws_kms_key", policy="x" * 32_769)),
    (test_a_functions_resource_policy_has_at_most_20_kb, _copy("aws_lambda_permission", 41)),
    (
        test_environment_variables_have_at_most_4_kb,
        _set("aws_lambda_function", environment={"variables": {"NAME": "x" * 4_096}}),
    ),
    (
        test_functions_have_at_most_5_layers_and_250_mb,
        _set("aws_lambda_function", layers=["arn"] * 6),
    ),
    (test_functions_have_at_most_5_layers_and_250_mb, _declare_large_package),
    (
        test_reserved_concurrency_leaves_the_required_unreserved_concurrency,
        _set("aws_lambda_function", reserved_concurrent_executions=100),
    ),
    (
        test_web_acls_have_at_most_1500_capacity_units,
        _set(
            "aws_wafv2_web_acl",
            rule=[
                {"priority": number, "statement": {"managed_rule_group_statement": {}}}
                for number in range(3)
            ],
        ),
    ),
    (test_dashboards_have_at_most_500_widgets_and_2500_metrics, _add_metrics),
    (
        test_tables_have_at_most_20_indexes_and_100_projected_attributes,
        _set("aws_dynamodb_table", global_secondary_index=[{}] * 21),
    ),
    (
        test_security_groups_have_at_most_60_rules_per_direction,
        _copy("aws_vpc_security_group_egress_rule", 60),
    ),
    (test_addresses_and_nat_gateways_fit_a_new_account, _copy("aws_nat_gateway", 3)),
    (test_apis_have_at_most_300_resources_or_routes, _copy("aws_apigatewayv2_route", 300)),
    (test_rules_and_topics_stay_below_the_quotas_of_a_bus, _copy("aws_cloudwatch_event_target", 5)),
    (test_messages_wait_within_the_limits_of_sqs, _set("aws_sqs_queue", delay_seconds=901)),
    (
        test_distributions_stay_below_the_quotas_of_cloudfront,
        _set("aws_cloudfront_function", code="x" * 10_241),
    ),
    (
        test_a_certificate_has_at_most_10_names,
        _set("aws_acm_certificate", subject_alternative_names=["a.example"] * 10),
    ),
    (test_descriptions_are_not_too_long, _set("aws_lambda_function", description="x" * 257)),
    (
        test_a_resource_has_at_most_50_tags,
        _set("aws_s3_object", tags={f"tag-{number}": "x" for number in range(10)}),
    ),
    (
        test_the_longest_environment_name_exceeds_no_limit,
        _set("aws_lambda_function", function_name=f"{'x' * 49}-prod"),
    ),
]


@pytest.mark.parametrize(("check", "add_fault"), FAULTS, ids=lambda item: item.__name__)
def test_each_limit_check_fails_if_its_limit_is_exceeded(
    synthesized: Path, check: Callable[[Stack], None], add_fault: Callable[[Block], None]
) -> None:
    stack = Stack("prod", synthesized / "prod")
    add_fault(stack.document)
    with pytest.raises(AssertionError):
        check(stack)


def test_each_limit_check_is_tested_with_a_fault() -> None:
    checks = {
        check
        for name, check in globals().items()
        if name.startswith("test_") and list(signature(check).parameters) == ["stack"]
    }
    assert checks == {check for check, _ in FAULTS}
