from __future__ import annotations

import json

import pytest

from modules.backups import Backups
from modules.base.bucket import Bucket
from modules.base.table import Table
from tests.modules.synthesis import Synthesized, synthesize

ARN = "arn:aws:dynamodb:us-east-1:111122223333:table"
TABLES = {
    name: Table(f"{name}-dev", name.partition("-")[2], f"{ARN}/{name}-dev", [])
    for name in ("auth-sessions", "profile-profiles")
}
KEY = "arn:aws:kms:us-east-1:111122223333:key/abc"
ALERTS = "arn:aws:sns:us-east-1:111122223333:multitask-alerts-dev"


@pytest.fixture(scope="module")
def dev() -> Synthesized:
    return synthesize(
        lambda stack, _env, names: Backups(
            stack,
            "backups",
            names=names,
            tables=TABLES,
            bucket=Bucket(
                stack,
                "bucket",
                name="platform-backups-bucket-dev",
                service="platform",
                retain=False,
            ),
            kms_key_arn=KEY,
            alerts_topic_arn=ALERTS,
        )
    )


@pytest.mark.parametrize("name", TABLES)
def test_each_table_is_exported_every_day(dev: Synthesized, name: str) -> None:
    schedule = dev.find_only("aws_scheduler_schedule", name=f"{name}-export-schedule-dev")
    assert schedule["schedule_expression"] == "cron(0 3 * * ? *)"
    target = schedule["target"]
    assert target["arn"] == "arn:aws:scheduler:::aws-sdk:dynamodb:exportTableToPointInTime"
    request = json.loads(target["input"])
    assert request["TableArn"] == TABLES[name].arn
    assert request["S3Prefix"] == f"dynamodb/{name}"
    assert request["S3Bucket"].startswith("${aws_s3_bucket.")
    # Retries of one run use the same token, so they start only one export.
    assert request["ClientToken"] == "<aws.scheduler.execution-id>"
    assert target["dead_letter_config"]["arn"].startswith("${aws_sqs_queue.")


def test_the_role_can_only_export_the_tables_to_one_prefix_and_report_failures(
    dev: Synthesized,
) -> None:
    statements = {item["Sid"]: item for item in dev.policy("aws_iam_role_policy")}
    assert set(statements) == {"Export", "Write", "Failed", "EncryptFailed"}
    assert statements["Export"]["Action"] == "dynamodb:ExportTableToPointInTime"
    assert statements["Export"]["Resource"] == [table.arn for table in TABLES.values()]
    # The DynamoDB developer guide lists these actions under "Requesting a table export".
    assert statements["Write"]["Action"] == [
        *("s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload")
    ]
    assert statements["Write"]["Resource"].endswith("/dynamodb/*")
    assert statements["EncryptFailed"]["Resource"] == KEY
    [trust] = json.loads(dev.find_only("aws_iam_role")["assume_role_policy"])["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "111122223333"}}


def test_an_export_that_failed_to_start_raises_an_alarm(dev: Synthesized) -> None:
    queue = dev.find_only("aws_sqs_queue")
    assert queue["name"] == "platform-exports-dlq-dev"
    assert dev.find_only("aws_cloudwatch_metric_alarm")["alarm_actions"] == [ALERTS]
