"""Daily exports of tables to the backups bucket, in addition to AWS's own backups."""

from __future__ import annotations

from collections.abc import Mapping

from cdktf_cdktf_provider_aws.iam_role import IamRole
from cdktf_cdktf_provider_aws.iam_role_policy import IamRolePolicy
from cdktf_cdktf_provider_aws.scheduler_schedule import (
    SchedulerSchedule,
    SchedulerScheduleFlexibleTimeWindow,
    SchedulerScheduleTarget,
    SchedulerScheduleTargetDeadLetterConfig,
    SchedulerScheduleTargetRetryPolicy,
)
from constructs import Construct

from modules.base.bucket import Bucket
from modules.base.document import json_document
from modules.base.naming import Names, service_tag
from modules.base.policy import Statement, key_statement, policy_document, trust_policy
from modules.base.queue import DeadLetterQueue
from modules.base.table import Table

SERVICE = "platform"
EXPORT_PREFIX = "dynamodb/"
"""The prefix of all exports in the bucket. Each table has a prefix below this one."""
EVERY_DAY = "cron(0 3 * * ? *)"
"""03:00 UTC: night in Europe, and evening in most of the Americas (22:00 or 23:00 in New York)."""
WINDOW_MINUTES = 60
"""Each export starts at a random time in this window, so that not all start at the same time."""
EXPORT_TARGET = "arn:aws:scheduler:::aws-sdk:dynamodb:exportTableToPointInTime"
"""The target of the schedules: EventBridge Scheduler calls DynamoDB without a function."""
RETRY_SECONDS = 3600
"""Seconds in which EventBridge Scheduler retries an export that could not be started."""
RETRY_ATTEMPTS = 10
"""Maximum number of retries in RETRY_SECONDS."""


class Backups(Construct):
    """Exports each table to the backups bucket once a day.

    Args:
        names: The environment and its resource names.
        tables: The tables, by name without environment, for example `auth-sessions`. Exports
            require point-in-time recovery.
        bucket: The bucket for the exports.
        kms_key_arn: The key of the dead-letter queue for exports that failed to start.
        alerts_topic_arn: The topic for the alarm on the dead-letter queue.

    Attributes:
        queues: Queue names by purpose.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        names: Names,
        tables: Mapping[str, Table],
        bucket: Bucket,
        kms_key_arn: str,
        alerts_topic_arn: str,
    ) -> None:
        super().__init__(scope, id_)
        environment = names.environment
        failed = DeadLetterQueue(
            self,
            "failed",
            names=names,
            service=SERVICE,
            resource="exports",
            kms_key_arn=kms_key_arn,
            alerts_topic_arn=alerts_topic_arn,
            contents="exports of tables that could not be started",
        )
        self.queues = {"exports-dlq": failed.name}
        role = IamRole(
            self,
            "role",
            name=names.of(SERVICE, "exports-role"),
            assume_role_policy=trust_policy(
                "scheduler.amazonaws.com",
                # Only schedules of this account may use the role.
                conditions={"StringEquals": {"aws:SourceAccount": environment.account_id}},
            ),
            tags=service_tag(SERVICE),
        )
        policy = IamRolePolicy(
            self,
            "policy",
            name=names.of(SERVICE, "exports-policy"),
            role=role.name,
            policy=policy_document(
                [
                    Statement(
                        sid="Export",
                        actions=["dynamodb:ExportTableToPointInTime"],
                        resources=[table.arn for table in tables.values()],
                    ),
                    # DynamoDB writes the export with the permissions of the caller. The developer
                    # guide requires PutObjectAcl although the bucket has no ACLs.
                    Statement(
                        sid="Write",
                        actions=["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"],
                        resources=[f"{bucket.arn}/{EXPORT_PREFIX}*"],
                    ),
                    Statement(sid="Failed", actions=["sqs:SendMessage"], resources=[failed.arn]),
                    key_statement(
                        "EncryptFailed", kms_key_arn, service="sqs", region=environment.region
                    ),
                ]
            ),
        )
        for key, table in tables.items():
            service, _, resource = key.partition("-")
            SchedulerSchedule(
                self,
                key,
                name=names.of(service, f"{resource}-export-schedule"),
                description=f"Exports {key} every day",
                schedule_expression=EVERY_DAY,
                flexible_time_window=SchedulerScheduleFlexibleTimeWindow(
                    mode="FLEXIBLE", maximum_window_in_minutes=WINDOW_MINUTES
                ),
                target=SchedulerScheduleTarget(
                    arn=EXPORT_TARGET,
                    role_arn=role.arn,
                    input=json_document(
                        {
                            "TableArn": table.arn,
                            "S3Bucket": bucket.name,
                            "S3BucketOwner": environment.account_id,
                            "S3Prefix": f"{EXPORT_PREFIX}{key}",
                            "S3SseAlgorithm": "AES256",
                            "ExportFormat": "DYNAMODB_JSON",
                            # All retries of a scheduled export have the same token, so that
                            # DynamoDB starts the export only once.
                            "ClientToken": "<aws.scheduler.execution-id>",
                        }
                    ),
                    dead_letter_config=SchedulerScheduleTargetDeadLetterConfig(arn=failed.arn),
                    retry_policy=SchedulerScheduleTargetRetryPolicy(
                        maximum_event_age_in_seconds=RETRY_SECONDS,
                        maximum_retry_attempts=RETRY_ATTEMPTS,
                    ),
                ),
                depends_on=[policy],
            )
