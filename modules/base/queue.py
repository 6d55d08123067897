"""Encrypted SQS queues, each with a dead-letter queue and alarms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cdktf_cdktf_provider_aws.sqs_queue import SqsQueue
from constructs import Construct

from modules.base.alarm import Alarm
from modules.base.naming import Names, service_tag
from modules.base.policy import Statement, deny_plain_http, policy_document

DLQ_RETENTION = 1_209_600
"""Seconds. 14 days, the maximum of SQS, to leave time for fixing a fault and redriving."""


class DeadLetterQueue(Construct):
    """A queue for messages that could not be delivered or processed, with an alarm.

    Args:
        names: The environment's resource names.
        service: The service that owns the queue.
        resource: The middle part of the name `{service}-{resource}-dlq-{environment}`, for example
            `events`.
        kms_key_arn: The KMS key of the queue. The key's policy must allow the sending services.
        alerts_topic_arn: The topic for the alarm.
        contents: How the alarm describes the messages, for example `events that failed`.
        senders: Statements that allow AWS services to send to this queue. The constructor sets the
            resource of the statements.
        source_arn: The ARN of the only queue that may use this dead-letter queue. None if AWS
            services such as EventBridge send to it, and no queue uses it.
        fifo: Whether the source is a FIFO queue.

    Attributes:
        queue: The Terraform resource.
        name, arn, url: The name, ARN and URL of the queue.
        literal_name: The queue's name as text, not as a reference.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        names: Names,
        service: str,
        resource: str,
        kms_key_arn: str,
        alerts_topic_arn: str,
        contents: str,
        senders: Sequence[Statement] = (),
        source_arn: str | None = None,
        fifo: bool = False,
    ) -> None:
        super().__init__(scope, id_)
        tags = service_tag(service)
        name = f"{names.of(service, f'{resource}-dlq')}{'.fifo' if fifo else ''}"
        self.literal_name = name
        self.queue = queue = SqsQueue(
            self,
            "queue",
            name=name,
            fifo_queue=fifo or None,
            kms_master_key_id=kms_key_arn,
            message_retention_seconds=DLQ_RETENTION,
            policy=_policy(names.arn("sqs", name), senders),
            # The policy is an argument of the queue, because a separate resource would delay each
            # apply.
            redrive_allow_policy=_compact(
                {"redrivePermission": "byQueue", "sourceQueueArns": [source_arn]}
            )
            if source_arn
            else None,
            tags=tags,
        )
        self.name: str = queue.name
        self.arn: str = queue.arn
        self.url: str = queue.url
        Alarm(
            self,
            "alarm",
            name=names.of(service, f"{resource}-dlq-alarm"),
            description=f"{name} holds {contents}; find and fix the cause, then redrive",
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": self.name},
            statistic="Maximum",
            threshold=0,
            evaluation_periods=1,
            topic_arn=alerts_topic_arn,
            tags=tags,
        )


class Queue(Construct):
    """A queue that moves repeatedly failing messages to its own dead-letter queue.

    Args:
        names: The environment's resource names.
        service: The service that owns the queue.
        resource: The middle part of the name `{service}-{resource}-queue-{environment}`, for
            example `events`.
        kms_key_arn: The KMS key of both queues. The key's policy must allow the sending services.
        alerts_topic_arn: The topic for the alarms.
        senders: Statements that allow AWS services to send to this queue. The constructor sets the
            resource of the statements.
        visibility_timeout: Seconds for which a received message stays hidden. It must exceed the
            consumer's timeout, or two executions process the same message. AWS recommends six
            times that timeout, so that a throttled consumer does not use up max_receives.
        max_receives: Failed attempts before a message moves to the dead-letter queue.
        delay: Seconds before a new message becomes visible.
        max_age: Seconds. An alarm fires if a message is older. The default is 1,800, which is twice
            the 900 s after which a failing message moves to the dead-letter queue with the default
            visibility_timeout and max_receives.
        fifo: Whether the queue is a FIFO queue: ordered per group, without duplicates.
        high_throughput: Whether SQS limits the requests per second of each message group of a FIFO
            queue, instead of the whole queue.

    Attributes:
        name, arn, url: The name, ARN and URL of the queue.
        resource, region: The resource part of the queue's name, and the queue's region.
        kms_key_arn: The KMS key. Roles that send or receive also need permission to use the key.
        dead_letter_queue: The dead-letter queue.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        names: Names,
        service: str,
        resource: str,
        kms_key_arn: str,
        alerts_topic_arn: str,
        senders: Sequence[Statement] = (),
        visibility_timeout: int = 180,
        max_receives: int = 5,
        delay: int | None = None,
        max_age: int = 1_800,
        fifo: bool = False,
        high_throughput: bool = False,
    ) -> None:
        super().__init__(scope, id_)
        name = f"{names.of(service, f'{resource}-queue')}{'.fifo' if fifo else ''}"
        self.dead_letter_queue = DeadLetterQueue(
            self,
            "dead-letters",
            names=names,
            service=service,
            resource=resource,
            kms_key_arn=kms_key_arn,
            alerts_topic_arn=alerts_topic_arn,
            contents=f"messages that failed {max_receives} times",
            source_arn=names.arn("sqs", name),
            fifo=fifo,
        )
        queue = SqsQueue(
            self,
            "queue",
            name=name,
            fifo_queue=fifo or None,
            deduplication_scope="messageGroup" if high_throughput else None,
            fifo_throughput_limit="perMessageGroupId" if high_throughput else None,
            kms_master_key_id=kms_key_arn,
            visibility_timeout_seconds=visibility_timeout,
            delay_seconds=delay,
            # The dead-letter queue's ARN is text, because CDKTF does not escape a quoted reference
            # in HCL correctly (see json_document).
            redrive_policy=_compact(
                {
                    "deadLetterTargetArn": names.arn("sqs", self.dead_letter_queue.literal_name),
                    "maxReceiveCount": max_receives,
                }
            ),
            policy=_policy(names.arn("sqs", name), senders),
            tags=service_tag(service),
            depends_on=[self.dead_letter_queue.queue],
        )
        self.name: str = queue.name
        self.arn: str = queue.arn
        self.url: str = queue.url
        self.kms_key_arn = kms_key_arn
        self.resource, self.region = resource, names.environment.region
        Alarm(
            self,
            "age-alarm",
            name=names.of(service, f"{resource}-age-alarm"),
            description=f"{name}: a message has waited for more than {max_age} s;"
            " see its consumer's logs and errors",
            namespace="AWS/SQS",
            metric="ApproximateAgeOfOldestMessage",
            dimensions={"QueueName": self.name},
            statistic="Maximum",
            threshold=max_age,
            topic_arn=alerts_topic_arn,
            tags=service_tag(service),
        )


def _compact(document: Mapping[str, object]) -> str:
    """Returns JSON without spaces, as SQS returns it. The provider compares policies as text."""
    return json.dumps(document, separators=(",", ":"))


def _policy(arn: str, senders: Sequence[Statement]) -> str:
    """Returns the queue's inline policy. A separate policy resource would delay each apply."""
    statements = [replace(sender, resources=[arn]) for sender in senders]
    statements.append(deny_plain_http("sqs:*", arn))
    return policy_document(statements)
