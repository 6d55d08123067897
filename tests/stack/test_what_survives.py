"""Tests that prod has a mechanism against each fault on AWS in docs/operations/what-survives.md."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from environments import load_environment
from lambdas.common.web.idempotency import LEASE_SECONDS
from ops.deployment.bootstrap import NONCURRENT_STATE_DAYS
from ops.root import PROJECT
from tests.stack.stacks import Block, Stack, find_value

PAGE = PROJECT / "docs" / "operations" / "what-survives.md"
DISPOSABLE = {"auth-rate-limits", "chat-tickets", "platform-idempotency"}
"""Tables whose items are only valid for a short time."""
RETRIES = "delivery-retries-queue"
"""The queue of chat messages whose delivery failed. Lambda receives each of its messages more times
than those of other queues before the message moves to the dead-letter queue.
"""


def rows() -> dict[str, str]:
    """Returns the rows of the table `Faults on AWS` in what-survives.md by fault."""
    table = PAGE.read_text().partition("## Faults on AWS")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| \*\*(.+?)\*\* \| (.+) \|$", table, re.MULTILINE))


@pytest.fixture(scope="module")
def stack(synthesized: Path) -> Stack:
    return Stack("prod", synthesized / "prod")


def name(block: Block) -> str:
    return str(block["name"]).removesuffix(".fifo").removesuffix("-prod")


def kept_tables(stack: Stack) -> list[Block]:
    tables = stack.resources("aws_dynamodb_table").values()
    return [table for table in tables if name(table) not in DISPOSABLE]


def check_killed_request(stack: Stack, row: str) -> None:
    stack.find_only("aws_dynamodb_table", {"name": "platform-idempotency-prod"})
    assert f"up to {LEASE_SECONDS} s" in row


def check_killed_after_write(stack: Stack, row: str) -> None:
    outbox = stack.find_only("aws_dynamodb_table", {"name": "platform-outbox-prod"})
    assert outbox["stream_enabled"]
    schedules = {
        rule["name"]: rule.get("schedule_expression")
        for rule in stack.resources("aws_cloudwatch_event_rule").values()
    }
    assert schedules["relay-sweep-rule-prod"] == "rate(1 hour)"
    assert schedules["catalog-sweep-prod"] == "rate(1 minute)"
    assert "scans the outbox every hour" in row
    assert "every minute" in row


def check_killed_consumer(stack: Stack, row: str) -> None:
    attempts = {
        name(queue): json.loads(queue["redrive_policy"])["maxReceiveCount"]
        for queue in stack.resources("aws_sqs_queue").values()
        if "redrive_policy" in queue
    }
    assert attempts.pop(RETRIES) == 20
    assert set(attempts.values()) == {5}
    assert "after five attempts (20 in the queue `delivery-retries`)" in row
    stack.find_only("aws_dynamodb_table", {"name": "profile-counted-events-prod"})


def check_throttled_table(stack: Stack, _: str) -> None:
    alarms = {
        alarm["alarm_name"] for alarm in stack.resources("aws_cloudwatch_metric_alarm").values()
    }
    tables = stack.resources("aws_dynamodb_table").values()
    assert {f"{name(table)}-throttles-alarm-prod" for table in tables} <= alarms


def check_failed_zone(stack: Stack, row: str) -> None:
    environment = load_environment("prod", variables={})
    assert environment.rds.instances == len(stack.resources("aws_rds_cluster_instance")) == 2
    [cache] = stack.resources("aws_elasticache_replication_group").values()
    assert environment.elasticache.replicas == 1
    assert cache["automatic_failover_enabled"]
    assert cache["multi_az_enabled"]
    assert "`rds.instances: 2`" in row
    assert "`elasticache.replicas: 1`" in row


def check_failover(stack: Stack, _: str) -> None:
    assert len(stack.resources("aws_rds_cluster_instance")) > 1


def check_emptied_cache(stack: Stack, _: str) -> None:
    [cache] = stack.resources("aws_elasticache_replication_group").values()
    assert cache["snapshot_retention_limit"] == 0


def check_failed_region(stack: Stack, _: str) -> None:
    regions = {provider["region"] for provider in stack.document["provider"]["aws"]}
    assert regions == {"us-east-1"}
    assert not stack.resources("aws_s3_bucket_replication_configuration")
    assert not stack.resources("aws_rds_global_cluster")
    tables = stack.resources("aws_dynamodb_table").values()
    assert not any(table.get("replica") for table in tables)


def check_bad_release(stack: Stack, _: str) -> None:
    assert load_environment("prod", variables={}).release_strategy == "gradual"
    for alias in stack.resources("aws_lambda_alias").values():
        assert "routing_config" in find_value(alias, "lifecycle.ignore_changes")


def check_bad_migration(stack: Stack, _: str) -> None:
    [cluster] = stack.resources("aws_rds_cluster").values()
    assert cluster["backup_retention_period"] == 35


def check_deleted_table(stack: Stack, _: str) -> None:
    for table in kept_tables(stack):
        assert table["deletion_protection_enabled"], table["name"]
        assert find_value(table, "point_in_time_recovery.enabled"), table["name"]
        assert find_value(table, "lifecycle.prevent_destroy"), table["name"]
    for table in stack.resources("aws_dynamodb_table").values():
        assert table["deletion_protection_enabled"] or name(table) in DISPOSABLE


def check_deleted_database(stack: Stack, _: str) -> None:
    [cluster] = stack.resources("aws_rds_cluster").values()
    assert cluster["deletion_protection"]
    assert cluster["final_snapshot_identifier"]
    assert not cluster["skip_final_snapshot"]
    assert find_value(cluster, "lifecycle.prevent_destroy")


def check_deleted_object(stack: Stack, row: str) -> None:
    buckets = stack.resources("aws_s3_bucket")
    versioned = stack.find(
        "aws_s3_bucket_versioning", {"versioning_configuration": {"status": "Enabled"}}
    )
    assert len(versioned) == len(buckets)
    days = {
        re.search(r"storage_(.+)_bucket", rules["bucket"])[1]: find_value(  # type: ignore[index]
            rules, "rule.id=old-versions.noncurrent_version_expiration.noncurrent_days"
        )
        for rules in stack.resources("aws_s3_bucket_lifecycle_configuration").values()
    }
    assert (days.pop("avatars"), days.pop("attachments")) == (2555, 2555)
    assert set(days.values()) == {30}
    assert "within 30 days (2,555 for avatars and attachments)" in row


def check_deleted_pool(stack: Stack, _: str) -> None:
    [pool] = stack.resources("aws_cognito_user_pool").values()
    assert pool["deletion_protection"] == "ACTIVE"
    assert find_value(pool, "lifecycle.prevent_destroy")


def check_deleted_state(_: Stack, row: str) -> None:
    assert f"old versions for {NONCURRENT_STATE_DAYS} days" in row


def check_encryption_key(stack: Stack, row: str) -> None:
    [key] = stack.resources("aws_kms_key").values()
    assert key["deletion_window_in_days"] == 30
    assert "within 30 days" in row
    for queue in stack.resources("aws_sqs_queue").values():
        assert queue["kms_master_key_id"]
    for type_ in ("aws_dynamodb_table", "aws_rds_cluster"):
        for block in stack.resources(type_).values():
            assert "kms_key_id" not in block
            assert "kms_key_arn" not in block.get("server_side_encryption", {})


def check_deleted_queue(stack: Stack, row: str) -> None:
    [archive] = stack.resources("aws_cloudwatch_event_archive").values()
    assert f"the last {archive['retention_days']} days" in row


def check_signing_key(stack: Stack, _: str) -> None:
    assert any("jwt" in block["name"] for block in stack.resources("aws_ssm_parameter").values())


def check_failed_event(stack: Stack, row: str) -> None:
    [archive] = stack.resources("aws_cloudwatch_event_archive").values()
    assert archive["retention_days"] == 365
    days = {
        queue["message_retention_seconds"] / 86_400
        for queue in stack.resources("aws_sqs_queue").values()
        if "redrive_policy" not in queue
    }
    assert days == {14}
    assert "dead-letter queue for 14 days" in row


CHECKS: dict[str, Callable[[Stack, str], None]] = {
    "A function is killed during a request": check_killed_request,
    "A function is killed after its write": check_killed_after_write,
    "A consumer is killed": check_killed_consumer,
    "A table is throttled": check_throttled_table,
    "An availability zone fails": check_failed_zone,
    "Aurora fails over": check_failover,
    "The cache is emptied": check_emptied_cache,
    "The region fails": check_failed_region,
    "A bad release": check_bad_release,
    "A bad migration": check_bad_migration,
    "A deleted table": check_deleted_table,
    "A deleted database": check_deleted_database,
    "A deleted object": check_deleted_object,
    "A deleted user pool": check_deleted_pool,
    "Deleted or damaged Terraform state": check_deleted_state,
    "A deleted encryption key": check_encryption_key,
    "A deleted queue": check_deleted_queue,
    "A leaked or lost signing key": check_signing_key,
    "An archived or failed event": check_failed_event,
}


def test_every_fault_on_aws_has_a_check() -> None:
    assert rows().keys() == CHECKS.keys()


@pytest.mark.parametrize("fault", CHECKS)
def test_prod_has_the_mechanism_against_a_fault(stack: Stack, fault: str) -> None:
    CHECKS[fault](stack, rows()[fault])
