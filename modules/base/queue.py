"""SQS queues: encrypted, with an alarm where messages end that nobody could handle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cdktf_cdktf_provider_aws.sqs_queue import SqsQueue
from constructs import Construct

from modules.base.alarm import Alarm
from modules.base.naming import Names, service_tag
from modules.base.policy import Statement, policy_document

DLQ_RETENTION = 1_209_600
"""Seconds; 14 days, the most SQS keeps: time to notice, mend and redrive."""


class DeadLetterQueue(Construct):
    """Where messages wait that could not be delivered or handled, with an alarm on the first of them.

    Args:
        names: of the environment.
        service: whose queue it is.
        resource: what it holds, for example `events`; the queue is `{service}-{resource}-dlq-{environment}`.
        kms_key_arn: encrypts it; its policy admits the services that send.
        alerts_topic_arn: hears of messages in it.
        cause: what a message in it means, for the alarm's description.
        senders: statements that let others send; their resource is filled in here.
        source_arn: the queue it belongs to, the only one that may; None: it belongs to no queue.
        fifo: takes what a FIFO queue could not handle.
        tls_only: deny plain HTTP.

    Attributes:
        queue: the resource.
        name, arn, url: the queue's.
        literal_name: its name, not as a reference.
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
        cause: str,
        senders: Sequence[Statement] = (),
        source_arn: str | None = None,
        fifo: bool = False,
        tls_only: bool = True,
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
            policy=_policy(names.arn("sqs", name), senders, tls_only),
            # By the queue's name: a resource of its own would wait for the queue, and then for SQS once more.
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
            description=f"{name} holds {cause}; look, mend, redrive",
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
    """A queue whose poison messages end in a dead-letter queue of its own.

    Args:
        names: of the environment.
        service: whose queue it is.
        resource: what it holds, for example `events`; the queue is `{service}-{resource}-queue-{environment}`.
        kms_key_arn: encrypts both queues; its policy admits the services that send.
        alerts_topic_arn: hears of messages in the dead-letter queue.
        senders: statements that let others send; their resource is filled in here.
        visibility_timeout: seconds a message stays hidden while it is worked on; at least six times the consumer's timeout.
        max_receives: after this many failed tries a message goes to the dead-letter queue; default 5.
        delay: seconds before a message is seen for the first time.
        oldest: seconds a message may wait before an alarm says that nobody keeps up; default 1,800, twice as long as a message takes to
            the dead-letter queue with the other defaults.
        fifo: ordered, once per group.
        tls_only: deny plain HTTP.

    Attributes:
        name, arn, url: the queue's.
        kms_key_arn: encrypts it; who sends or receives by a role of its own needs it too.
        dead_letter_queue: its dead-letter queue.
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
        oldest: int = 1_800,
        fifo: bool = False,
        tls_only: bool = True,
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
            cause=f"messages that failed {max_receives} times",
            source_arn=names.arn("sqs", name),
            fifo=fifo,
            tls_only=tls_only,
        )
        queue = SqsQueue(
            self,
            "queue",
            name=name,
            fifo_queue=fifo or None,
            kms_master_key_id=kms_key_arn,
            visibility_timeout_seconds=visibility_timeout,
            delay_seconds=delay,
            # By that queue's name, since CDKTF writes a reference between quotes to HCL wrongly (json_document).
            redrive_policy=_compact(
                {
                    "deadLetterTargetArn": names.arn("sqs", self.dead_letter_queue.literal_name),
                    "maxReceiveCount": max_receives,
                }
            ),
            policy=_policy(names.arn("sqs", name), senders, tls_only),
            tags=service_tag(service),
            depends_on=[self.dead_letter_queue.queue],
        )
        self.name: str = queue.name
        self.arn: str = queue.arn
        self.url: str = queue.url
        self.kms_key_arn = kms_key_arn
        Alarm(
            self,
            "age-alarm",
            name=names.of(service, f"{resource}-age-alarm"),
            description=f"{name}: a message has waited for more than {oldest} s; see its consumer's logs and errors",
            namespace="AWS/SQS",
            metric="ApproximateAgeOfOldestMessage",
            dimensions={"QueueName": self.name},
            statistic="Maximum",
            threshold=oldest,
            topic_arn=alerts_topic_arn,
            tags=service_tag(service),
        )


def _compact(document: Mapping[str, object]) -> str:
    """JSON without spaces, as SQS answers it: the provider compares redrive policies as text."""
    return json.dumps(document, separators=(",", ":"))


def _policy(arn: str, senders: Sequence[Statement], tls_only: bool) -> str | None:
    """The queue's policy. Part of the queue, by its ARN's name: a resource of its own would wait for SQS once more."""
    statements = [replace(sender, resources=[arn]) for sender in senders]
    if tls_only:
        statements.append(
            Statement(
                sid="TlsOnly",
                effect="Deny",
                actions=["sqs:*"],
                resources=[arn],
                principals="*",
                conditions={"Bool": {"aws:SecureTransport": "false"}},
            )
        )
    return policy_document(statements) if statements else None
