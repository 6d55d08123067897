"""An SQS queue with its dead-letter queue and the alarm on that."""

from __future__ import annotations

import json
from collections.abc import Sequence

from cdktf_cdktf_provider_aws.sqs_queue import SqsQueue
from cdktf_cdktf_provider_aws.sqs_queue_policy import SqsQueuePolicy
from cdktf_cdktf_provider_aws.sqs_queue_redrive_allow_policy import SqsQueueRedriveAllowPolicy
from constructs import Construct

from modules.base.alarm import Alarm
from modules.base.naming import Names, service_tag
from modules.base.policy import Statement, policy_document

DLQ_RETENTION = 1_209_600
"""Seconds; 14 days, the most SQS keeps: time to notice, mend and redrive."""


class Queue(Construct):
    """A queue whose poison messages end in a dead-letter queue with an alarm.

    Args:
        names: of the environment.
        service: whose queue it is.
        resource: what it holds, for example `events`; the queue is `{service}-{resource}-queue-{environment}`.
        kms_key_arn: encrypts both queues; its policy admits the services that send.
        alerts_topic_arn: hears of messages in the dead-letter queue.
        senders: statements that let others send; their resource is filled in here.
        visibility_timeout: seconds a message stays hidden while it is worked on; at least six times the consumer's timeout.
        max_receives: after this many failed tries a message goes to the dead-letter queue; default 5.
        fifo: ordered, once per group.
        tls_only: deny plain HTTP.
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
        fifo: bool = False,
        tls_only: bool = True,
    ) -> None:
        super().__init__(scope, id_)
        tags = service_tag(service)
        suffix = ".fifo" if fifo else ""
        self.dead_letter_queue = SqsQueue(
            self,
            "dead-letters",
            name=f"{names.of(service, f'{resource}-dlq')}{suffix}",
            fifo_queue=fifo or None,
            kms_master_key_id=kms_key_arn,
            message_retention_seconds=DLQ_RETENTION,
            tags=tags,
        )
        self.queue = SqsQueue(
            self,
            "queue",
            name=f"{names.of(service, f'{resource}-queue')}{suffix}",
            fifo_queue=fifo or None,
            kms_master_key_id=kms_key_arn,
            visibility_timeout_seconds=visibility_timeout,
            redrive_policy=json.dumps(
                {"deadLetterTargetArn": self.dead_letter_queue.arn, "maxReceiveCount": max_receives}
            ),
            tags=tags,
        )
        SqsQueueRedriveAllowPolicy(
            self,
            "redrive",
            queue_url=self.dead_letter_queue.url,
            redrive_allow_policy=json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [self.queue.arn]}),
        )
        policy_statements = [
            Statement(
                sid=statement.sid,
                actions=statement.actions,
                resources=[self.queue.arn],
                principals=statement.principals,
                conditions=statement.conditions,
            )
            for statement in senders
        ]
        if tls_only:
            policy_statements.append(
                Statement(
                    sid="TlsOnly",
                    effect="Deny",
                    actions=["sqs:*"],
                    resources=[self.queue.arn],
                    principals="*",
                    conditions={"Bool": {"aws:SecureTransport": "false"}},
                )
            )
        if policy_statements:
            SqsQueuePolicy(self, "policy", queue_url=self.queue.url, policy=policy_document(policy_statements))
        self.alarm = Alarm(
            self,
            "alarm",
            name=names.of(service, f"{resource}-dlq-alarm"),
            description=f"Messages that failed {max_receives} times wait in {resource}'s dead-letter queue; look, mend, redrive",
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": self.dead_letter_queue.name},
            statistic="Maximum",
            threshold=0,
            evaluation_periods=1,
            topic_arn=alerts_topic_arn,
            tags=tags,
        )
