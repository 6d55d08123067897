"""Tests the profile store, on moto."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from aws_lambda_powertools.logging import Logger
from msgspec import structs

from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.storage.dynamodb import pack, unpack
from lambdas.profile.models import DEFAULT_PRIVACY, Notifications, Preferences, Profile
from lambdas.profile.store import DynamoProfileStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(autouse=True)
def declared_types() -> None:
    """Turns off the check of declared types, because these tests use invented event data."""


@pytest.fixture
def store(
    dynamodb: "DynamoDBClient", table: Callable[..., str], logger: Logger
) -> DynamoProfileStore:
    return DynamoProfileStore(
        dynamodb, table("user_id"), OutboxWriter(table("event_id"), "profile", logger)
    )


def events(dynamodb: "DynamoDBClient") -> int:
    return len(dynamodb.scan(TableName="event_id-table")["Items"])


def test_a_stored_profile_is_read_back_unchanged(
    store: DynamoProfileStore, dynamodb: "DynamoDBClient"
) -> None:
    assert store.find("u") is None
    before = store.create("u", "Ann", "2026-01-01T00:00:00.000Z")
    assert before == Profile(
        user_id="u", display_name="Ann", joined_at="2026-01-01T00:00:00.000Z", version=1
    )
    assert store.find("u") == before
    after = structs.replace(
        before,
        bio="text",
        social_links={"web": "https://example.com"},
        interests=["a", "b"],
        avatar_key="avatars/x",
        privacy=structs.replace(DEFAULT_PRIVACY, bio="private"),
        preferences=Preferences(theme="dark", notifications=Notifications(push=False)),
        version=2,
    )
    assert store.replace(before, after, "ProfileUpdated", {"userId": "u"})
    assert store.find("u") == after
    assert events(dynamodb) == 1
    bare = structs.replace(
        after, bio=None, social_links={}, interests=[], avatar_key=None, version=3
    )
    assert store.replace(after, bare, "ProfileUpdated", {})
    assert store.find("u") == bare


def test_a_profile_changed_since_it_was_read_is_not_replaced(
    store: DynamoProfileStore, dynamodb: "DynamoDBClient"
) -> None:
    before = store.create("u", "Ann", "2026-01-01T00:00:00.000Z")
    assert store.replace(
        before, structs.replace(before, bio="first", version=2), "ProfileUpdated", {}
    )
    assert not store.replace(
        before, structs.replace(before, bio="second", version=2), "ProfileUpdated", {}
    )
    stored = store.find("u")
    assert stored is not None
    assert stored.bio == "first"
    assert events(dynamodb) == 1  # the failed change published no further event


def test_replacing_a_profile_keeps_concurrently_counted_statistics(
    store: DynamoProfileStore, dynamodb: "DynamoDBClient"
) -> None:
    before = store.create("u", "Ann", "2026-01-01T00:00:00.000Z")
    dynamodb.update_item(
        TableName="user_id-table",
        Key=pack({"user_id": "u"}),
        UpdateExpression="ADD posts_count :two",
        ExpressionAttributeValues=pack({":two": 2}),
    )
    assert store.replace(
        before, structs.replace(before, display_name="Bob", version=2), "ProfileUpdated", {}
    )
    item = dynamodb.get_item(TableName="user_id-table", Key=pack({"user_id": "u"}))["Item"]
    assert (unpack(item)["posts_count"], unpack(item)["display_name"]) == (2, "Bob")
