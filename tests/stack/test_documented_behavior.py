"""Tests the stacks against behavior of AWS and the provider that emulators do not implement."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from environments import environment_names, load_environment
from tests.stack.stacks import Block, Stack

MOCK_ARGUMENTS = {
    "rest_api_id",
    "resource_id",
    "http_method",
    "type",
    "request_templates",
    "request_parameters",
    "passthrough_behavior",
    "cache_key_parameters",
    "cache_namespace",
    "timeout_milliseconds",
    "depends_on",
}
"""The arguments that GetIntegration returns for a mock integration (API Gateway API reference)."""

OPTIONS = {"allow", "none", "count", "query_string"}
"""Blocks without arguments in web ACLs and their logging. Their presence selects an option."""

LOG_LEVELS = {"debug": "DEBUG", "info": "INFO", "warning": "WARN", "error": "ERROR"}
"""Lambda's names of the log levels (Lambda API reference, LoggingConfig)."""

BODY_RULES = {
    "SizeRestrictions_BODY",
    "EC2MetaDataSSRF_BODY",
    "GenericLFI_BODY",
    "GenericRFI_BODY",
    "CrossSiteScripting_BODY",
}
"""The rules of the core rule set that inspect bodies (WAF developer guide, baseline groups)."""

VISIBILITY_TIMEOUTS = {"delivery": 2}
"""The visibility timeout of a service's queues, as a multiple of the function's timeout.

Services that are not listed use 6, which AWS recommends.
"""


@pytest.fixture(scope="module", params=environment_names())
def stack(request: pytest.FixtureRequest, synthesized: Path) -> Stack:
    return Stack(request.param, synthesized / request.param)


def empty_blocks(value: Any, path: str = "") -> Iterator[str]:
    """Yields the paths of nested blocks whose arguments are all empty."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "//" or key in OPTIONS:
                continue
            yield from empty_blocks(item, f"{path}.{key}")
            if isinstance(item, dict) and all(
                name not in OPTIONS and part in (None, [], {}) for name, part in item.items()
            ):
                yield f"{path}.{key}"
    elif isinstance(value, list):
        for item in value:
            yield from empty_blocks(item, path)


def referenced(stack: Stack, type_: str, reference: str) -> Block | None:
    """Returns the resource that a reference like `${aws_sqs_queue.label.arn}` names."""
    label = reference.removeprefix(f"${{{type_}.").partition(".")[0]
    return stack.resources(type_).get(label)


def test_mock_integrations_have_only_arguments_that_api_gateway_returns(stack: Stack) -> None:
    """API Gateway does not return other arguments, so each plan would replace the integration."""
    mocks = stack.find("aws_api_gateway_integration", {"type": "MOCK"})
    assert mocks
    for mock in mocks.values():
        assert mock.keys() - {"//"} <= MOCK_ARGUMENTS


def test_no_block_is_empty(stack: Stack) -> None:
    """AWS does not return an empty block, so every plan would add it again.

    Issue 41684 of hashicorp/terraform-provider-aws reports this for response headers policies.
    """
    empty = {
        f"{type_}.{label}{path}"
        for type_, resources in stack.document["resource"].items()
        for label, block in resources.items()
        for path in empty_blocks(block)
        if not path.endswith((".tags", ".environment.variables"))
    }
    assert not empty


def test_functions_have_json_logs_and_the_environments_log_level(stack: Stack) -> None:
    """With JSON logs, Lambda drops lines below application_log_level, which is INFO by default."""
    expected = LOG_LEVELS[load_environment(stack.environment).log_level]
    for function in stack.resources("aws_lambda_function").values():
        logging = function["logging_config"]
        assert logging["log_format"] == "JSON"
        assert logging["application_log_level"] == expected, function["function_name"]


def test_web_acls_count_requests_that_match_body_rules_instead_of_blocking(stack: Stack) -> None:
    for acl in stack.resources("aws_wafv2_web_acl").values():
        groups = [
            rule["statement"]["managed_rule_group_statement"]
            for rule in acl["rule"]
            if "managed_rule_group_statement" in rule["statement"]
        ]
        assert groups
        for group in groups:
            counted = {
                override["name"]
                for override in group["rule_action_override"]
                if override["action_to_use"] == {"count": {}}
            }
            assert counted >= BODY_RULES


def test_visibility_timeouts_are_six_function_timeouts_except_for_listed_services(
    stack: Stack,
) -> None:
    functions = {
        function["tags"]["Service"]: function
        for function in stack.resources("aws_lambda_function").values()
    }
    sources = [
        (queue, functions[mapping["tags"]["Service"]])
        for mapping in stack.resources("aws_lambda_event_source_mapping").values()
        if (queue := referenced(stack, "aws_sqs_queue", mapping["event_source_arn"]))
    ]
    assert len(sources) >= 5
    for queue, function in sources:
        timeouts = VISIBILITY_TIMEOUTS.get(function["tags"]["Service"], 6)
        assert queue["visibility_timeout_seconds"] == timeouts * function["timeout"], queue["name"]


def test_schedules_use_the_singular_of_a_unit_only_for_1(stack: Stack) -> None:
    """EventBridge refuses `rate(1 minutes)` and `rate(5 minute)`."""
    rates = [
        re.fullmatch(r"rate\((\d+) (minute|hour|day)(s?)\)", block["schedule_expression"])
        for type_ in ("aws_cloudwatch_event_rule", "aws_scheduler_schedule")
        for block in stack.resources(type_).values()
        if block.get("schedule_expression", "").startswith("rate")
    ]
    assert rates
    for rate in rates:
        assert rate
        assert (rate[1] == "1") == (rate[3] == ""), rate[0]


def test_trust_policies_name_no_principal_that_could_be_missing(stack: Stack) -> None:
    """IAM refuses a trust policy with the ARN of a role or user that does not exist."""
    for role in stack.resources("aws_iam_role").values():
        for statement in json.loads(role["assume_role_policy"])["Statement"]:
            assert statement["Principal"].keys() in ({"Service"}, {"Federated"}), role["name"]


def test_no_bucket_name_is_used_in_two_accounts(synthesized: Path) -> None:
    """Bucket names are global: two accounts cannot have buckets with the same name."""
    accounts: dict[str, set[str]] = defaultdict(set)
    for name in environment_names():
        environment, stack = load_environment(name, variables={}), Stack(name, synthesized / name)
        buckets = [block["bucket"] for block in stack.resources("aws_s3_bucket").values()]
        for bucket in [*buckets, stack.document["terraform"]["backend"]["s3"]["bucket"]]:
            accounts[bucket].add(environment.account_id)
    assert len(accounts) > 4 * len(environment_names())
    assert not {bucket: used for bucket, used in accounts.items() if len(used) > 1}


def test_subnets_choose_availability_zones_by_id(stack: Stack) -> None:
    """The same letter names different zones in different accounts. use1-az3 has no Lambda."""
    subnets = stack.resources("aws_subnet").values()
    assert {subnet["availability_zone_id"] for subnet in subnets}.isdisjoint({"use1-az3"})
    for resources in stack.document["resource"].values():
        for block in resources.values():
            assert not {"availability_zone", "availability_zones"} & block.keys()
