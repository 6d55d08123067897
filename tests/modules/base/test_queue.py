from __future__ import annotations

import json

import pytest

from modules.base.policy import Statement
from modules.base.queue import Queue
from tests.modules.synthesis import Synthesized, synthesize

SENDER = Statement(
    sid="Sender", actions=["sqs:SendMessage"], principals={"Service": "events.amazonaws.com"}
)


def _queue(*, fifo: bool = False) -> Synthesized:
    return synthesize(
        lambda stack, _env, names: Queue(
            stack,
            "q",
            names=names,
            service="profile",
            resource="events",
            kms_key_arn="key",
            alerts_topic_arn="topic",
            senders=[SENDER],
            visibility_timeout=60,
            fifo=fifo,
        )
    )


@pytest.fixture(scope="module")
def queue() -> Synthesized:
    return _queue()


def test_both_queues_are_encrypted_with_the_customer_key(queue: Synthesized) -> None:
    assert {item["name"]: item["kms_master_key_id"] for item in queue.all("aws_sqs_queue")} == {
        "profile-events-queue-dev": "key",
        "profile-events-dlq-dev": "key",
    }


def test_a_message_moves_to_the_dead_letter_queue_after_5_attempts_and_stays_14_days(
    queue: Synthesized,
) -> None:
    main = queue.find_only("aws_sqs_queue", name="profile-events-queue-dev")
    assert main["visibility_timeout_seconds"] == 60
    redrive = json.loads(main["redrive_policy"])
    assert redrive["maxReceiveCount"] == 5
    assert (
        redrive["deadLetterTargetArn"]
        == "arn:aws:sqs:us-east-1:111122223333:profile-events-dlq-dev"
    )
    assert any("dead-letters" in dependency for dependency in main["depends_on"])
    assert (
        queue.find_only("aws_sqs_queue", name="profile-events-dlq-dev")["message_retention_seconds"]
        == 14 * 86_400
    )
    allowed = json.loads(
        queue.find_only("aws_sqs_queue", name="profile-events-dlq-dev")["redrive_allow_policy"]
    )
    assert allowed["redrivePermission"] == "byQueue"
    assert allowed["sourceQueueArns"] == [
        "arn:aws:sqs:us-east-1:111122223333:profile-events-queue-dev"
    ]


def test_redrive_policies_have_the_format_that_sqs_returns(queue: Synthesized) -> None:
    """The provider compares policies as text, so an extra space would change every plan."""
    assert (
        " "
        not in queue.find_only("aws_sqs_queue", name="profile-events-queue-dev")["redrive_policy"]
    )
    assert (
        " "
        not in queue.find_only("aws_sqs_queue", name="profile-events-dlq-dev")[
            "redrive_allow_policy"
        ]
    )


def test_senders_can_send_only_to_the_queue_and_only_with_tls(queue: Synthesized) -> None:
    sender, tls_only = queue.policy("aws_sqs_queue", name="profile-events-queue-dev")
    assert sender["Resource"] == "arn:aws:sqs:us-east-1:111122223333:profile-events-queue-dev"
    assert sender["Principal"] == {"Service": "events.amazonaws.com"}
    assert (tls_only["Effect"], tls_only["Condition"]) == (
        "Deny",
        {"Bool": {"aws:SecureTransport": "false"}},
    )
    [dead_letters] = queue.policy("aws_sqs_queue", name="profile-events-dlq-dev")
    assert dead_letters["Effect"] == "Deny"


def test_an_old_message_raises_the_age_alarm(queue: Synthesized) -> None:
    alarm = queue.find_only(
        "aws_cloudwatch_metric_alarm", alarm_name="profile-events-age-alarm-dev"
    )
    assert (alarm["metric_name"], alarm["statistic"]) == (
        "ApproximateAgeOfOldestMessage",
        "Maximum",
    )
    assert "q_queue" in alarm["dimensions"]["QueueName"]
    assert (alarm["threshold"], alarm["alarm_actions"]) == (1800, ["topic"])


def test_the_first_dead_letter_raises_an_alarm(queue: Synthesized) -> None:
    alarm = queue.find_only(
        "aws_cloudwatch_metric_alarm", alarm_name="profile-events-dlq-alarm-dev"
    )
    assert alarm["metric_name"] == "ApproximateNumberOfMessagesVisible"
    assert "dead-letters" in alarm["dimensions"]["QueueName"]
    assert (alarm["threshold"], alarm["evaluation_periods"], alarm["alarm_actions"]) == (
        0,
        1,
        ["topic"],
    )


def test_a_fifo_queue_has_a_fifo_dead_letter_queue() -> None:
    queues = _queue(fifo=True).all("aws_sqs_queue")
    assert {item["name"] for item in queues} == {
        "profile-events-queue-dev.fifo",
        "profile-events-dlq-dev.fifo",
    }
    assert all(item["fifo_queue"] for item in queues)
