"""The event bus with its rules and queues, and the topics for alerts and notifications."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

from cdktf_cdktf_provider_aws.cloudwatch_event_archive import CloudwatchEventArchive
from cdktf_cdktf_provider_aws.cloudwatch_event_bus import CloudwatchEventBus
from cdktf_cdktf_provider_aws.cloudwatch_event_rule import CloudwatchEventRule
from cdktf_cdktf_provider_aws.cloudwatch_event_target import (
    CloudwatchEventTarget,
    CloudwatchEventTargetDeadLetterConfig,
    CloudwatchEventTargetRetryPolicy,
)
from cdktf_cdktf_provider_aws.sns_topic import SnsTopic
from cdktf_cdktf_provider_aws.sns_topic_subscription import SnsTopicSubscription
from constructs import Construct

from environments.model import NotificationEvent, Subscription
from environments.resource_names import topic_name
from modules.base.alarm import Alarm
from modules.base.naming import Names, service_tag
from modules.base.policy import Statement, deny_plain_http, policy_document
from modules.base.queue import DeadLetterQueue, Queue

SERVICE = "platform"

STATISTICS_EVENTS = (
    "UserRegistered",
    "PostCreated",
    "PostDeleted",
    "PostLiked",
    "PostUnliked",
    "PostLikesRemoved",
    "CommentCreated",
    "CommentDeleted",
)
"""Events for which the statistics function creates a profile or changes a profile's statistics."""

DELETION_EVENTS = ("PostDeleted",)
"""Events after which the post service deletes a post's comments, likes, tags and images."""

RETRY_SECONDS = 86_400
"""Seconds. A day is EventBridge's maximum, so an outage of up to a day loses no event."""
RETRY_ATTEMPTS = 185
"""EventBridge's maximum number of retries."""


class Messaging(Construct):
    """The event bus and its archive, the topics, and the queues for statistics and deletions.

    Args:
        names: The environment and its resource names.
        kms_key_arn: The KMS key of topics and queues. Its policy must allow EventBridge, CloudWatch
            and Budgets. With the AWS managed keys of SNS and SQS, which do not allow these three
            services, their messages would be lost without an error.

    Attributes:
        bus_name, bus_arn: The name and ARN of the bus.
        rule_names: The names of the bus's rules.
        alerts_topic_arn: The topic for alarms and budgets, which sends emails to alert_email.
        notifications_topic_arn: The topic that receives every NotificationEvent. A subscription
            filters the events by the message body.
        work_queue: The queue that receives STATISTICS_EVENTS.
        deletions_queue: The queue that receives DELETION_EVENTS.
        undelivered: The dead-letter queue of the rules. The attributes of each message contain the
            rule and the error.
        queues: Queue names by purpose, including dead-letter queues.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        names: Names,
        kms_key_arn: str,
    ) -> None:
        super().__init__(scope, id_)
        environment = names.environment
        self._environment, self._names, self._kms_key_arn = environment, names, kms_key_arn

        self._bus = f"multitask-events-{environment.name}"
        bus = CloudwatchEventBus(self, "bus", name=self._bus, tags=service_tag(SERVICE))
        self.bus_name: str = bus.name
        self.bus_arn: str = bus.arn
        CloudwatchEventArchive(
            self,
            "archive",
            name=names.of(SERVICE, "events-archive"),
            description="Every event, for replay",
            event_source_arn=bus.arn,
            # The archive keeps events as long as the logs, because an old event cannot be
            # understood without log lines.
            retention_days=environment.monitoring.log_retention_days,
        )

        self.alerts_topic_arn = self._topic(
            "alerts",
            [
                self._publisher("cloudwatch", names.arn("cloudwatch", "alarm:*")),
                self._publisher("budgets", f"arn:aws:budgets::{environment.account_id}:*"),
            ],
        )
        if environment.alert_email:
            SnsTopicSubscription(
                self,
                "alert-mail",
                topic_arn=self.alerts_topic_arn,
                protocol="email",
                endpoint=environment.alert_email,
            )
        # The topic's policy has no condition, because EventBridge sends no condition keys
        # (EventBridge user guide, resource-based policies). With a condition, SNS would reject
        # every event, but the rule would still report success.
        self.notifications_topic_arn = self._topic("notifications", [_publish("events")])
        self._subscribe(environment.notifications.subscriptions)

        notifications_rule = names.of(SERVICE, "notifications-rule")
        statistics_rule = names.of("profile", "events-rule")
        deletions_rule = names.of("post", "deletions-rule")
        self.rule_names = (notifications_rule, statistics_rule, deletions_rule)
        self.undelivered = DeadLetterQueue(
            self,
            "undelivered",
            names=names,
            service=SERVICE,
            resource="undelivered-events",
            kms_key_arn=kms_key_arn,
            alerts_topic_arn=self.alerts_topic_arn,
            contents="events that a rule could not deliver within a day",
            senders=[self._sender(rule) for rule in self.rule_names],
        )
        self.work_queue = Queue(
            self,
            "work",
            names=names,
            service="profile",
            resource="events",
            kms_key_arn=kms_key_arn,
            alerts_topic_arn=self.alerts_topic_arn,
            senders=[self._sender(statistics_rule)],
            visibility_timeout=6 * environment.function("statistics").timeout,
        )
        self.deletions_queue = Queue(
            self,
            "deletions",
            names=names,
            service="post",
            resource="deletions",
            kms_key_arn=kms_key_arn,
            alerts_topic_arn=self.alerts_topic_arn,
            senders=[self._sender(deletions_rule)],
            visibility_timeout=6 * environment.function("post").timeout,
        )
        self._rule(
            "notifications",
            notifications_rule,
            SERVICE,
            get_args(NotificationEvent),
            self.notifications_topic_arn,
        )
        self._rule("statistics", statistics_rule, "profile", STATISTICS_EVENTS, self.work_queue.arn)
        self._rule("deletions", deletions_rule, "post", DELETION_EVENTS, self.deletions_queue.arn)
        self.queues = {
            "profile-events": self.work_queue.name,
            "profile-events-dlq": self.work_queue.dead_letter_queue.name,
            "post-deletions": self.deletions_queue.name,
            "post-deletions-dlq": self.deletions_queue.dead_letter_queue.name,
            "undelivered-events-dlq": self.undelivered.name,
        }

    def _topic(self, resource: str, publishers: Sequence[Statement]) -> str:
        """Creates the topic `multitask-{resource}-{environment}` with its access policy."""
        name = topic_name(resource, self._environment.name)
        arn = self._names.arn("sns", name)
        statements = [replace(publisher, resources=[arn]) for publisher in publishers]
        statements.append(deny_plain_http("sns:Publish", arn))
        topic = SnsTopic(
            self,
            f"{resource}-topic",
            name=name,
            kms_master_key_id=self._kms_key_arn,
            policy=policy_document(statements),
            tags=service_tag(SERVICE),
        )
        return str(topic.arn)

    def _subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Subscribes each endpoint to its events, with an alarm on failed deliveries."""
        for subscription in subscriptions:
            # The construct id depends on the endpoint, not on the position in the environment file.
            # Reordering the subscriptions therefore replaces none of them.
            digest = hashlib.sha256(subscription.endpoint.encode()).hexdigest()[:8]
            SnsTopicSubscription(
                self,
                f"subscription-{subscription.protocol}-{digest}",
                topic_arn=self.notifications_topic_arn,
                protocol=subscription.protocol,
                endpoint=subscription.endpoint,
                filter_policy=notification_filter(subscription.events),
                filter_policy_scope="MessageBody",
            )
        if subscriptions:
            name = f"multitask-notifications-{self._environment.name}"
            Alarm(
                self,
                "notifications-alarm",
                name=self._names.of(SERVICE, "notifications-failed-alarm"),
                description=f"{name} could not reach a subscriber:"
                " see notifications.subscriptions in its environment's file",
                namespace="AWS/SNS",
                metric="NumberOfNotificationsFailed",
                dimensions={"TopicName": name},
                threshold=0,
                topic_arn=self.alerts_topic_arn,
                tags=service_tag(SERVICE),
            )

    def _publisher(self, service: str, source_arn: str) -> Statement:
        """Returns the statement that allows an AWS service to publish to a topic on behalf of this
        account.
        """
        return _publish(
            service,
            {
                "StringEquals": {"aws:SourceAccount": self._environment.account_id},
                "ArnLike": {"aws:SourceArn": source_arn},
            },
        )

    def _sender(self, rule: str) -> Statement:
        """Returns the statement that allows one rule of the bus to send to a queue."""
        return Statement(
            sid="".join(part.capitalize() for part in rule.split("-")),
            actions=["sqs:SendMessage"],
            principals={"Service": "events.amazonaws.com"},
            conditions={
                "ArnEquals": {
                    "aws:SourceArn": self._names.arn("events", f"rule/{self._bus}/{rule}")
                }
            },
        )

    def _rule(
        self, id_: str, name: str, service: str, events: Sequence[str], target_arn: str
    ) -> None:
        """Creates a rule that sends events to a target.

        Events that cannot be delivered for a day go to the dead-letter queue.
        """
        rule = CloudwatchEventRule(
            self,
            f"{id_}-rule",
            name=name,
            description=", ".join(events),
            event_bus_name=self.bus_name,
            event_pattern=json.dumps(
                {"source": [{"prefix": "multitask."}], "detail-type": list(events)}
            ),
            tags=service_tag(service),
        )
        CloudwatchEventTarget(
            self,
            f"{id_}-target",
            rule=rule.name,
            event_bus_name=self.bus_name,
            target_id=id_,
            arn=target_arn,
            retry_policy=CloudwatchEventTargetRetryPolicy(
                maximum_event_age_in_seconds=RETRY_SECONDS, maximum_retry_attempts=RETRY_ATTEMPTS
            ),
            dead_letter_config=CloudwatchEventTargetDeadLetterConfig(arn=self.undelivered.arn),
        )


def notification_filter(events: Sequence[str]) -> str:
    """Returns the filter policy of a subscription to these events.

    The policy filters the message body, because EventBridge sets no message attributes.
    """
    return json.dumps({"detail-type": list(events)})


def _publish(service: str, conditions: Mapping[str, Mapping[str, str]] | None = None) -> Statement:
    return Statement(
        sid=service.capitalize(),
        actions=["sns:Publish"],
        principals={"Service": f"{service}.amazonaws.com"},
        conditions=conditions or {},
    )
