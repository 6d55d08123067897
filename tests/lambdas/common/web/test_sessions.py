"""Tests the reader of active sessions, on moto."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from lambdas.common.storage.dynamodb import pack
from lambdas.common.web.sessions import ActiveSession, SessionReader
from tests.lambdas.support import NOW, FakeClock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CreateTable = Callable[..., str]


@pytest.mark.parametrize(
    ("session_id", "user_id", "expires_at", "active"),
    [
        ("s", "u", NOW + 1, True),
        ("s", "u", NOW, False),
        ("s", "other", NOW + 1, False),
        ("unknown", "u", NOW + 1, False),
    ],
)
def test_only_an_unexpired_session_of_the_user_is_returned(
    dynamodb: "DynamoDBClient",
    table: CreateTable,
    clock: FakeClock,
    session_id: str,
    user_id: str,
    expires_at: float,
    active: bool,
) -> None:
    name = table("session_id")
    dynamodb.put_item(
        TableName=name,
        Item=pack({"session_id": "s", "user_id": "u", "expires_at": int(expires_at)}),
    )
    assert (SessionReader(dynamodb, name, clock).find(session_id, user_id) is not None) is active


def test_a_session_contains_the_display_name(
    dynamodb: "DynamoDBClient", table: CreateTable, clock: FakeClock
) -> None:
    name = table("session_id")
    item = {"session_id": "s", "user_id": "u", "expires_at": int(NOW + 1)}
    dynamodb.put_item(TableName=name, Item=pack(item))
    dynamodb.put_item(
        TableName=name, Item=pack({**item, "session_id": "named", "display_name": "Ada"})
    )
    reader = SessionReader(dynamodb, name, clock)
    # An older version of the code stored sessions without a name.
    assert reader.find("s", "u") == ActiveSession("")
    assert reader.find("named", "u") == ActiveSession("Ada")
