"""Tests the statistics function, from messages of its queue to profiles, on moto."""

import itertools
import json
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools.logging import Logger

from lambdas.common.messaging.consumer import BatchFailedError
from lambdas.common.people.profiles import make_profile
from lambdas.common.storage.dynamodb import Table, pack, unpack
from lambdas.statistics import handler
from tests.lambdas.support import REGION

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

JOINED = "2027-01-15T08:00:00.000Z"
STATISTICS = ("posts_count", "comments_count", "likes_received")
Message = dict[str, Any]

_numbers = itertools.count()


def event(
    kind: str, *, event_id: str | None = None, occurred_at: str = JOINED, **data: Any
) -> Message:
    """Returns an event as EventBridge sends it to the queue."""
    detail = {
        "eventId": event_id or f"post-{next(_numbers)}",
        "occurredAt": occurred_at,
        "correlationId": "trace-1",
        "actorId": "somebody",
        "data": data,
    }
    return {
        "version": "0",
        "id": "x",
        "detail-type": kind,
        "source": "multitask.post",
        "detail": detail,
    }


class World:
    """The function and the tables that it writes."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        profiles: str,
        counted: str,
        logger: Logger,
        patch: pytest.MonkeyPatch,
    ) -> None:
        self.dynamodb, self.profiles, self.counted = dynamodb, profiles, counted
        patch.setattr(handler, "Clients", lambda _region: SimpleNamespace(dynamodb=dynamodb))
        patch.setattr(handler, "create_logger", lambda _settings: logger)
        self.consume = handler.build(
            {
                "STAGE": "local",
                "REGION": REGION,
                "DYNAMODB_TABLE_PROFILES": profiles,
                "DYNAMODB_TABLE_COUNTED_EVENTS": counted,
                "REMEMBER_DAYS": "35",
            }
        )

    def handle_batch(self, *messages: Message | str) -> list[str]:
        """Handles messages as one batch. Returns the indexes of the failed ones."""
        records = [
            {
                "eventSource": "aws:sqs",
                "messageId": str(index),
                "body": message if isinstance(message, str) else json.dumps(message),
                "attributes": {"ApproximateReceiveCount": "1"},
            }
            for index, message in enumerate(messages)
        ]
        return [
            failure["itemIdentifier"]
            for failure in self.consume({"Records": records})["batchItemFailures"]
        ]

    def profile(self, user_id: str = "ada") -> dict[str, Any]:
        return unpack(
            self.dynamodb.get_item(TableName=self.profiles, Key=pack({"user_id": user_id})).get(
                "Item"
            )
            or {}
        )

    def counts(self, user_id: str = "ada") -> tuple[int, ...]:
        profile = self.profile(user_id)
        return tuple(profile.get(name, 0) for name in STATISTICS)


@pytest.fixture
def world(
    dynamodb: "DynamoDBClient",
    table: Callable[..., str],
    logger: Logger,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    return World(dynamodb, table("user_id"), table("event_id"), logger, monkeypatch)


@pytest.mark.parametrize(
    ("kinds", "counts"),
    [
        (["PostCreated", "PostCreated", "PostDeleted"], (1, 0, 0)),
        (["CommentCreated", "CommentCreated", "CommentDeleted"], (0, 1, 0)),
        (["PostLiked", "PostLiked", "PostUnliked"], (0, 0, 1)),
        (["PostCreated", "CommentCreated", "PostLiked"], (1, 1, 1)),
    ],
)
def test_each_event_changes_its_statistic(
    world: World, kinds: list[str], counts: tuple[int, ...]
) -> None:
    assert world.handle_batch(*[event(kind, postId="p", authorId="ada") for kind in kinds]) == []
    assert world.counts() == counts


def test_the_likes_of_a_deleted_post_are_subtracted_once(world: World) -> None:
    likes = [event("PostLiked", authorId="ada") for _ in range(5)]
    removed = event("PostLikesRemoved", postId="p", authorId="ada", likes=3)
    world.handle_batch(*likes, removed, removed)
    world.handle_batch(removed)
    assert world.counts() == (0, 0, 2)


def test_a_repeated_event_counts_once(world: World) -> None:
    liked = event("PostLiked", authorId="ada")
    world.handle_batch(liked, liked)
    world.handle_batch(liked)
    assert world.counts() == (0, 0, 1)


def test_an_event_that_occurs_twice_in_a_batch_counts_once(world: World) -> None:
    liked = event("PostLiked", authorId="ada")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: world.handle_batch(liked), range(8)))
    assert world.counts() == (0, 0, 1)


def test_the_order_of_events_does_not_matter(world: World) -> None:
    registered = event("UserRegistered", userId="ada", displayName="Ada")
    kinds = (
        ["PostCreated"] * 3
        + ["PostDeleted"] * 2
        + ["PostLiked"] * 4
        + ["PostUnliked", "CommentCreated"]
    )
    messages = [registered, *(event(kind, authorId="ada") for kind in kinds)]
    shuffled = random.Random(7).sample(messages * 2, len(messages) * 2)  # noqa: S311 (not a secret)
    for start in range(0, len(shuffled), 10):
        assert world.handle_batch(*shuffled[start : start + 10]) == []
    assert world.counts() == (1, 1, 3)
    assert world.profile()["joined_at"] == JOINED
    assert world.profile()["display_name"] == "Ada"


def test_a_registration_creates_the_profile(world: World) -> None:
    world.handle_batch(
        event("UserRegistered", userId="ada", displayName="Ada", email="ada@example.com")
    )
    assert world.profile() == {
        "user_id": "ada",
        "display_name": "Ada",
        "joined_at": JOINED,
        "version": 1,
    }


def test_a_registration_corrects_the_join_date_of_an_existing_profile(world: World) -> None:
    later = "2027-01-15T09:00:00.000Z"
    make_profile(
        Table(world.dynamodb, world.profiles), user_id="ada", display_name="Ada L.", joined_at=later
    )
    world.handle_batch(event("UserRegistered", userId="ada", displayName="Ada"))
    assert (world.profile()["joined_at"], world.profile()["display_name"]) == (JOINED, "Ada L.")


def test_statistics_do_not_change_the_version_of_a_profile(world: World) -> None:
    """The owner's If-Match must not fail because another user liked a post."""
    registered = event("UserRegistered", userId="ada", displayName="Ada")
    world.handle_batch(registered, event("PostLiked", authorId="ada"), registered)
    assert world.profile()["version"] == 1


def test_anonymous_items_are_not_counted(world: World) -> None:
    for kind in ("PostCreated", "PostLiked", "CommentCreated", "CommentDeleted"):
        assert world.handle_batch(event(kind, postId="p", isAnonymous=True)) == []
    assert not world.dynamodb.scan(TableName=world.profiles)["Items"]
    assert not world.dynamodb.scan(TableName=world.counted)["Items"]


def test_ids_of_counted_events_expire_after_the_retention_period(world: World) -> None:
    world.handle_batch(event("PostLiked", event_id="post-1", authorId="ada"))
    [item] = world.dynamodb.scan(TableName=world.counted)["Items"]
    remembered = unpack(item)
    assert remembered["event_id"] == "post-1"
    assert remembered["expires_at"] - time.time() == pytest.approx(35 * 86_400, abs=60)


@pytest.mark.parametrize(
    "poison",
    [
        "{",
        json.dumps({"detail-type": "PostLiked"}),
        event("UserRegistered", userId="ada"),
        event("PostLiked", authorId=7),
        event("MessageSent", roomId="r"),
    ],
    ids=[
        "invalid JSON",
        "no detail",
        "missing field",
        "field of another type",
        "unknown event type",
    ],
)
def test_only_the_message_that_cannot_be_handled_fails(world: World, poison: Message | str) -> None:
    assert world.handle_batch(
        event("PostLiked", authorId="ada"), poison, event("PostLiked", authorId="ada")
    ) == ["1"]
    assert world.counts() == (0, 0, 2)
    # If all messages of a batch fail, the function raises instead of returning their ids.
    with pytest.raises(BatchFailedError):
        world.handle_batch(poison)


def test_a_batch_is_safe_to_repeat_after_a_crash(world: World) -> None:
    """After a crash in the middle of a batch, SQS delivers all of its messages again."""
    batch = [event("PostLiked", authorId="ada") for _ in range(10)]
    world.handle_batch(*batch[:4])
    world.handle_batch(*batch)
    assert world.counts() == (0, 0, 10)


def test_a_failure_is_logged_without_the_content_of_the_message(
    world: World, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    world.handle_batch(
        event("PostLiked", authorId="ada"),
        event("UserRegistered", userId="ada", name="Secret Name"),
    )
    [line] = [line for line in logged() if line["message"] == "message not handled"]
    assert (line["level"], line["message_id"]) == ("ERROR", "1")
    assert "Secret Name" not in json.dumps(line)
