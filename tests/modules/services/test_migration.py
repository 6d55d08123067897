from __future__ import annotations

from pathlib import Path

import pytest

from modules.base.connections import DatabaseConnection
from modules.base.function import FunctionNetwork
from modules.base.table import Table
from modules.services.migration import Migration
from tests.modules.synthesis import Synthesized, function_platform, synthesize

SECRET = "arn:aws:secretsmanager:us-east-1:111122223333:secret:rds!cluster-abc"
STATE = Table(
    "migration-state-dev",
    "state",
    "arn:aws:dynamodb:us-east-1:111122223333:table/migration-state-dev",
    [],
)
KEY = "arn:aws:kms:us-east-1:111122223333:key/abc"
ALERTS = "arn:aws:sns:us-east-1:111122223333:multitask-alerts-dev"


def migration(artifacts: Path, **options: bool) -> Synthesized:
    return synthesize(
        lambda stack, env, _names: Migration(
            stack,
            "migration",
            platform=function_platform(env, artifacts),
            network=FunctionNetwork(["subnet-1"], ["sg-1"]),
            database=DatabaseConnection("db.example:5432", "multitask_dev", "cluster-ABC", SECRET),
            state_table=STATE,
            kms_key_arn=KEY,
            **options,
        )
    )


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return migration(tmp_path_factory.mktemp("artifacts"))


def test_the_migration_function_has_the_documented_timeout_of_five_minutes(
    dev: Synthesized,
) -> None:
    assert dev.find_only("aws_lambda_function")["timeout"] == 300


def test_the_migration_functions_variables_contain_names_but_no_secrets(dev: Synthesized) -> None:
    variables = dev.find_only("aws_lambda_function")["environment"]["variables"]
    expected = {
        "RDS_ENDPOINT": "db.example:5432",
        "RDS_DATABASE": "multitask_dev",
        "RDS_SECRET_ARN": SECRET,
        "RDS_TLS": "true",
        "MIGRATION_STATE_TABLE": "migration-state-dev",
    }
    assert {key: variables.get(key) for key in expected} == expected


def test_the_migration_function_can_read_one_secret_and_write_one_table(dev: Synthesized) -> None:
    statements = {item["Sid"]: item for item in dev.policy("aws_iam_role_policy")}
    assert set(statements) == {
        "MasterUser",
        "State",
        "Alert",
        "EncryptAlert",
        "Logs",
        "Traces",
        "NetworkInterfaces",
    }
    master, state = statements["MasterUser"], statements["State"]
    assert (master["Action"], master["Resource"]) == ("secretsmanager:GetSecretValue", SECRET)
    assert state["Action"] == "dynamodb:PutItem"
    assert state["Resource"] == STATE.arn
    assert (statements["Alert"]["Action"], statements["Alert"]["Resource"]) == (
        "sns:Publish",
        ALERTS,
    )


def test_the_migration_function_can_use_the_key_only_for_alerts(dev: Synthesized) -> None:
    [statement] = [
        item for item in dev.policy("aws_iam_role_policy") if item["Sid"] == "EncryptAlert"
    ]
    assert statement["Resource"] == KEY
    assert statement["Condition"] == {
        "StringEquals": {"kms:ViaService": "sns.us-east-1.amazonaws.com"}
    }


@pytest.mark.parametrize(("options", "state"), [({}, "DISABLED"), ({"scheduled": True}, "ENABLED")])
def test_the_daily_schedule_is_disabled_by_default(
    tmp_path: Path, options: dict[str, bool], state: str
) -> None:
    rule = migration(tmp_path, **options).find_only("aws_cloudwatch_event_rule")
    assert (rule["schedule_expression"], rule["state"]) == ("rate(1 day)", state)


def test_only_the_schedule_can_invoke_the_live_version(dev: Synthesized) -> None:
    assert dev.find_only("aws_cloudwatch_event_target")["arn"].startswith("${aws_lambda_alias.")
    permission = dev.find_only("aws_lambda_permission")
    assert permission["principal"] == "events.amazonaws.com"
    assert permission["source_arn"].startswith("${aws_cloudwatch_event_rule.")
    assert permission["qualifier"].startswith("${aws_lambda_alias.")


def test_a_failed_scheduled_run_is_reported_and_not_retried(dev: Synthesized) -> None:
    failures = dev.find_only("aws_lambda_function_event_invoke_config")
    assert failures["destination_config"]["on_failure"]["destination"] == ALERTS
    assert failures["maximum_retry_attempts"] == 0
    assert failures["qualifier"].startswith("${aws_lambda_alias.")
