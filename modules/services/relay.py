"""The relay: the function between the outbox and the bus, its retry queue, and what wakes it."""

from __future__ import annotations

import json

from cdktf_cdktf_provider_aws.cloudwatch_event_rule import CloudwatchEventRule
from cdktf_cdktf_provider_aws.cloudwatch_event_target import CloudwatchEventTarget
from constructs import Construct

from modules.base.alarm import Alarm
from modules.base.event_source import QueueSource, StreamSource
from modules.base.function import LambdaFunction
from modules.base.naming import service_tag
from modules.base.policy import Statement
from modules.base.queue import Queue
from modules.services.service import ServicePlatform
from modules.services.statements import (
    queue_key,
    queue_receiving,
    queue_sending,
    stream_reading,
    table_access,
)

SWEEP = "rate(1 hour)"
"""How often the outbox is searched for what the stream did not bring: a stream keeps its records for a day only."""
SETTLE = 15
"""Seconds: a retry waits so long, and a sweep leaves alone what is younger, since the stream is about to bring it."""
ITERATOR_AGE_MS = 60_000
"""An event takes about a second; a minute late means that the relay does not keep up or fails."""


class Relay(Construct):
    """Publishes the events that services store with their writes, at least once.

    The stream brings a new event at once. What cannot be published waits in the retry queue, each event by itself, and goes to that
    queue's dead-letter queue in the end. A batch that the function fails on altogether is told to the same queue, and a schedule
    speaks to it too: upon both the function searches the table for events that wait.

    Args:
        platform: what it shares with the services.
        kms_key_arn: encrypts the queues.

    Attributes:
        function: the function.
        queues: queue names by what they are, dead-letter queues included.
    """

    def __init__(
        self, scope: Construct, id_: str, *, platform: ServicePlatform, kms_key_arn: str
    ) -> None:
        super().__init__(scope, id_)
        environment, names, outbox = (
            platform.environment,
            platform.names,
            platform.tables["platform-outbox"],
        )
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
            delay=SETTLE,
            tls_only=environment.capabilities.queue_tls_policy,
        )
        self.queues = {
            "relay-retries": retries.name,
            "relay-retries-dlq": retries.dead_letter_queue.name,
        }
        self.function = LambdaFunction(
            self,
            "function",
            platform=platform,
            function="relay",
            description="Brings stored events to the bus",
            variables={
                "DYNAMODB_TABLE_OUTBOX": outbox.name,
                "EVENT_BUS_NAME": platform.bus_name,
                "RETRY_QUEUE_URL": retries.url,
                "SWEEP_AFTER": str(SETTLE),
            },
            statements=[
                # A scan: the table holds what is not published yet and nothing else.
                table_access("Outbox", outbox, "BatchGetItem", "BatchWriteItem", "Scan"),
                Statement(
                    sid="Events",
                    actions=["events:PutEvents"],
                    resources=[platform.bus_arn],
                    # For every service that stores events; none can store another's.
                    conditions={"StringLikeIfExists": {"events:source": "multitask.*"}},
                ),
                # Events that wait for another try, and what Lambda tells of batches it has given up.
                queue_sending("Retries", retries),
                stream_reading(outbox),
                queue_receiving(retries),
                queue_key(names, retries, sends=True),
            ],
        )
        StreamSource(
            self,
            "stream",
            function=self.function,
            table=outbox,
            # What the relay removes is a change too.
            pattern={"eventName": ["INSERT"]},
            failures=retries,
        )
        QueueSource(self, "retries-source", function=self.function, queue=retries)
        rule = CloudwatchEventRule(
            self,
            "sweep",
            name=rule_name,
            description="Has the outbox searched for events that wait",
            schedule_expression=SWEEP,
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
            description=f"{self.function.name}: events wait for more than {ITERATOR_AGE_MS // 1000} s; see its logs and errors",
            namespace="AWS/Lambda",
            metric="IteratorAge",
            dimensions={"FunctionName": self.function.name},
            statistic="Maximum",
            threshold=ITERATOR_AGE_MS,
            topic_arn=platform.alerts_topic_arn,
            tags=service_tag("relay"),
        )
