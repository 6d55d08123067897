"""The relay function, which sends events from the outbox table to the event bus."""

from __future__ import annotations

import json

from cdktf_cdktf_provider_aws.cloudwatch_event_rule import CloudwatchEventRule
from cdktf_cdktf_provider_aws.cloudwatch_event_target import CloudwatchEventTarget
from constructs import Construct

from modules.base.access import Access, queue_sending, table_access
from modules.base.alarm import Alarm
from modules.base.event_source import queue_source, stream_source
from modules.base.function import LambdaFunction
from modules.base.naming import service_tag
from modules.base.policy import Statement
from modules.base.queue import Queue
from modules.services.service import ServicePlatform

SWEEP_SCHEDULE = "rate(1 hour)"
"""The interval for scanning the outbox for events that the stream dropped. A stream drops records
after a day.
"""
RETRY_DELAY = 15
"""Seconds before a retry. A scan skips events that were stored less than this time ago, because
the stream still delivers them.
"""
ITERATOR_AGE_MS = 60_000
"""Milliseconds. An alarm fires if stream records are older. Publishing takes about 1,000 ms."""


class Relay(Construct):
    """Publishes, at least once, the events that services store together with their writes.

    The stream of the outbox table delivers new events immediately. The function sends an event
    that it cannot publish to the retry queue. After several attempts, the event moves to the
    dead-letter queue. The retry queue also receives a message every hour, and one for each stream
    batch that Lambda discarded. Both messages make the function scan the table.

    Args:
        platform: The settings and resources that all services share.
        kms_key_arn: The KMS key that encrypts the queues.

    Attributes:
        function: The function.
        queues: Queue names by purpose, including dead-letter queues.
    """

    def __init__(
        self, scope: Construct, id_: str, *, platform: ServicePlatform, kms_key_arn: str
    ) -> None:
        super().__init__(scope, id_)
        environment, names = platform.environment, platform.names
        outbox = platform.tables["platform-outbox"]
        rule_name = names.of("relay", "sweep-rule")
        retries = Queue(
            self,
            "retries",
            names=names,
            service="relay",
            resource="retries",
            kms_key_arn=kms_key_arn,
            alerts_topic_arn=platform.alerts_topic_arn,
            senders=[
                Statement(
                    sid="Sweep",
                    actions=["sqs:SendMessage"],
                    principals={"Service": "events.amazonaws.com"},
                    conditions={
                        "ArnEquals": {"aws:SourceArn": names.arn("events", f"rule/{rule_name}")}
                    },
                )
            ],
            visibility_timeout=6 * environment.function("relay").timeout,
            delay=RETRY_DELAY,
        )
        self.queues = {
            "relay-retries": retries.name,
            "relay-retries-dlq": retries.dead_letter_queue.name,
        }
        publish = Statement(
            sid="Events",
            actions=["events:PutEvents"],
            resources=[platform.bus_arn],
            # The relay publishes for all services. Each service can store only its own events.
            conditions={"StringLikeIfExists": {"events:source": "multitask.*"}},
        )
        self.function = LambdaFunction(
            self,
            "function",
            platform=platform,
            function="relay",
            description="Publishes the events of the outbox",
            variables={"SWEEP_AFTER": str(RETRY_DELAY)},
            access=[
                # Scanning is cheap, because the table holds only unpublished events.
                table_access(outbox, "BatchGetItem", "BatchWriteItem", "Scan"),
                Access({"EVENT_BUS_NAME": platform.bus_name}, [publish]),
                # The function sends events that it could not publish. Lambda sends reports of
                # discarded stream batches.
                queue_sending("RETRY_QUEUE_URL", retries),
                stream_source(
                    "stream",
                    outbox,
                    # The relay deletes events that it has published, so REMOVE records are
                    # excluded.
                    pattern={"eventName": ["INSERT"]},
                    failures=retries,
                ),
                queue_source("retries-source", retries),
            ],
        )
        rule = CloudwatchEventRule(
            self,
            "sweep",
            name=rule_name,
            description="Starts a scan of the outbox for missed events",
            schedule_expression=SWEEP_SCHEDULE,
            tags=service_tag("relay"),
        )
        CloudwatchEventTarget(
            self,
            "sweep-target",
            rule=rule.name,
            arn=retries.arn,
            target_id="relay",
            input=json.dumps({}),
        )
        Alarm(
            self,
            "stream-age-alarm",
            name=names.of("relay", "stream-age-alarm"),
            description=f"{self.function.name}: events wait for more than"
            f" {ITERATOR_AGE_MS // 1000} s; see its logs and errors",
            namespace="AWS/Lambda",
            metric="IteratorAge",
            dimensions={"FunctionName": self.function.name},
            statistic="Maximum",
            threshold=ITERATOR_AGE_MS,
            topic_arn=platform.alerts_topic_arn,
            tags=service_tag("relay"),
        )
