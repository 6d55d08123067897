"""Tests how other services read profiles."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from lambdas.common.caller import Caller
from lambdas.common.people.profiles import (
    UNKNOWN_NAME,
    PersonalPrivacy,
    ProfileReader,
    Visibility,
    make_profile,
    may_see,
)
from lambdas.common.storage.dynamodb import Table, pack, unpack
from tests.lambdas.support import caller

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

OWNER = structs.replace(caller("user"), user_id="owner", display_name="Before")
REGISTERED, ANONYMOUS = caller("user"), caller()


@pytest.fixture
def profiles(table: Callable[..., str]) -> str:
    return table("user_id")


def add(dynamodb: "DynamoDBClient", profiles: str, user_id: str, **attributes: Any) -> None:
    dynamodb.put_item(
        TableName=profiles,
        Item=pack({"user_id": user_id, "display_name": f"Name of {user_id}", **attributes}),
    )


@pytest.mark.parametrize(
    ("visibility", "seen_by"),
    [
        ("public", "anybody anonymous registered owner"),
        ("authenticated", "registered owner"),
        ("private", "owner"),
    ],
)
def test_visibility_determines_who_sees_a_field(visibility: Visibility, seen_by: str) -> None:
    viewers = {"anybody": None, "anonymous": ANONYMOUS, "registered": REGISTERED, "owner": OWNER}
    assert {
        name for name, viewer in viewers.items() if may_see(visibility, "owner", viewer)
    } == set(seen_by.split())


@pytest.mark.parametrize("viewer", [None, ANONYMOUS, REGISTERED, OWNER])
@pytest.mark.parametrize("visibility", ["public", "authenticated", "private"])
def test_names_are_shown_according_to_their_visibility(
    dynamodb: "DynamoDBClient", profiles: str, visibility: Visibility, viewer: Caller | None
) -> None:
    add(dynamodb, profiles, "owner", privacy={"displayName": visibility})
    expected = "Name of owner" if may_see(visibility, "owner", viewer) else UNKNOWN_NAME
    assert ProfileReader(dynamodb, profiles).display_names(["owner"], viewer) == {"owner": expected}


def test_names_are_read_in_batches(
    dynamodb: "DynamoDBClient", profiles: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(dynamodb, profiles, "a")
    add(dynamodb, profiles, "b")
    dynamodb.put_item(TableName=profiles, Item=pack({"user_id": "counted", "posts_count": 1}))
    read, reads = dynamodb.batch_get_item, []

    def counted(**arguments: Any) -> Any:
        reads.append(arguments)
        return read(**arguments)

    monkeypatch.setattr(dynamodb, "batch_get_item", counted)
    names = ProfileReader(dynamodb, profiles).display_names(["a", "b", "a", "counted", "gone"])
    assert names == {
        "a": "Name of a",
        "b": "Name of b",
        "counted": UNKNOWN_NAME,
        "gone": UNKNOWN_NAME,
    }
    assert len(reads) == 1
    assert ProfileReader(dynamodb, profiles).display_names([]) == {}
    assert len(reads) == 1


def test_callers_without_a_profile_see_their_own_name(
    dynamodb: "DynamoDBClient", profiles: str
) -> None:
    reader = ProfileReader(dynamodb, profiles)
    assert reader.display_names(["owner"], OWNER) == {"owner": "Before"}
    assert reader.display_names(["owner"], REGISTERED) == {"owner": UNKNOWN_NAME}


def test_a_name_stored_with_content_is_shown_only_for_users_without_a_profile(
    dynamodb: "DynamoDBClient", profiles: str
) -> None:
    reader = ProfileReader(dynamodb, profiles)
    earlier = {"owner": "Ann then", "other": ""}
    assert reader.display_names(earlier, REGISTERED, earlier) == {
        "owner": "Ann then",
        "other": UNKNOWN_NAME,
    }
    item = {"user_id": "owner", "display_name": "Ann now", "privacy": {"displayName": "private"}}
    dynamodb.put_item(TableName=profiles, Item=pack(item))
    assert reader.display_names(["owner"], REGISTERED, earlier) == {"owner": UNKNOWN_NAME}
    dynamodb.put_item(TableName=profiles, Item=pack({**item, "privacy": {}}))
    assert reader.display_names(["owner"], REGISTERED, earlier) == {"owner": "Ann now"}


def test_missing_privacy_preferences_allow_everything(
    dynamodb: "DynamoDBClient", profiles: str
) -> None:
    add(dynamodb, profiles, "silent")
    add(
        dynamodb,
        profiles,
        "shy",
        preferences={"theme": "dark", "privacy": {"showOnlineStatus": False}},
    )
    dynamodb.put_item(TableName=profiles, Item=pack({"user_id": "counted", "posts_count": 1}))
    by_id = ProfileReader(dynamodb, profiles).profiles(["silent", "shy", "counted", "gone"])
    assert {user_id: profile.personal for user_id, profile in by_id.items()} == {
        "silent": PersonalPrivacy(
            show_online_status=True, allow_direct_messages=True, show_read_receipts=True
        ),
        "shy": PersonalPrivacy(show_online_status=False),
    }


def test_a_profile_is_created_once(dynamodb: "DynamoDBClient", profiles: str) -> None:
    first = make_profile(
        Table(dynamodb, profiles),
        user_id="u",
        display_name="Ann",
        joined_at="2026-01-01T00:00:00.000Z",
    )
    assert first == {
        "user_id": "u",
        "display_name": "Ann",
        "joined_at": "2026-01-01T00:00:00.000Z",
        "version": 1,
    }
    second = make_profile(
        Table(dynamodb, profiles),
        user_id="u",
        display_name="Bob",
        joined_at="2027-01-01T00:00:00.000Z",
    )
    assert second == first


def test_creating_a_profile_keeps_earlier_statistics(
    dynamodb: "DynamoDBClient", profiles: str
) -> None:
    dynamodb.put_item(TableName=profiles, Item=pack({"user_id": "u", "posts_count": 3}))
    profile = make_profile(
        Table(dynamodb, profiles),
        user_id="u",
        display_name="Ann",
        joined_at="2026-01-01T00:00:00.000Z",
    )
    assert (profile["posts_count"], profile["display_name"], profile["version"]) == (3, "Ann", 1)
    item = dynamodb.get_item(TableName=profiles, Key=pack({"user_id": "u"}))["Item"]
    assert unpack(item) == profile
