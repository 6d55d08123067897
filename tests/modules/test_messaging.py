"""Tests the messaging module: bus, archive, rules, topics and the work queue."""

from __future__ import annotations

import json

import pytest

from environments import Environment
from environments.model import Notifications, Subscription
from modules.messaging import Messaging
from tests.modules.synthesis import Synthesized, environment, synthesize

ACCOUNT = "111122223333"
RULES = f"arn:aws:events:us-east-1:{ACCOUNT}:rule/multitask-events-dev/"


def _messaging(env: Environment) -> Synthesized:
    return synthesize(
        lambda stack, _env, names: Messaging(stack, "m", names=names, kms_key_arn="key"),
        env,
    )


@pytest.fixture(scope="module")
def dev() -> Synthesized:
    return _messaging(environment("dev", alert_email="alerts@example.com"))


@pytest.fixture(scope="module")
def local() -> Synthesized:
    return _messaging(environment("local", alert_email=None))


def _events(result: Synthesized, rule: str) -> set[str]:
    pattern = json.loads(result.find_only("aws_cloudwatch_event_rule", name=rule)["event_pattern"])
    assert pattern["source"] == [{"prefix": "multitask."}]
    return set(pattern["detail-type"])


def test_every_event_is_archived_for_the_log_retention_period(dev: Synthesized) -> None:
    assert dev.find_only("aws_cloudwatch_event_bus")["name"] == "multitask-events-dev"
    archive = dev.find_only("aws_cloudwatch_event_archive")
    assert archive["retention_days"] == 7
    assert "event_pattern" not in archive
    assert (
        _messaging(environment("prod")).find_only("aws_cloudwatch_event_archive")["retention_days"]
        == 365
    )


def test_events_that_change_statistics_go_to_the_work_queue(dev: Synthesized) -> None:
    assert _events(dev, "profile-events-rule-dev") == {
        "UserRegistered",
        "PostCreated",
        "PostDeleted",
        "PostLiked",
        "PostUnliked",
        "PostLikesRemoved",
        "CommentCreated",
        "CommentDeleted",
    }
    target = dev.find_only("aws_cloudwatch_event_target", target_id="statistics")
    assert "m_work_queue" in target["arn"]


def test_events_of_deleted_posts_go_to_the_deletions_queue(dev: Synthesized) -> None:
    assert _events(dev, "post-deletions-rule-dev") == {"PostDeleted"}
    target = dev.find_only("aws_cloudwatch_event_target", target_id="deletions")
    assert "m_deletions_queue" in target["arn"]


def test_notifications_contain_the_whole_event(dev: Synthesized) -> None:
    assert {"CommentCreated", "MessageSent", "SellerContacted"} <= _events(
        dev, "platform-notifications-rule-dev"
    )
    target = dev.find_only("aws_cloudwatch_event_target", target_id="notifications")
    assert "notifications-topic" in target["arn"]
    assert not {"input", "input_path", "input_transformer"} & set(target)


def test_every_target_retries_for_a_day_and_then_uses_the_dead_letter_queue(
    dev: Synthesized,
) -> None:
    for target in dev.all("aws_cloudwatch_event_target"):
        assert target["retry_policy"] == {
            "maximum_event_age_in_seconds": 86_400,
            "maximum_retry_attempts": 185,
        }
        assert "undelivered" in target["dead_letter_config"]["arn"]


def test_only_the_rules_can_send_to_the_queues(dev: Synthesized) -> None:
    def sources(queue: str) -> list[object]:
        allowed = [s for s in dev.policy("aws_sqs_queue", name=queue) if s["Effect"] == "Allow"]
        assert all(s["Principal"] == {"Service": "events.amazonaws.com"} for s in allowed)
        assert all(s["Action"] == "sqs:SendMessage" for s in allowed)
        return [s["Condition"]["ArnEquals"]["aws:SourceArn"] for s in allowed]

    assert sources("profile-events-queue-dev") == [f"{RULES}profile-events-rule-dev"]
    assert sources("post-deletions-queue-dev") == [f"{RULES}post-deletions-rule-dev"]
    assert sources("platform-undelivered-events-dlq-dev") == [
        f"{RULES}platform-notifications-rule-dev",
        f"{RULES}profile-events-rule-dev",
        f"{RULES}post-deletions-rule-dev",
    ]


@pytest.mark.parametrize("queue", ["profile-events-queue-dev", "post-deletions-queue-dev"])
def test_a_work_queues_visibility_timeout_is_six_times_the_functions_timeout(
    dev: Synthesized, queue: str
) -> None:
    assert dev.find_only("aws_sqs_queue", name=queue)["visibility_timeout_seconds"] == 180


def test_topics_are_encrypted_with_the_customer_key(dev: Synthesized) -> None:
    assert {topic["name"]: topic["kms_master_key_id"] for topic in dev.all("aws_sns_topic")} == {
        "multitask-alerts-dev": "key",
        "multitask-notifications-dev": "key",
    }


def test_only_alarms_and_budgets_of_this_account_can_publish_alerts(dev: Synthesized) -> None:
    statements = {s["Sid"]: s for s in dev.policy("aws_sns_topic", name="multitask-alerts-dev")}
    assert set(statements) == {"Cloudwatch", "Budgets", "TlsOnly"}
    for service, source in (
        ("Cloudwatch", f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:*"),
        ("Budgets", f"arn:aws:budgets::{ACCOUNT}:*"),
    ):
        assert statements[service]["Action"] == "sns:Publish"
        assert statements[service]["Condition"] == {
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
            "ArnLike": {"aws:SourceArn": source},
        }


def test_eventbridge_can_publish_notifications_without_a_condition(dev: Synthesized) -> None:
    # EventBridge sends no condition keys. With a condition, SNS would silently reject every event.
    events, _ = dev.policy("aws_sns_topic", name="multitask-notifications-dev")
    assert events["Principal"] == {"Service": "events.amazonaws.com"}
    assert "Condition" not in events


def test_queues_and_topics_deny_plain_http(local: Synthesized) -> None:
    denying = [*local.all("aws_sqs_queue"), *local.all("aws_sns_topic")]
    assert denying
    assert all("TlsOnly" in resource["policy"] for resource in denying)


def test_alerts_are_mailed_if_an_address_is_set(dev: Synthesized, local: Synthesized) -> None:
    mail = dev.find_only("aws_sns_topic_subscription")
    assert (mail["protocol"], mail["endpoint"]) == ("email", "alerts@example.com")
    assert "alerts-topic" in mail["topic_arn"]
    assert not local.all("aws_sns_topic_subscription")


@pytest.fixture(scope="module")
def subscribed() -> Synthesized:
    subscriptions = [
        Subscription(protocol="email", endpoint="shop@example.com", events=["ListingSold"]),
        Subscription(
            protocol="sqs",
            endpoint="arn:aws:sqs:us-east-1:1:audit",
            events=["UserRegistered", "PostLiked"],
        ),
    ]
    return _messaging(
        environment(
            "dev", alert_email=None, notifications=Notifications(subscriptions=subscriptions)
        )
    )


def test_each_subscriber_gets_only_the_events_that_it_subscribes_to(
    subscribed: Synthesized,
) -> None:
    subscriptions = {
        item["protocol"]: item for item in subscribed.all("aws_sns_topic_subscription")
    }
    assert set(subscriptions) == {"email", "sqs"}
    for item in subscriptions.values():
        assert "notifications-topic" in item["topic_arn"]
        assert item["filter_policy_scope"] == "MessageBody"
    assert subscriptions["email"]["endpoint"] == "shop@example.com"
    assert json.loads(subscriptions["email"]["filter_policy"]) == {"detail-type": ["ListingSold"]}
    assert json.loads(subscriptions["sqs"]["filter_policy"]) == {
        "detail-type": ["UserRegistered", "PostLiked"]
    }


def test_failed_notifications_raise_an_alarm(subscribed: Synthesized, dev: Synthesized) -> None:
    alarm = subscribed.find_only(
        "aws_cloudwatch_metric_alarm", metric_name="NumberOfNotificationsFailed"
    )
    assert alarm["dimensions"] == {"TopicName": "multitask-notifications-dev"}
    assert not [a for a in dev.all("aws_cloudwatch_metric_alarm") if a["namespace"] == "AWS/SNS"]


def test_every_queue_has_alarms(dev: Synthesized) -> None:
    assert {alarm["alarm_name"] for alarm in dev.all("aws_cloudwatch_metric_alarm")} == {
        "profile-events-age-alarm-dev",
        "profile-events-dlq-alarm-dev",
        "post-deletions-age-alarm-dev",
        "post-deletions-dlq-alarm-dev",
        "platform-undelivered-events-dlq-alarm-dev",
    }
