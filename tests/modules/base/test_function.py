from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from environments import Environment, FunctionName
from modules.base.access import Access
from modules.base.function import FunctionNetwork, LambdaFunction
from modules.base.policy import Statement
from tests.modules.synthesis import Synthesized, environment, function_platform, synthesize

NETWORK = FunctionNetwork(subnet_ids=["subnet-1", "subnet-2"], security_group_ids=["sg-1"])
OWN = Statement(
    sid="Own",
    actions=["dynamodb:GetItem"],
    resources=["arn:aws:dynamodb:us-east-1:111122223333:table/t"],
)


def function(
    artifacts: Path,
    env: Environment | None = None,
    name: FunctionName = "chat",
    network: FunctionNetwork | None = None,
    access: Sequence[Access] = (),
) -> Synthesized:
    env = env or environment()
    return synthesize(
        lambda stack, env, _names: LambdaFunction(
            stack,
            name,
            platform=function_platform(env, artifacts),
            function=name,
            description="Sends messages",
            variables={"OWN": "value"},
            access=[Access({"OWN_TABLE": "t"}, [OWN]), *access],
            network=network,
        ),
        env,
    )


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def dev(artifacts: Path) -> Synthesized:
    return function(artifacts)


@pytest.fixture(scope="module")
def prod(artifacts: Path) -> Synthesized:
    return function(artifacts, environment("prod"), network=NETWORK)


def test_the_function_has_the_documented_configuration(dev: Synthesized) -> None:
    result = dev.find_only("aws_lambda_function")
    assert result["function_name"] == "chat-lambda-dev"
    assert (result["runtime"], result["architectures"]) == ("python3.13", ["arm64"])
    assert result["handler"] == "lambdas.chat.handler.handler"
    assert (result["memory_size"], result["timeout"], result["reserved_concurrent_executions"]) == (
        1024,
        30,
        5,
    )
    assert result["tracing_config"] == {"mode": "Active"}
    assert result["tags"] == {"Service": "chat"}


def test_a_functions_variables_include_common_variables_settings_and_table_names(
    dev: Synthesized,
) -> None:
    assert dev.find_only("aws_lambda_function")["environment"]["variables"] == {
        "STAGE": "dev",
        "REGION": "us-east-1",
        "LOG_LEVEL": "DEBUG",
        "CORS_ORIGINS": "*",
        "RATE_LIMIT_ENABLED": "false",
        "POWERTOOLS_SERVICE_NAME": "chat",
        "OWN": "value",
        "OWN_TABLE": "t",
    }


def test_allowed_origins_are_separated_by_commas(prod: Synthesized) -> None:
    variables = prod.find_only("aws_lambda_function")["environment"]["variables"]
    assert variables["CORS_ORIGINS"] == "https://multitask.com,https://www.multitask.com"
    assert variables["RATE_LIMIT_ENABLED"] == "true"


@pytest.mark.parametrize(("name", "days"), [("dev", 7), ("staging", 30), ("prod", 365)])
def test_a_functions_log_is_json_with_the_documented_retention(
    artifacts: Path, name: str, days: int
) -> None:
    result = function(artifacts, environment(name))
    group = result.find_only("aws_cloudwatch_log_group")
    assert group["name"] == f"/aws/lambda/chat-lambda-{name}"
    assert group["retention_in_days"] == days
    assert result.find_only("aws_lambda_function")["logging_config"]["log_format"] == "JSON"


def test_only_lambda_can_assume_the_role_of_a_function(dev: Synthesized) -> None:
    assert dev.find_only("aws_iam_role")["name"] == "chat-role-dev"
    [trust] = dev.policy("aws_iam_role", "assume_role_policy")
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_a_functions_role_allows_declared_access_logging_and_tracing(
    dev: Synthesized,
) -> None:
    statements = {item["Sid"]: item for item in dev.policy("aws_iam_role_policy")}
    assert set(statements) == {"Own", "Logs", "Traces"}
    assert statements["Own"]["Resource"] == OWN.resources[0]
    # The role cannot create a log group, which would have no retention period.
    assert set(statements["Logs"]["Action"]) == {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert statements["Logs"]["Resource"].startswith("${aws_cloudwatch_log_group.")
    assert set(statements["Traces"]["Action"]) == {
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
    }


def test_only_a_function_in_the_vpc_can_manage_network_interfaces(
    dev: Synthesized, prod: Synthesized
) -> None:
    assert "vpc_config" not in dev.find_only("aws_lambda_function")
    config = prod.find_only("aws_lambda_function")["vpc_config"]
    assert config == {"subnet_ids": ["subnet-1", "subnet-2"], "security_group_ids": ["sg-1"]}
    [interfaces] = [
        item for item in prod.policy("aws_iam_role_policy") if item["Sid"] == "NetworkInterfaces"
    ]
    assert all(action.startswith("ec2:") for action in interfaces["Action"])


def test_a_functions_code_is_named_after_a_digest_of_its_content(dev: Synthesized) -> None:
    code = dev.find_only("aws_s3_object")
    assert code["key"] == "functions/chat/digest-of-chat.zip"
    result = dev.find_only("aws_lambda_function")
    assert result["s3_key"].endswith(".key}")
    assert "filename" not in result


def test_new_code_is_created_before_the_old_code_is_deleted(dev: Synthesized) -> None:
    assert dev.find_only("aws_s3_object")["lifecycle"]["create_before_destroy"] is True


def test_a_function_is_created_after_its_permissions(dev: Synthesized) -> None:
    assert any(
        item.startswith("aws_iam_role_policy.")
        for item in dev.find_only("aws_lambda_function")["depends_on"]
    )


def test_traffic_goes_to_published_versions_through_the_alias(dev: Synthesized) -> None:
    assert dev.find_only("aws_lambda_function")["publish"] is True
    alias = dev.find_only("aws_lambda_alias")
    assert alias["name"] == "live"
    assert alias["function_version"].endswith(".version}")


def test_an_apply_updates_the_alias_unless_releases_are_gradual(
    dev: Synthesized, prod: Synthesized
) -> None:
    assert "lifecycle" not in dev.find_only("aws_lambda_alias")
    assert prod.find_only("aws_lambda_alias")["lifecycle"]["ignore_changes"] == [
        "function_version",
        "routing_config",
    ]


def test_a_function_has_provisioned_concurrency_only_where_the_environment_sets_it(
    dev: Synthesized, prod: Synthesized
) -> None:
    assert "aws_lambda_provisioned_concurrency_config" not in dev.types
    warm = prod.find_only("aws_lambda_provisioned_concurrency_config")
    assert warm["provisioned_concurrent_executions"] == 5
    assert warm["qualifier"].startswith("${aws_lambda_alias.")


def test_the_authorizer_has_no_reserved_concurrency(artifacts: Path) -> None:
    result = function(artifacts, environment("prod"), "authorizer")
    assert "reserved_concurrent_executions" not in result.find_only("aws_lambda_function")
    assert "aws_lambda_provisioned_concurrency_config" not in result.types


def test_a_function_has_alarms_on_errors_throttles_and_duration(dev: Synthesized) -> None:
    alarms = {alarm["metric_name"]: alarm for alarm in dev.all("aws_cloudwatch_metric_alarm")}
    assert set(alarms) == {"Errors", "Throttles", "Duration"}
    for alarm in alarms.values():
        assert alarm["namespace"] == "AWS/Lambda"
        assert alarm["dimensions"] == {"FunctionName": "chat-lambda-dev"}
        assert alarm["alarm_actions"] == ["arn:aws:sns:us-east-1:111122223333:multitask-alerts-dev"]
    errors = alarms["Errors"]
    assert (
        errors["statistic"],
        errors["period"],
        errors["evaluation_periods"],
        errors["threshold"],
    ) == ("Sum", 300, 2, 10)
    assert errors["comparison_operator"] == "GreaterThanThreshold"
    assert alarms["Throttles"]["threshold"] == 0
    # Milliseconds: 80 % of the function's timeout of 30 seconds.
    assert (alarms["Duration"]["extended_statistic"], alarms["Duration"]["threshold"]) == (
        "p99",
        24_000,
    )


def test_statements_with_the_same_sid_are_merged(artifacts: Path) -> None:
    other = Access(statements=[replace(OWN, resources=["arn:other"])])
    statements = function(artifacts, access=[other]).policy("aws_iam_role_policy")
    [own] = [item for item in statements if item["Sid"] == "Own"]
    assert own["Resource"] == [*OWN.resources, "arn:other"]
