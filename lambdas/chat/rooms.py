"""Rooms and their counters in DynamoDB."""

import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice

from msgspec import UNSET, UnsetType, convert, structs, to_builtins

from lambdas.chat.models import RoomType
from lambdas.chat.records import (
    BANNED,
    FORMER,
    ChangedError,
    ChatTables,
    Counters,
    Head,
    Member,
    Room,
    RoomFullError,
    members_key,
    seq_key,
)
from lambdas.common.live.chat_messages import removal_marker
from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import (
    ConditionFailedError,
    Entry,
    Expressions,
    Item,
    Key,
    Table,
    get_from_tables,
)
from lambdas.common.storage.transactions import Transactions
from lambdas.common.web.http import AlreadyCreatedError

TYPE_INDEX = "room-type-index"
USER_INDEX = "user-rooms-index"

CONFLICT_RETRY_TIME = 8.0
"""Seconds for which a write is retried while it conflicts with other writes. API Gateway waits 29 s
for the response."""


class RoomStore:
    """The rooms table, and the index of a user's rooms in the members table.

    The argument `event` is an outbox entry, which is written in the same transaction.
    """

    def __init__(self, tables: ChatTables, transactions: Transactions) -> None:
        self._transactions = transactions
        self._rooms = tables.rooms
        self._members = tables.members
        self._messages = tables.messages

    def create(self, room: Room, owner: Member, max_members: int | None, event: Entry) -> None:
        """Stores a room. Raises AlreadyCreatedError if a room with this id exists."""
        head = {"room_id": seq_key(room.room_id), "seq": 0, "last_activity": room.created_at}
        counters = {"room_id": members_key(room.room_id), "members": 1, "max_members": max_members}
        entries = {
            "room": self._rooms.build_put(
                _to_item(room), condition="attribute_not_exists(room_id)"
            ),
            "head": self._rooms.build_put(head),
            "counters": self._rooms.build_put(counters),
            "owner": self._members.build_put(to_builtins(owner)),
            "event": event,
        }
        try:
            self._transactions.write(entries)
        except ConditionFailedError:
            raise AlreadyCreatedError from None

    def find(self, room_id: str, user_id: str) -> tuple[Room | None, Member | None]:
        """Returns the room and the user's membership, ban or mute. Missing items are None."""
        room, member = get_from_tables(
            [self._room_key(room_id), self._member_key(room_id, user_id)]
        )
        return (
            convert(room, Room) if room and "type" in room else None,
            convert(member, Member) if member else None,
        )

    def find_to_send(
        self, room_id: str, user_id: str
    ) -> tuple[Room | None, Member | None, Head | None]:
        """Returns the results of `find` and `find_head`, with a single read."""
        room, member, head = get_from_tables(
            [
                self._room_key(room_id),
                self._member_key(room_id, user_id),
                self._room_key(seq_key(room_id)),
            ]
        )
        return (
            convert(room, Room) if room and "type" in room else None,
            convert(member, Member) if member else None,
            convert(head, Head) if head else None,
        )

    def find_head(self, room_id: str) -> Head | None:
        """Returns the number and time of the last message, or None if the room was deleted."""
        [head] = get_from_tables([self._room_key(seq_key(room_id))])
        return convert(head, Head) if head else None

    def find_counters(self, room_id: str) -> Counters | None:
        """Returns the room's counters, or None if the room was deleted."""
        seq, members = get_from_tables(
            [self._room_key(seq_key(room_id)), self._room_key(members_key(room_id))]
        )
        return _to_counters(seq, members)

    def find_many(
        self, room_ids: Sequence[str], user_id: str
    ) -> list[tuple[Room, Counters, Member | None]]:
        """Returns the rooms that exist, with counters and the user's membership, ban or mute."""
        keys = [
            key
            for room_id in room_ids
            for key in (
                self._room_key(room_id),
                self._room_key(seq_key(room_id)),
                self._room_key(members_key(room_id)),
                self._member_key(room_id, user_id),
            )
        ]
        items = get_from_tables(keys)
        rooms = []
        for start in range(0, len(items), 4):
            room, seq, members, member = items[start : start + 4]
            counters = _to_counters(seq, members)
            if room and counters:
                rooms.append(
                    (convert(room, Room), counters, convert(member, Member) if member else None)
                )
        return rooms

    def list_ids_of_user(
        self, user_id: str, room_type: RoomType | None, limit: int, after: str | None
    ) -> list[str]:
        """Returns up to `limit` ids of the user's rooms, in order, after the id `after`."""
        values = {":user": user_id, ":banned": BANNED, ":former": FORMER}
        where = "NOT #role IN (:banned, :former)"
        if room_type:
            values[":type"], where = room_type, f"{where} AND room_type = :type"
        items = self._members.query(
            "user_id = :user",
            values,
            names={"#role": "role"},
            where=where,
            index=USER_INDEX,
            start_after={"user_id": user_id, "room_id": after} if after else None,
            page_size=limit,
        )
        return [item["room_id"] for item in islice(items, limit)]

    def list_ids_of_type(self, room_type: RoomType, limit: int, after: str | None) -> list[str]:
        """Returns up to `limit` ids of rooms of this type, in order, after the id `after`."""
        items = self._rooms.query(
            "#type = :type",
            {":type": room_type},
            names={"#type": "type"},
            index=TYPE_INDEX,
            start_after={"type": room_type, "room_id": after} if after else None,
            page_size=limit,
        )
        return [item["room_id"] for item in islice(items, limit)]

    def change(self, room: Room, max_members: int | UnsetType | None) -> Room:
        """Writes a room's new name, description and limit. Returns the changed room.

        Args:
            room: The new values, with the version that was read.
            max_members: The new limit. None removes the limit, UNSET keeps it.

        Raises:
            ChangedError: The room's version has changed.
            RoomFullError: The room has more members than the new limit.
        """
        changed = structs.replace(room, version=room.version + 1)
        entries = {
            "room": self._rooms.build_update(
                {"room_id": room.room_id},
                "SET #name = :name, description = :description, version = :next",
                condition="version = :read",
                names={"#name": "name"},
                values={
                    ":name": room.name,
                    ":description": room.description,
                    ":next": changed.version,
                    ":read": room.version,
                },
            )
        }
        if max_members is not UNSET:
            entries["limit"] = self._rooms.build_update(
                {"room_id": members_key(room.room_id)},
                "SET max_members = :most",
                condition=None if max_members is None else "members <= :most",
                values={":most": max_members},
            )
        try:
            self._transactions.write(entries)
        except ConditionFailedError as error:
            raise (ChangedError if "room" in error.failed else RoomFullError)() from None
        return changed

    def remove(self, room_id: str, now: float) -> None:
        """Deletes the room's items in the rooms table, and writes a marker to the messages table.

        The marker makes the delivery function delete the room's other data. Does nothing if the
        room does not exist. Raises Problem 503 if concurrent writes conflict for too long.

        Args:
            room_id: The id of the room.
            now: The current time in seconds since the epoch.
        """
        deadline = time.monotonic() + CONFLICT_RETRY_TIME
        while time.monotonic() < deadline:
            room, head = get_from_tables(
                [self._room_key(room_id), self._room_key(seq_key(room_id))]
            )
            if not room or not head:
                return
            # The condition fails if the room was deleted, or its last message or pair changed,
            # after the read.
            with suppress(ConditionFailedError):
                self._transactions.write(self._removal(convert(room, Room), head["seq"], now))
                return
        raise room_busy()

    def _removal(self, room: Room, seq: int, now: float) -> dict[str, Entry]:
        same_pair: Expressions = {"condition": "attribute_not_exists(pair)"}
        if room.pair:
            same_pair = {"condition": "pair = :pair", "values": {":pair": room.pair}}
        entries = {
            "head": self._rooms.build_delete(
                {"room_id": seq_key(room.room_id)}, condition="seq = :read", values={":read": seq}
            ),
            "room": self._rooms.build_delete({"room_id": room.room_id}, **same_pair),
            "counters": self._rooms.build_delete({"room_id": members_key(room.room_id)}),
            "marker": self._messages.build_put(removal_marker(room.room_id, seq, now)),
        }
        if room.pair:
            entries["pair"] = self._rooms.build_delete({"room_id": room.pair})
        return entries

    def _room_key(self, room_id: str) -> tuple[Table, Key]:
        return self._rooms, {"room_id": room_id}

    def _member_key(self, room_id: str, user_id: str) -> tuple[Table, Key]:
        return self._members, {"room_id": room_id, "user_id": user_id}


def room_busy() -> Problem:
    return Problem.unavailable("The room is too busy. Try again shortly.", "room_busy")


def _to_item(room: Room) -> Item:
    return {name: value for name, value in to_builtins(room).items() if value is not None}


def _to_counters(seq: Item | None, members: Item | None) -> Counters | None:
    if not seq or not members:
        return None
    return Counters(
        seq=seq["seq"],
        last_activity=seq["last_activity"],
        members=members["members"],
        max_members=members["max_members"],
    )
