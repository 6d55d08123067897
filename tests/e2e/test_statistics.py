"""Tests events from the write to a profile's statistics, including failures on the way."""

from __future__ import annotations

import json
import random
import time
import uuid
from typing import Any

import psutil
import pytest

from lambdas.common.logs import Logger
from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.storage.dynamodb import pack, unpack
from modules.messaging import notification_filter
from ops.embedded import EmbeddedCloud
from ops.root import Root
from tests.e2e.faults import Role, queue_attributes, without_source
from tests.e2e.support import Person, Platform, eventually, run_ops

PROFILES = "profile-profiles-local"
OUTBOX = "platform-outbox-local"
WORK, WORK_DLQ = "profile-events-queue-local", "profile-events-dlq-local"
RETRIES = "relay-retries-queue-local"
Event = dict[str, Any]


def event(kind: str, author: str, event_id: str | None = None) -> Event:
    """Returns an event of the post service."""
    detail = {
        "eventId": event_id or f"post-{uuid.uuid4().hex}",
        "occurredAt": "2027-01-15T08:00:00.000Z",
        "correlationId": "test",
        "actorId": "somebody",
        "data": {"postId": "p", "isAnonymous": False, "authorId": author},
    }
    return {"source": "multitask.post", "detail-type": kind, "detail": detail}


class Events:
    """Publishes events and reads their effects."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.dynamodb, self.sqs = platform.aws("dynamodb"), platform.aws("sqs")
        self._bus = {"EventBusName": platform.outputs["event_bus_name"]}
        self._events = platform.aws("events")

    def emit(self, *events: Event) -> None:
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

    def store(self, *kinds: str, author: str, stored_at: float | None = None) -> None:
        """Writes events to the outbox, like a service that crashes afterwards."""
        outbox = OutboxWriter(
            OUTBOX, "post", Logger(service="test"), lambda: stored_at or time.time()
        )
        entries = [
            outbox.put(kind, actor_id="somebody", data={"authorId": author}) for kind in kinds
        ]
        self.dynamodb.transact_write_items(TransactItems=entries)

    def profile(self, user_id: str) -> dict[str, Any]:
        return unpack(
            self.dynamodb.get_item(TableName=PROFILES, Key=pack({"user_id": user_id})).get("Item")
            or {}
        )

    def counts(self, user_id: str) -> tuple[int, int, int]:
        """Returns the counts of posts, comments and likes."""
        profile = self.profile(user_id)
        posts, comments, likes = (
            profile.get(n, 0) for n in ("posts_count", "comments_count", "likes_received")
        )
        return posts, comments, likes

    def expect(self, user_id: str, counts: tuple[int, int, int]) -> None:
        """Waits for these counts, and checks that they do not change again."""
        eventually(lambda: self.counts(user_id) == counts or None, seconds=60)
        time.sleep(0.5)
        assert self.counts(user_id) == counts

    def url(self, queue: str) -> str:
        return str(self.sqs.get_queue_url(QueueName=queue)["QueueUrl"])

    def send(self, queue: str, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url(queue), MessageBody=body)

    def size(self, queue: str) -> int:
        """Returns the number of messages in a queue, including those in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url(queue), AttributeNames=names)[
            "Attributes"
        ]
        return sum(int(found[name]) for name in names)

    def outbox(self, author: str) -> int:
        """Returns the number of waiting events about an author's items."""
        mine = {
            "FilterExpression": "contains(detail, :author)",
            "ExpressionAttributeValues": pack({":author": author}),
        }
        return int(self.dynamodb.scan(TableName=OUTBOX, **mine)["Count"])


@pytest.fixture
def events(platform: Platform) -> Events:
    return Events(platform)


@pytest.fixture
def author() -> str:
    """Returns a user whose statistics only this test changes."""
    return f"author-{uuid.uuid4().hex[:12]}"


def test_a_registration_creates_the_profile(events: Events, person: Person) -> None:
    profile = eventually(lambda: events.profile(person.user_id))
    assert profile["display_name"] == person.display_name
    assert profile["joined_at"].endswith("Z")


def test_repeated_events_in_any_order_count_once(events: Events, author: str) -> None:
    kinds = (
        ["PostCreated"] * 3
        + ["PostDeleted"]
        + ["CommentCreated"] * 2
        + ["PostLiked"] * 4
        + ["PostUnliked"]
    )
    twice = [event(kind, author) for kind in kinds] * 2
    events.emit(*random.Random(3).sample(twice, len(twice)))  # noqa: S311 (no secret)
    events.expect(author, (2, 2, 3))


def test_anonymous_items_are_not_counted(events: Events, author: str) -> None:
    anonymous = event("PostCreated", author)
    anonymous["detail"]["data"] = {"postId": "p", "isAnonymous": True}
    events.emit(anonymous, event("PostCreated", author))
    events.expect(author, (1, 0, 0))


def test_a_killed_consumer_loses_and_duplicates_nothing(events: Events, author: str) -> None:
    cloud = EmbeddedCloud(Root(events.platform.root)).running()["aws"].find()
    assert cloud
    killed = 0

    def consumers() -> list[psutil.Process]:
        named = []
        for process in cloud.children(recursive=True):
            try:
                if process.environ().get("AWS_LAMBDA_FUNCTION_NAME") == "statistics-lambda-local":
                    named.append(process)
            except psutil.Error:
                continue
        return named

    with queue_attributes(events.platform, WORK, VisibilityTimeout="3"):
        events.emit(*[event("PostLiked", author) for _ in range(100)])
        deadline = time.monotonic() + 30
        while killed < 2 and time.monotonic() < deadline:
            if 0 < events.counts(author)[2] < 100:
                for process in consumers():
                    process.kill()
                    killed += 1
            time.sleep(0.02)
        events.expect(author, (0, 0, 100))
    assert killed


def test_invalid_events_reach_the_dead_letter_queue_and_are_redriven(
    events: Events, author: str
) -> None:
    def redriven() -> int:
        [result] = json.loads(
            run_ops(events.platform.root, "redrive", "local", "profile-events", "--json")
        )
        assert result["queue"] == "profile-events-dlq"
        return int(result["redriven"])

    liked = event("PostLiked", author)
    events.sqs.purge_queue(QueueUrl=events.url(WORK_DLQ))
    with queue_attributes(events.platform, WORK, VisibilityTimeout="1"):
        with Role(events.platform, "statistics").without("Profiles"):
            events.emit(liked, liked)
            # Two or more, because other tests cause messages too.
            eventually(lambda: events.size(WORK_DLQ) >= 2 or None, seconds=60)
        assert events.counts(author) == (0, 0, 0)
        assert redriven() >= 2
        events.expect(author, (0, 0, 1))
        # An invalid event does not block others, and returns after each redrive.
        events.send(WORK, "{", json.dumps(event("PostCreated", author)))
        events.expect(author, (1, 0, 1))
        eventually(lambda: events.size(WORK_DLQ) >= 1 or None, seconds=60)
        events.sqs.purge_queue(QueueUrl=events.url(WORK_DLQ))


def test_a_crash_before_the_publication_loses_no_event(events: Events, author: str) -> None:
    with without_source(events.platform, "relay", ":dynamodb:"):
        events.store("PostCreated", "PostLiked", author=author)
        time.sleep(2)
        assert events.counts(author) == (0, 0, 0)
    events.expect(author, (1, 0, 1))
    assert not events.outbox(author)


def test_events_that_left_the_stream_are_found_in_the_table(events: Events, author: str) -> None:
    with (
        without_source(events.platform, "relay", ":dynamodb:"),
        queue_attributes(events.platform, RETRIES, DelaySeconds="0"),
    ):
        events.store("PostCreated", author=author, stored_at=time.time() - 86_400)
        events.send(RETRIES, "{}")  # the message of the schedule
        events.expect(author, (1, 0, 0))
    assert not events.outbox(author)


def test_events_that_the_bus_rejects_are_retried(events: Events, author: str) -> None:
    with queue_attributes(events.platform, RETRIES, VisibilityTimeout="1", DelaySeconds="0"):
        with Role(events.platform, "relay").without("Events"):
            events.store("PostCreated", "PostLiked", author=author)
            eventually(lambda: events.size(RETRIES) >= 2 or None)
            assert events.outbox(author) == 2
        events.expect(author, (1, 0, 1))
    assert not events.outbox(author)


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

    def liked() -> bool:
        reply = events.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        notified.extend(
            json.loads(json.loads(m["Body"])["Message"]) for m in reply.get("Messages", [])
        )
        return any(e["detail"]["data"]["authorId"] == author for e in notified)

    try:
        events.emit(event("CommentCreated", author), event("PostLiked", author))
        eventually(liked)
        assert {e["detail-type"] for e in notified} == {"PostLiked"}
    finally:
        sns.unsubscribe(SubscriptionArn=subscription)
        events.sqs.delete_queue(QueueUrl=url)
