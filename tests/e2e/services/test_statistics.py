"""Tests how events change a profile's statistics.

Includes failures after a service has stored an event and before the event has been counted.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from typing import Any

import pytest

from lambdas.common.logs import Logger
from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.storage.dynamodb import pack, unpack
from modules.messaging import notification_filter
from tests.e2e.support.commands import run_ops
from tests.e2e.support.faults import Role, change_queue_attributes, disable_event_source
from tests.e2e.support.function_processes import find_processes
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person
from tests.waiting import wait_for

PROFILES = "profile-profiles-local"
OUTBOX = "platform-outbox-local"
WORK, WORK_DLQ = "profile-events-queue-local", "profile-events-dlq-local"
RETRIES = "relay-retries-queue-local"
Event = dict[str, Any]


def create_event(event_type: str, author: str, event_id: str | None = None) -> Event:
    """Returns an event of the post service."""
    detail = {
        "eventId": event_id or f"post-{uuid.uuid4().hex}",
        "occurredAt": "2027-01-15T08:00:00.000Z",
        "correlationId": "test",
        "actorId": "somebody",
        "data": {"postId": "p", "isAnonymous": False, "authorId": author},
    }
    return {"source": "multitask.post", "detail-type": event_type, "detail": detail}


class Events:
    """Publishes events and reads their effects."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.dynamodb, self.sqs = platform.aws("dynamodb"), platform.aws("sqs")
        self._bus = {"EventBusName": platform.outputs["event_bus_name"]}
        self._events = platform.aws("events")

    def publish(self, *events: Event) -> None:
        """Publishes events to the bus."""
        for start in range(0, len(events), 10):
            entries = [
                {
                    "Source": e["source"],
                    "DetailType": e["detail-type"],
                    "Detail": json.dumps(e["detail"]),
                    **self._bus,
                }
                for e in events[start : start + 10]
            ]
            assert self._events.put_events(Entries=entries)["FailedEntryCount"] == 0

    def store_in_outbox(
        self, *event_types: str, author: str, stored_at: float | None = None
    ) -> None:
        """Writes events to the outbox, like a service that crashes afterwards."""
        outbox = OutboxWriter(
            OUTBOX, "post", Logger(service="test"), lambda: stored_at or time.time()
        )
        entries = [
            outbox.put(event_type, actor_id="somebody", data={"authorId": author})
            for event_type in event_types
        ]
        self.dynamodb.transact_write_items(TransactItems=entries)

    def read_profile(self, user_id: str) -> dict[str, Any]:
        return unpack(
            self.dynamodb.get_item(TableName=PROFILES, Key=pack({"user_id": user_id})).get("Item")
            or {}
        )

    def read_counts(self, user_id: str) -> tuple[int, int, int]:
        """Returns the user's numbers of posts, comments and received likes."""
        profile = self.read_profile(user_id)
        posts, comments, likes = (
            profile.get(n, 0) for n in ("posts_count", "comments_count", "likes_received")
        )
        return posts, comments, likes

    def wait_for_counts(self, user_id: str, counts: tuple[int, int, int]) -> None:
        """Waits for these counts, and checks that they do not change again."""
        wait_for(lambda: self.read_counts(user_id) == counts or None, seconds=60)
        time.sleep(0.5)
        assert self.read_counts(user_id) == counts

    def get_url(self, queue: str) -> str:
        return str(self.sqs.get_queue_url(QueueName=queue)["QueueUrl"])

    def send(self, queue: str, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.get_url(queue), MessageBody=body)

    def count_messages(self, queue: str) -> int:
        """Returns the number of messages in a queue, including those in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.sqs.get_queue_attributes(
            QueueUrl=self.get_url(queue), AttributeNames=names
        )["Attributes"]
        return sum(int(attributes[name]) for name in names)

    def count_in_outbox(self, author: str) -> int:
        """Returns the number of unpublished events about an author's items."""
        of_author = {
            "FilterExpression": "contains(detail, :author)",
            "ExpressionAttributeValues": pack({":author": author}),
        }
        return int(self.dynamodb.scan(TableName=OUTBOX, **of_author)["Count"])


@pytest.fixture
def events(platform: Platform) -> Events:
    return Events(platform)


@pytest.fixture
def author() -> str:
    """Returns a user whose statistics only this test changes."""
    return f"author-{uuid.uuid4().hex[:12]}"


def test_a_registration_creates_the_profile(events: Events, person: Person) -> None:
    profile = wait_for(lambda: events.read_profile(person.user_id))
    assert profile["display_name"] == person.display_name
    assert profile["joined_at"].endswith("Z")


def test_repeated_events_in_any_order_count_once(events: Events, author: str) -> None:
    event_types = (
        ["PostCreated"] * 3
        + ["PostDeleted"]
        + ["CommentCreated"] * 2
        + ["PostLiked"] * 4
        + ["PostUnliked"]
    )
    repeated = [create_event(event_type, author) for event_type in event_types] * 2
    events.publish(*random.Random(3).sample(repeated, len(repeated)))  # noqa: S311 (no secret)
    events.wait_for_counts(author, (2, 2, 3))


def test_anonymous_items_are_not_counted(events: Events, author: str) -> None:
    anonymous = create_event("PostCreated", author)
    anonymous["detail"]["data"] = {"postId": "p", "isAnonymous": True}
    events.publish(anonymous, create_event("PostCreated", author))
    events.wait_for_counts(author, (1, 0, 0))


@pytest.mark.exclusive
def test_a_killed_consumer_loses_no_event_and_counts_none_twice(
    events: Events, author: str
) -> None:
    killed = 0
    with change_queue_attributes(events.platform, WORK, VisibilityTimeout="3"):
        events.publish(*[create_event("PostLiked", author) for _ in range(100)])
        deadline = time.monotonic() + 30
        while killed < 2 and time.monotonic() < deadline:
            if 0 < events.read_counts(author)[2] < 100:
                for process in find_processes(events.platform, "statistics"):
                    process.kill()
                    killed += 1
            time.sleep(0.02)
        events.wait_for_counts(author, (0, 0, 100))
    assert killed


@pytest.mark.exclusive
def test_invalid_events_reach_the_dead_letter_queue_and_are_redriven(
    events: Events, author: str
) -> None:
    def redrive() -> int:
        [result] = json.loads(
            run_ops(events.platform.root, "redrive", "local", "profile-events", "--json")
        )
        assert result["queue"] == "profile-events-dlq"
        return int(result["redriven"])

    liked = create_event("PostLiked", author)
    events.sqs.purge_queue(QueueUrl=events.get_url(WORK_DLQ))
    with change_queue_attributes(events.platform, WORK, VisibilityTimeout="1"):
        with Role(events.platform, "statistics").remove_actions("Profiles"):
            events.publish(liked, liked)
            # Other tests cause messages too, so there can be more than two.
            wait_for(lambda: events.count_messages(WORK_DLQ) >= 2 or None, seconds=60)
        assert events.read_counts(author) == (0, 0, 0)
        assert redrive() >= 2
        events.wait_for_counts(author, (0, 0, 1))
        # The invalid event does not block the valid one. The invalid event returns to the
        # dead-letter queue after each redrive.
        events.send(WORK, "{", json.dumps(create_event("PostCreated", author)))
        events.wait_for_counts(author, (1, 0, 1))
        wait_for(lambda: events.count_messages(WORK_DLQ) >= 1 or None, seconds=60)
        events.sqs.purge_queue(QueueUrl=events.get_url(WORK_DLQ))


@pytest.mark.exclusive
def test_a_crash_before_the_publication_loses_no_event(events: Events, author: str) -> None:
    with disable_event_source(events.platform, "relay", ":dynamodb:"):
        events.store_in_outbox("PostCreated", "PostLiked", author=author)
        time.sleep(2)
        assert events.read_counts(author) == (0, 0, 0)
    events.wait_for_counts(author, (1, 0, 1))
    assert not events.count_in_outbox(author)


@pytest.mark.exclusive
def test_events_that_are_no_longer_in_the_stream_are_published_from_the_table(
    events: Events, author: str
) -> None:
    with (
        disable_event_source(events.platform, "relay", ":dynamodb:"),
        change_queue_attributes(events.platform, RETRIES, DelaySeconds="0"),
    ):
        events.store_in_outbox("PostCreated", author=author, stored_at=time.time() - 86_400)
        events.send(RETRIES, "{}")  # the relay's schedule also sends {}
        events.wait_for_counts(author, (1, 0, 0))
    assert not events.count_in_outbox(author)


@pytest.mark.exclusive
def test_events_that_the_bus_rejects_are_retried(events: Events, author: str) -> None:
    with change_queue_attributes(events.platform, RETRIES, VisibilityTimeout="1", DelaySeconds="0"):
        with Role(events.platform, "relay").remove_actions("Events"):
            events.store_in_outbox("PostCreated", "PostLiked", author=author)
            wait_for(lambda: events.count_messages(RETRIES) >= 2 or None)
            assert events.count_in_outbox(author) == 2
        events.wait_for_counts(author, (1, 0, 1))
    assert not events.count_in_outbox(author)


def test_a_subscriber_receives_only_its_event_types(events: Events, author: str) -> None:
    sns, name = events.platform.aws("sns"), f"test-{uuid.uuid4().hex[:12]}"
    topic = events.platform.outputs["notifications_topic_arn"]
    arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
    allowed = {
        "Effect": "Allow",
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Principal": {"Service": "sns.amazonaws.com"},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    url = events.sqs.create_queue(QueueName=name, Attributes={"Policy": policy})["QueueUrl"]
    subscription = sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=arn,
        Attributes={
            "FilterPolicy": notification_filter(["PostLiked"]),
            "FilterPolicyScope": "MessageBody",
        },
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    notified: list[Event] = []

    def has_received_like() -> bool:
        response = events.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1
        )
        notified.extend(
            json.loads(json.loads(m["Body"])["Message"]) for m in response.get("Messages", [])
        )
        return any(e["detail"]["data"]["authorId"] == author for e in notified)

    try:
        events.publish(create_event("CommentCreated", author), create_event("PostLiked", author))
        wait_for(has_received_like)
        assert {e["detail-type"] for e in notified} == {"PostLiked"}
    finally:
        sns.unsubscribe(SubscriptionArn=subscription)
        events.sqs.delete_queue(QueueUrl=url)
