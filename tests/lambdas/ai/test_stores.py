"""Tests circuits, API keys, quota and conversations, on moto."""

import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from msgspec import structs

from environments import resource_names
from lambdas.ai.api_keys import MAX_AGE, UNSET, UNSET_MAX_AGE, ApiKeys
from lambdas.ai.circuits import DynamoCircuits
from lambdas.ai.conversations import (
    LIFETIME,
    MESSAGE_LIMIT,
    SIZE_LIMIT,
    Conversation,
    DynamoConversations,
    Message,
    append_messages,
    conversation_id_of,
)
from lambdas.ai.quota import LEASE_SECONDS, DynamoQuota, Reservation
from lambdas.common.problems import Problem
from lambdas.common.web.http import Creation
from tests.lambdas.support import NOW, REGION, FakeClock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Usage = Callable[[str, str], dict[str, int]]
DAY = "2027-01-15"
"""The UTC day of NOW. NOW is 08:00 UTC on this day."""
QUOTA = 1000
BOTH = ["gemini", "openai"]


class TestCircuits:
    @pytest.fixture
    def circuits(
        self, dynamodb: "DynamoDBClient", usage_table: str, clock: FakeClock
    ) -> DynamoCircuits:
        return DynamoCircuits(dynamodb, usage_table, clock)

    def open(self, circuits: DynamoCircuits, provider: str) -> None:
        for _ in range(3):
            circuits.record_failure(provider)

    def test_three_consecutive_failures_open_the_circuit_for_a_minute(
        self, circuits: DynamoCircuits, clock: FakeClock
    ) -> None:
        for _ in range(2):
            assert list(circuits.list_available(BOTH)) == BOTH
            circuits.record_failure("gemini")
        assert list(circuits.list_available(BOTH)) == BOTH
        circuits.record_failure("gemini")
        assert list(circuits.list_available(BOTH)) == ["openai"]
        clock.advance(59.9)
        assert list(circuits.list_available(BOTH)) == ["openai"]
        clock.advance(0.1)
        assert list(circuits.list_available(BOTH)) == BOTH

    def test_a_success_closes_the_circuit(self, circuits: DynamoCircuits, clock: FakeClock) -> None:
        circuits.record_failure("gemini")
        circuits.record_failure("gemini")
        circuits.record_success("gemini", circuits.list_available(BOTH)["gemini"])
        circuits.record_failure("gemini")
        assert list(circuits.list_available(BOTH)) == BOTH
        assert circuits.list_available(BOTH)["gemini"].failures == 1

    def test_execution_environments_share_a_circuit(
        self,
        circuits: DynamoCircuits,
        dynamodb: "DynamoDBClient",
        usage_table: str,
        clock: FakeClock,
    ) -> None:
        self.open(circuits, "openai")
        assert list(DynamoCircuits(dynamodb, usage_table, clock).list_available(BOTH)) == ["gemini"]

    def test_only_one_call_tests_the_provider_after_the_circuit_was_open_for_a_minute(
        self, circuits: DynamoCircuits, clock: FakeClock
    ) -> None:
        self.open(circuits, "gemini")
        clock.advance(60)
        reads = [circuits.list_available(BOTH)["gemini"] for _ in range(10)]
        assert sum(circuits.try_enter("gemini", circuit) for circuit in reads) == 1
        assert list(circuits.list_available(BOTH)) == ["openai"]

    def test_a_failed_trial_reopens_the_circuit_and_a_successful_one_closes_it(
        self, circuits: DynamoCircuits, clock: FakeClock
    ) -> None:
        self.open(circuits, "gemini")
        clock.advance(60)
        assert circuits.try_enter("gemini", circuits.list_available(BOTH)["gemini"])
        clock.advance(10)
        circuits.record_failure("gemini")
        clock.advance(59)
        assert list(circuits.list_available(BOTH)) == ["openai"]
        clock.advance(1)
        circuit = circuits.list_available(BOTH)["gemini"]
        assert circuits.try_enter("gemini", circuit)
        circuits.record_success("gemini", circuit)
        circuits.record_failure("gemini")
        circuits.record_failure("gemini")
        assert list(circuits.list_available(BOTH)) == BOTH

    def test_a_successful_call_with_a_closed_circuit_writes_nothing(
        self, circuits: DynamoCircuits, dynamodb: "DynamoDBClient", usage_table: str
    ) -> None:
        circuit = circuits.list_available(BOTH)["gemini"]
        assert circuits.try_enter("gemini", circuit)
        circuits.record_success("gemini", circuit)
        assert dynamodb.scan(TableName=usage_table)["Items"] == []


class TestKeys:
    @pytest.fixture
    def ssm(self, aws: None) -> Any:
        return boto3.client("ssm", region_name=REGION)

    @pytest.fixture
    def keys(self, ssm: Any, clock: FakeClock) -> ApiKeys:
        self.store(ssm, UNSET)
        return ApiKeys(ssm, {"gemini": "/g"}, clock)

    def store(self, ssm: Any, value: str) -> None:
        ssm.put_parameter(Name="/g", Value=value, Type="SecureString", Overwrite=True)

    def test_the_initial_value_from_terraform_is_not_a_key(
        self, ssm: Any, keys: ApiKeys, clock: FakeClock
    ) -> None:
        assert UNSET == resource_names.UNSET
        assert keys.get("gemini") is None
        self.store(ssm, "  ")
        clock.advance(UNSET_MAX_AGE)
        assert keys.get("gemini") is None

    def test_a_newly_stored_key_is_read_within_seconds(
        self, ssm: Any, keys: ApiKeys, clock: FakeClock
    ) -> None:
        assert keys.get("gemini") is None
        self.store(ssm, "key-1\n")
        assert keys.get("gemini") is None
        clock.advance(UNSET_MAX_AGE)
        assert keys.get("gemini") == "key-1"

    def test_a_new_key_is_read_after_the_cached_key_expires_or_is_discarded(
        self, ssm: Any, keys: ApiKeys, clock: FakeClock
    ) -> None:
        self.store(ssm, "key-1")
        assert keys.get("gemini") == "key-1"
        self.store(ssm, "key-2")
        clock.advance(MAX_AGE - 1)
        assert keys.get("gemini") == "key-1"
        clock.advance(1)
        assert keys.get("gemini") == "key-2"
        self.store(ssm, "key-3")
        keys.discard("gemini")
        assert keys.get("gemini") == "key-3"


class TestQuota:
    @pytest.fixture
    def quota(self, dynamodb: "DynamoDBClient", usage_table: str, clock: FakeClock) -> DynamoQuota:
        return DynamoQuota(dynamodb, usage_table, QUOTA, clock)

    def expect_exceeded_quota(self, quota: DynamoQuota, tokens: int, user_id: str = "u-1") -> int:
        """Reserves tokens, and expects a 429 response. Returns the seconds of its Retry-After."""
        with pytest.raises(Problem) as problem:
            quota.reserve(user_id, tokens)
        assert (problem.value.status, problem.value.code) == (429, "ai_quota_exceeded")
        return int(problem.value.headers["Retry-After"])

    def test_only_the_used_tokens_are_counted(self, quota: DynamoQuota, usage: Usage) -> None:
        first = quota.reserve("u-1", 600)
        quota.settle(first, 100, 20)
        second = quota.reserve("u-1", 880)
        assert usage("u-1", DAY)["tokens"] == 1000
        quota.settle(second, 1, 2)
        account = usage("u-1", DAY)
        assert account["tokens"] == 123
        assert (account["calls"], account["input_tokens"], account["output_tokens"]) == (2, 101, 22)

    def test_a_released_reservation_counts_no_tokens(
        self, quota: DynamoQuota, usage: Usage
    ) -> None:
        quota.release(quota.reserve("u-1", 1000))
        account = usage("u-1", DAY)
        assert account["tokens"] == 0
        assert "calls" not in account
        quota.reserve("u-1", 1000)

    def test_an_exceeded_quota_is_reset_at_midnight(
        self, quota: DynamoQuota, clock: FakeClock
    ) -> None:
        quota.settle(quota.reserve("u-1", 500), 400, 100)
        assert self.expect_exceeded_quota(quota, 501) == 16 * 3600
        assert self.expect_exceeded_quota(quota, 2000, "nobody-yet") == 16 * 3600
        quota.reserve("u-2", 1000)
        clock.advance(16 * 3600 - 0.5)
        assert self.expect_exceeded_quota(quota, 501) == 1
        clock.advance(0.5)
        quota.reserve("u-1", 1000)

    def test_a_call_across_midnight_counts_towards_the_day_of_its_start(
        self, quota: DynamoQuota, clock: FakeClock, usage: Usage
    ) -> None:
        clock.advance(16 * 3600 - 1)
        reservation = quota.reserve("u-1", 600)
        clock.advance(2)
        quota.settle(reservation, 30, 5)
        assert usage("u-1", DAY)["tokens"] == 35
        assert usage("u-1", "2027-01-16") == {}

    def test_retry_after_is_short_if_running_calls_have_reserved_the_tokens(
        self, quota: DynamoQuota, clock: FakeClock
    ) -> None:
        quota.reserve("u-1", 900)
        clock.advance(5)
        assert self.expect_exceeded_quota(quota, 200) == LEASE_SECONDS - 5

    @pytest.mark.parametrize(
        "later",
        [LEASE_SECONDS, -3600],
        ids=["lease expired", "clock of the crashed call was an hour ahead"],
    )
    def test_the_reservation_of_a_crashed_call_is_reclaimed(
        self, quota: DynamoQuota, clock: FakeClock, usage: Usage, later: int
    ) -> None:
        crashed = quota.reserve("u-1", 900)
        clock.advance(later)
        alive = quota.reserve("u-1", 200)
        assert usage("u-1", DAY)["tokens"] == 200
        quota.settle(alive, 1, 1)
        quota.settle(crashed, 500, 500)
        assert usage("u-1", DAY)["tokens"] == 2, "the expired reservation was already reclaimed"

    def test_settling_a_reservation_twice_counts_its_tokens_once(
        self, quota: DynamoQuota, usage: Usage
    ) -> None:
        reservation = quota.reserve("u-1", 100)
        for _ in range(2):
            quota.settle(reservation, 10, 5)
        quota.release(reservation)
        assert usage("u-1", DAY)["tokens"] == 15

    def test_a_reservation_retried_by_boto3_counts_once(
        self,
        quota: DynamoQuota,
        dynamodb: "DynamoDBClient",
        monkeypatch: pytest.MonkeyPatch,
        usage: Usage,
    ) -> None:
        update = dynamodb.update_item

        def twice(**arguments: Any) -> Any:
            update(**arguments)
            return update(**arguments)

        monkeypatch.setattr(dynamodb, "update_item", twice)
        reservation = quota.reserve("u-1", 600)
        monkeypatch.undo()
        assert usage("u-1", DAY)["tokens"] == 600
        quota.settle(reservation, 1, 1)
        assert usage("u-1", DAY)["tokens"] == 2

    def test_the_usage_of_a_day_expires_after_a_month(
        self, quota: DynamoQuota, usage: Usage
    ) -> None:
        quota.reserve("u-1", 1)
        assert usage("u-1", DAY)["expires_at"] == NOW - 8 * 3600 + 31 * 24 * 3600

    def test_concurrent_calls_never_exceed_the_quota(
        self, dynamodb: "DynamoDBClient", usage_table: str, clock: FakeClock, usage: Usage
    ) -> None:
        """Each call reserves 100 tokens, and uses 30 of them or none.

        The quota of 1,000 tokens has room for ten reservations at the same time.
        """
        barrier = threading.Barrier(50)
        totals: list[int] = []

        def call(number: int) -> str:
            client = boto3.client(
                "dynamodb", region_name=REGION, config=Config(max_pool_connections=2)
            )
            quota = DynamoQuota(client, usage_table, QUOTA, clock)
            barrier.wait()
            try:
                reservation = quota.reserve("u-1", 100)
            except Problem as problem:
                return problem.code
            totals.append(usage("u-1", DAY)["tokens"])
            if number % 5 == 0:
                quota.release(reservation)
                return "failed"
            quota.settle(reservation, 20, 10)
            return "completed"

        with ThreadPoolExecutor(50) as pool:
            outcomes = list(pool.map(call, range(50)))
        assert max(totals) <= QUOTA
        account = usage("u-1", DAY)
        assert account["tokens"] == 30 * outcomes.count("completed") == 30 * account["calls"]
        assert set(outcomes) <= {"completed", "failed", "ai_quota_exceeded"}
        # The first ten calls reserve at most 1,000 tokens in total, so they are always admitted.
        assert outcomes.count("completed") + outcomes.count("failed") >= 10

    def test_concurrent_reservations_fill_the_quota_exactly(
        self, dynamodb: "DynamoDBClient", usage_table: str, clock: FakeClock, usage: Usage
    ) -> None:
        barrier = threading.Barrier(50)

        def reserve(_: int) -> Reservation | None:
            client = boto3.client("dynamodb", region_name=REGION)
            quota = DynamoQuota(client, usage_table, QUOTA, clock)
            barrier.wait()
            try:
                return quota.reserve("u-1", 90)
            except Problem:
                return None

        with ThreadPoolExecutor(50) as pool:
            reservations = [
                reservation for reservation in pool.map(reserve, range(50)) if reservation
            ]
        assert len(reservations) == QUOTA // 90
        assert usage("u-1", DAY)["tokens"] == 90 * len(reservations)


def message(content: str, role: Any = "user", context: str | None = None) -> Message:
    return Message(
        role=role, content=content, created_at="2027-01-15T08:00:00.000Z", context=context
    )


def conversation(conversation_id: str, messages: Sequence[Message] = ()) -> Conversation:
    empty = Conversation(
        conversation_id=conversation_id,
        title="A title",
        message_count=0,
        created_at="2027-01-15T08:00:00.000Z",
        updated_at="",
        version=0,
        expires_at=0,
        messages=(),
    )
    return append_messages(empty, tuple(messages), "2027-01-15T08:00:00.000Z", int(NOW) + LIFETIME)


def new_conversation_id(clock: FakeClock) -> str:
    return conversation_id_of(Creation(uuid.uuid4().hex, started_at=int(clock() * 1000)))


class TestConversations:
    @pytest.fixture
    def store(
        self, dynamodb: "DynamoDBClient", conversations_table: str, clock: FakeClock
    ) -> DynamoConversations:
        return DynamoConversations(dynamodb, conversations_table, clock)

    def test_a_conversation_is_found_only_by_its_owner_until_it_expires(
        self, store: DynamoConversations, clock: FakeClock
    ) -> None:
        saved = conversation("c-1", [message("Hi", context="some"), message("Yes?", "assistant")])
        assert store.save("u-1", saved)
        assert store.find("u-1", "c-1") == saved
        assert store.find("u-2", "c-1") is None
        assert not store.delete("u-2", "c-1")
        clock.advance(LIFETIME)
        assert store.find("u-1", "c-1") is None
        assert store.list_page("u-1", 10, None) == ([], None)
        assert not store.delete("u-1", "c-1")

    def test_a_conversation_expires_by_ttl(
        self, store: DynamoConversations, dynamodb: "DynamoDBClient", conversations_table: str
    ) -> None:
        store.save("u-1", conversation("c-1"))
        (item,) = dynamodb.scan(TableName=conversations_table)["Items"]
        assert item["expires_at"] == {"N": str(int(NOW) + 30 * 24 * 3600)}

    def test_only_one_of_two_concurrent_changes_succeeds(self, store: DynamoConversations) -> None:
        first = conversation("c-1", [message("1")])
        store.save("u-1", first)
        assert not store.save("u-1", first)
        second = append_messages(first, (message("2"),), "t", first.expires_at)
        assert store.save("u-1", second)
        assert not store.save("u-1", second)
        assert store.find("u-1", "c-1") == second

    def test_saving_does_not_recreate_a_deleted_conversation(
        self, store: DynamoConversations
    ) -> None:
        first = conversation("c-1", [message("1")])
        store.save("u-1", first)
        assert store.delete("u-1", "c-1")
        assert not store.delete("u-1", "c-1")
        assert not store.save("u-1", append_messages(first, (message("2"),), "t", first.expires_at))
        assert store.find("u-1", "c-1") is None

    def test_pages_list_the_newest_conversations_first_without_messages(
        self, store: DynamoConversations, clock: FakeClock
    ) -> None:
        ids: list[str] = []
        for _ in range(7):
            ids.insert(0, new_conversation_id(clock))
            store.save("u-1", conversation(ids[0], [message("x" * 1000)]))
            store.save("u-2", conversation(new_conversation_id(clock)))
            clock.advance(0.01)
        assert {len(i) for i in ids} == {36}
        listed, position, pages = [], None, 0
        while True:
            page, position = store.list_page("u-1", 3, position)
            assert len(page) <= 3
            listed += [summary.conversation_id for summary in page]
            pages += 1
            if position is None:
                break
        assert (listed, pages) == (ids, 3)
        assert not hasattr(page[0], "messages")

    def test_expired_conversations_do_not_shorten_a_page(
        self, store: DynamoConversations, clock: FakeClock
    ) -> None:
        for number in range(10):
            stored = conversation(f"c-{number}")
            expires_at = int(NOW) if 2 <= number < 8 else stored.expires_at
            store.save("u-1", structs.replace(stored, expires_at=expires_at))
        page, position = store.list_page("u-1", 3, None)
        assert ([s.conversation_id for s in page], position) == (["c-9", "c-8", "c-1"], "c-1")
        assert [s.conversation_id for s in store.list_page("u-1", 3, position)[0]] == ["c-0"]

    def test_the_oldest_messages_are_dropped_before_an_item_grows_too_large(
        self, store: DynamoConversations
    ) -> None:
        longest = (
            message("q" * 4000, context="🙂" * 20_000),
            message("a" * 128 * 1024, "assistant"),
        )
        grown = conversation("c-1", [message("old"), message("older", "assistant")])
        for _ in range(3):
            grown = append_messages(grown, longest, "t", grown.expires_at)
        assert store.save("u-1", structs.replace(grown, version=1))
        assert sum(m.size for m in grown.messages) <= SIZE_LIMIT
        assert grown.messages == longest
        many = conversation("c-2", [message(str(number)) for number in range(300)])
        assert [m.content for m in many.messages] == [str(number) for number in range(200, 300)]
        assert many.message_count == MESSAGE_LIMIT == len(many.messages)
