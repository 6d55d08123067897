"""Tests the session store, on moto."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from lambdas.auth.sessions import REVOCATION_LIFETIME, Account, DynamoSessionStore, Session
from lambdas.common.web.sessions import SessionReader
from tests.lambdas.support import NOW, FakeClock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def store(
    dynamodb: "DynamoDBClient", table: Callable[..., str], clock: FakeClock
) -> DynamoSessionStore:
    return DynamoSessionStore(
        dynamodb, table("session_id", "user_id"), clock, lambda _seconds: None
    )


def session(
    session_id: str = "s-1", user_id: str = "u-1", *, expires_at: float = NOW + 60
) -> Session:
    return Session(
        session_id=session_id,
        user_id=user_id,
        created_at="2027-01-15T08:00:00.000Z",
        last_used_at="2027-01-15T08:00:00.000Z",
        expires_at=int(expires_at),
        device={"os": "x"},
        generation=1,
        refresh_kid=1,
        refresh_hash="hash-1",
        rotated_at=5,
    )


def test_a_session_is_found_until_it_expires(store: DynamoSessionStore, clock: FakeClock) -> None:
    store.add(session())
    assert store.find("s-1") == session()
    assert store.list_for_user("u-1") == [session()]
    clock.advance(60)
    assert store.find("s-1") is None
    assert store.list_for_user("u-1") == []
    assert not store.revoke("s-1", "u-1")


def test_rotation_stores_the_account_in_the_session(store: DynamoSessionStore) -> None:
    account = Account(email="ann@example.com", roles=("user", "admin"), read_at=5)
    before, after = session(), structs.replace(session(), account=account)
    store.add(before)
    assert store.rotate(before, after)
    assert store.find("s-1") == after


def test_only_one_of_two_rotations_succeeds(store: DynamoSessionStore) -> None:
    before = session()
    store.add(before)
    after = structs.replace(
        before, generation=2, refresh_hash="hash-2", rotated_at=6, expires_at=int(NOW) + 120
    )
    assert store.rotate(before, after)
    assert not store.rotate(before, structs.replace(after, refresh_hash="hash-other"))
    assert store.find("s-1") == after


def test_rotation_does_not_recreate_a_revoked_session(store: DynamoSessionStore) -> None:
    store.add(session())
    assert store.revoke("s-1", "u-1")
    assert not store.rotate(session(), structs.replace(session(), generation=2))
    assert store.find("s-1") is None


def test_only_the_user_of_a_session_can_revoke_it(store: DynamoSessionStore) -> None:
    store.add(session())
    assert not store.revoke("s-1", "u-2")
    assert not store.revoke("unknown", "u-1")
    assert store.revoke("s-1", "u-1")
    assert not store.revoke("s-1", "u-1")


def test_revoke_all_keeps_only_the_given_session_of_the_user(store: DynamoSessionStore) -> None:
    for number in range(30):  # more than one batch
        store.add(session(f"s-{number}"))
    store.add(session("other", "u-2"))
    store.revoke_all("u-1", keep="s-7")
    assert [active.session_id for active in store.list_for_user("u-1")] == ["s-7"]
    store.revoke_all("u-1")
    assert store.list_for_user("u-1") == []
    assert store.find("other") is not None


def test_a_session_that_the_index_lists_late_is_also_revoked(
    store: DynamoSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(session())
    listed, late = store.list_for_user, [[], [session()]]
    monkeypatch.setattr(store, "list_for_user", lambda _user_id: late.pop(0))
    store.revoke_all("u-1")
    assert listed("u-1") == []


def test_a_revocation_of_all_sessions_is_recorded_for_a_minute(
    store: DynamoSessionStore, clock: FakeClock
) -> None:
    assert not store.were_revoked("u-1")
    store.revoke_all("u-1")
    store.add(session())
    assert store.were_revoked("u-1")
    assert not store.were_revoked("u-2")
    assert store.list_for_user("u-1") == [session()]
    clock.advance(REVOCATION_LIFETIME)
    assert not store.were_revoked("u-1")


def test_the_session_reader_rejects_a_revoked_session(
    store: DynamoSessionStore, dynamodb: "DynamoDBClient", clock: FakeClock
) -> None:
    reader = SessionReader(dynamodb, "session_id-table", clock)
    store.add(session())
    assert reader.find("s-1", "u-1")
    store.revoke("s-1", "u-1")
    assert reader.find("s-1", "u-1") is None
