"""Tests that deleted rooms are hidden immediately, and that all their data is removed later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import EndpointConnectionError

from lambdas.chat.reactions import ReactionStore
from lambdas.chat.rooms import RoomStore
from lambdas.common.live.chat_messages import removal_marker_id
from lambdas.common.messaging.consumer import BatchFailedError
from lambdas.common.storage.dynamodb import Entry
from lambdas.delivery import removal
from lambdas.delivery.logic import DeliveryService
from lambdas.delivery.removal import SETTLING_TIME, PendingRemoval, RoomRemoval
from tests.lambdas.chat.conftest import BUCKET, ChatUser, World, ok
from tests.lambdas.chat.test_messages import upload
from tests.lambdas.support import problem

TABLES = ("rooms", "members", "messages", "authors")


@pytest.fixture(autouse=True)
def small_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every removal take several passes, without waiting for concurrent writes."""
    monkeypatch.setattr(removal, "ITEMS_PER_PASS", 2)
    monkeypatch.setattr(removal, "OBJECTS_PER_PASS", 1)
    monkeypatch.setattr(removal, "SETTLING_TIME", 0)


def create_full_room(world: World, ann: ChatUser, bob: ChatUser) -> str:
    """Creates a direct room with messages of each kind, reactions and attachments."""
    room_id = ann.create_room("direct")
    ok(ann.call("POST", f"/rooms/{room_id}/members", {"userId": bob.user_id}), 201)
    messages = [ann.send(room_id), bob.send(room_id, isAnonymous=True)]
    messages += [
        ann.send(room_id, attachments=[upload(world, ann, room_id)["key"]]) for _ in range(2)
    ]
    upload(world, ann, room_id)  # an upload that no message contains
    for person in (ann, bob):
        for emoji in "👍🍵":
            path = f"/rooms/{room_id}/messages/{messages[0]['messageId']}/reactions/{emoji}"
            ok(person.call("PUT", path, {}), 204)
    return room_id


def remaining_data(world: World) -> dict[str, list[Any]]:
    remaining: dict[str, list[Any]] = {table: world.items(table) for table in TABLES}
    remaining["objects"] = world.s3.list_objects_v2(Bucket=BUCKET, Prefix="chat/").get(
        "Contents", []
    )
    return {name: items for name, items in remaining.items() if items}


def run_passes(world: World) -> int:
    """Runs the delivery function until the retry queue is empty. Returns the number of runs."""
    count = 0
    while records := world.queued("DELIVERY_RETRIES_QUEUE_URL"):
        assert world.deliver({"Records": records}) == {"batchItemFailures": []}
        count += 1
    return count


def test_all_data_of_a_deleted_room_is_removed(world: World, ann: ChatUser, bob: ChatUser) -> None:
    other_room_id = create_full_room(world, ann, world.user("dan"))
    before = remaining_data(world)
    room_id = create_full_room(world, bob, ann)
    ok(bob.call("DELETE", f"/rooms/{room_id}"), 204)
    assert world.deliver({"Records": [world.stream(removal_marker_id(room_id))]}) is None
    assert run_passes(world) > 4
    assert remaining_data(world) == before
    assert other_room_id != room_id
    ok(ann.call("DELETE", f"/rooms/{other_room_id}"), 204)
    world.deliver({"Records": [world.stream(removal_marker_id(other_room_id))]})
    run_passes(world)
    assert remaining_data(world) == {}


def test_removal_continues_after_any_interruption(
    world: World, ann: ChatUser, bob: ChatUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupts the function before and after each of its AWS calls in turn."""
    room_id = create_full_room(world, ann, bob)
    ok(ann.call("DELETE", f"/rooms/{room_id}"), 204)
    marker_record = world.stream(removal_marker_id(room_id))
    call = BaseClient._make_api_call  # type: ignore[attr-defined]
    calls, last = 0, 0

    def interrupted_call(client: Any, operation: str, arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == last:
            if last % 2:
                call(client, operation, arguments)
            raise EndpointConnectionError(endpoint_url="https://killed")
        return call(client, operation, arguments)

    world.deliver({"Records": [marker_record]})
    [record] = world.queued("DELIVERY_RETRIES_QUEUE_URL")
    killed = 0
    monkeypatch.setattr(BaseClient, "_make_api_call", interrupted_call)
    while True:
        calls, last = 0, last + 1
        try:
            world.deliver({"Records": [record]})
        except Exception:  # the batch failed, so SQS delivers it again
            killed += 1
            continue
        calls = last + 1
        following = world.queued("DELIVERY_RETRIES_QUEUE_URL")
        if not following:
            break
        record, last = following[-1], 0
    monkeypatch.undo()
    assert killed > 10
    assert remaining_data(world) == {}


@pytest.fixture
def during_deletion(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Returns a function that schedules its argument for the next deletion of a room.

    The argument is called after the deletion has read the room, and before it writes.
    """
    removal_of = RoomStore._removal

    def set_up(interleave: Callable[[], object]) -> None:
        def delayed(store: RoomStore, *arguments: Any) -> Any:
            monkeypatch.setattr(RoomStore, "_removal", removal_of)
            interleave()
            return removal_of(store, *arguments)

        monkeypatch.setattr(RoomStore, "_removal", delayed)

    return set_up


def test_a_message_sent_during_the_deletion_is_removed(
    world: World,
    ann: ChatUser,
    bob: ChatUser,
    during_deletion: Callable[[Callable[[], object]], None],
) -> None:
    room_id = create_full_room(world, ann, bob)
    during_deletion(lambda: bob.send(room_id))
    ok(ann.call("DELETE", f"/rooms/{room_id}"), 204)
    world.deliver({"Records": [world.stream(removal_marker_id(room_id))]})
    run_passes(world)
    assert remaining_data(world) == {}


def test_users_whose_direct_room_is_deleted_during_a_join_can_create_another(
    ann: ChatUser,
    during_deletion: Callable[[Callable[[], object]], None],
    bob: ChatUser,
    world: World,
) -> None:
    room_id, other_room_id = ann.create_room("direct"), ann.create_room("direct")
    during_deletion(
        lambda: ok(ann.call("POST", f"/rooms/{room_id}/members", {"userId": "bob"}), 201)
    )
    ok(ann.call("DELETE", f"/rooms/{room_id}"), 204)
    assert {item["room_id"].partition("#")[0] for item in world.items("rooms")} == {other_room_id}
    ok(ann.call("POST", f"/rooms/{other_room_id}/members", {"userId": "bob"}), 201)


def test_deleting_an_old_direct_room_keeps_the_users_new_direct_room(
    ann: ChatUser, during_deletion: Callable[[Callable[[], object]], None], bob: ChatUser
) -> None:
    room_id, second, third = (ann.create_room("direct") for _ in range(3))
    ok(ann.call("POST", f"/rooms/{room_id}/members", {"userId": "bob"}), 201)

    def move() -> None:
        ok(bob.call("DELETE", f"/rooms/{room_id}/leave"), 204)
        ok(ann.call("POST", f"/rooms/{second}/members", {"userId": "bob"}), 201)

    during_deletion(move)
    ok(ann.call("DELETE", f"/rooms/{room_id}"), 204)
    response = problem(ann.call("POST", f"/rooms/{third}/members", {"userId": "bob"}), 409)
    assert response["roomId"] == second


def test_a_deletion_that_always_conflicts_returns_503(
    ann: ChatUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = ann.create_room("private")
    removal_of = RoomStore._removal

    def delayed(store: RoomStore, *arguments: Any) -> Any:
        ann.send(room_id)
        return removal_of(store, *arguments)

    monkeypatch.setattr(RoomStore, "_removal", delayed)
    monkeypatch.setattr("lambdas.chat.rooms.CONFLICT_RETRY_TIME", 0.2)
    problem(ann.call("DELETE", f"/rooms/{room_id}"), 503, "room_busy")
    monkeypatch.undo()
    ok(ann.call("GET", f"/rooms/{room_id}"))


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_reaction_during_the_removal_leaves_no_data(
    world: World, ann: ChatUser, bob: ChatUser, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A request reads the message before the message is removed.

    It writes the reaction after the message has been removed.
    """
    room_id = ann.create_room("private")
    ok(ann.call("POST", f"/rooms/{room_id}/members", {"userId": bob.user_id}), 201)
    path = f"/rooms/{room_id}/messages/{ann.send(room_id)['messageId']}/reactions/👍"
    if method == "DELETE":
        ok(bob.call("PUT", path, {}), 204)
    build_count = ReactionStore._build_count

    def delayed(store: ReactionStore, *arguments: Any, **values: Any) -> Entry:
        monkeypatch.setattr(ReactionStore, "_build_count", build_count)
        ok(ann.call("DELETE", f"/rooms/{room_id}"), 204)
        world.deliver({"Records": [world.stream(removal_marker_id(room_id))]})
        world.deliver({"Records": world.queued("DELIVERY_RETRIES_QUEUE_URL")})
        return build_count(store, *arguments, **values)

    monkeypatch.setattr(ReactionStore, "_build_count", delayed)
    bob.call(method, path, {} if method == "PUT" else None)
    run_passes(world)
    assert remaining_data(world) == {}


def test_a_batch_sends_lost_messages_first_and_runs_only_one_pass(
    world: World, ann: ChatUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch can contain ten removals. Ten passes would exceed the function's timeout.

    SQS would then deliver the whole batch again.
    """
    done: list[object] = []
    monkeypatch.setattr(RoomRemoval, "run_pass", lambda _self, job: done.append(job.room_id))
    monkeypatch.setattr(
        DeliveryService, "redeliver_lost", lambda _self, stored: done.append(stored[0].message_id)
    )
    rooms = [ann.create_room() for _ in range(3)]
    for room_id in rooms:
        ok(ann.call("DELETE", f"/rooms/{room_id}"), 204)
        world.deliver({"Records": [world.stream(removal_marker_id(room_id))]})
    jobs = world.queued("DELIVERY_RETRIES_QUEUE_URL")
    lost = {**jobs[0], "messageId": "lost", "body": '{"stored":[{"messageId":"m-1","version":1}]}'}
    assert world.deliver({"Records": [*jobs, lost]}) == {"batchItemFailures": []}
    assert done[0] == "m-1"
    assert len(done) == 2
    assert run_passes(world) == 2
    assert sorted(done[1:]) == sorted(rooms)  # type: ignore[type-var]


def test_a_removal_pass_is_repeated_until_all_objects_are_deleted(
    world: World, ann: ChatUser, bob: ChatUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 returns status 200 even if it could not delete some of the objects."""
    room_id = create_full_room(world, ann, bob)
    monkeypatch.setattr(removal, "OBJECTS_PER_PASS", 1000)
    monkeypatch.setattr(removal, "ITEMS_PER_PASS", 1000)
    ok(ann.call("DELETE", f"/rooms/{room_id}"), 204)
    world.deliver({"Records": [world.stream(removal_marker_id(room_id))]})
    world.deliver({"Records": world.queued("DELIVERY_RETRIES_QUEUE_URL")})
    call = BaseClient._make_api_call  # type: ignore[attr-defined]
    attempts: list[int] = []

    def failing_deletion(client: Any, operation: str, arguments: Any) -> Any:
        if operation != "DeleteObjects":
            return call(client, operation, arguments)
        attempts.append(len(arguments["Delete"]["Objects"]))
        return {"Errors": [{"Code": "InternalError"}]}

    records = world.queued("DELIVERY_RETRIES_QUEUE_URL")
    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", failing_deletion)
        with pytest.raises(BatchFailedError):
            world.deliver({"Records": records})
    assert attempts == [2]
    assert world.queued("DELIVERY_RETRIES_QUEUE_URL") == []
    world.deliver({"Records": records})
    run_passes(world)
    assert remaining_data(world) == {}


def test_the_deletion_marker_is_removed_only_after_concurrent_writes_have_ended() -> None:
    class EmptyRoom:
        def __init__(self) -> None:
            self.marked = True

        def remove_messages(self, *_: object) -> None: ...

        def remove_secondary_items(self, _room_id: str) -> bool:
            return False

        remove_members = remove_objects = remove_secondary_items

        def remove_marker(self, _room_id: str) -> None:
            self.marked = False

    now = 1000.0
    waiting: list[PendingRemoval] = []
    room: Any = EmptyRoom()
    room_removal = RoomRemoval(room, waiting.append, lambda: now)
    job = PendingRemoval("room", 0, 1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(removal, "SETTLING_TIME", SETTLING_TIME)
        room_removal.run_pass(job)
        assert (waiting, room.marked) == ([job], True)
        now += SETTLING_TIME
        room_removal.run_pass(job)
        assert (waiting, room.marked) == ([job], False)
