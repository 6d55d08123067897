"""Rooms and their members in DynamoDB.

A room's counters (members; `seq` and last activity) are separate items of the rooms table. As
attributes of the room's item, each change would rewrite the index of rooms by type. They have no
`type` attribute, so the index does not contain them.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from msgspec import Struct, convert, structs, to_builtins

from lambdas.chat.models import Role, RoomType
from lambdas.chat.store import ChatTables, Item, Items, delete, put, update
from lambdas.common.live.chat_messages import marker
from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import Entry, pack
from lambdas.common.storage.transactions import ConditionsFailedError

TYPE_INDEX = "room-type-index"
USER_INDEX = "user-rooms-index"

OWNER: Role = "owner"
ADMIN: Role = "admin"
MODERATOR: Role = "moderator"
MEMBER: Role = "member"
BANNED = "banned"
"""The role in the item of a banned user, who is not a member and is not counted."""

PATIENCE = 8.0
"""Seconds. A write that conflicts with other writes is retried for this time, which is under a
third of API Gateway's timeout of 29 s."""

RANKS = {MEMBER: 1, MODERATOR: 2, ADMIN: 3, OWNER: 4}


class Room(Struct, frozen=True, kw_only=True):
    """A room. `pair` is the `pair_key` of a direct room's two members once both have joined."""

    room_id: str
    type: RoomType
    name: str
    description: str
    created_by: str
    created_at: str
    version: int = 1
    pair: str | None = None

    def new_member(
        self, user_id: str, role: str, name: str, joined_at: str, *, anonymous: bool = False
    ) -> "Member":
        return Member(
            room_id=self.room_id,
            user_id=user_id,
            role=role,
            room_type=self.type,
            display_name=name,
            joined_at=joined_at,
            anonymous=anonymous,
        )


class Member(Struct, frozen=True, kw_only=True):
    """A user's membership in a room, or their ban from it.

    `display_name` is the name at the time of joining. It is shown if the user has no profile.
    """

    room_id: str
    user_id: str
    role: str
    room_type: RoomType
    display_name: str
    joined_at: str
    anonymous: bool = False
    muted: bool = False
    version: int = 1

    @property
    def rank(self) -> int:
        """The rank of the role in RANKS, 0 for a banned user."""
        return RANKS.get(self.role, 0)  # type: ignore[call-overload, no-any-return]


class Counters(Struct, frozen=True, kw_only=True):
    """The frequently changing values of a room."""

    seq: int
    last_activity: str
    members: int
    max_members: int | None


class Head(Struct, frozen=True, kw_only=True):
    """The number and time of a room's last message. `seq` is 0 before the first message."""

    seq: int
    last_activity: str


class RoomFullError(Exception):
    """The room has reached its maximum number of members."""


class MemberExistsError(Exception):
    """The user is already a member of the room, or is banned from it."""

    def __init__(self, member: Member) -> None:
        super().__init__(member.role)
        self.member = member


class PairExistsError(Exception):
    """The two users already have a direct room."""

    def __init__(self, room_id: str) -> None:
        super().__init__(room_id)
        self.room_id = room_id


class ChangedError(Exception):
    """The item to write was changed or deleted after it was read."""


class RoomStore:
    """The tables of rooms and members.

    `events` are outbox entries, which are written in the same transaction as the change.
    """

    def __init__(self, items: Items, tables: ChatTables) -> None:
        self._items = items
        self._rooms = tables.rooms
        self._members = tables.members
        self._messages = tables.messages

    def create(
        self, room: Room, owner: Member, max_members: int | None, events: Sequence[Entry]
    ) -> None:
        counters = {"room_id": members_key(room.room_id), "members": 1, "max_members": max_members}
        entries = [
            put(self._rooms, _stored(room)),
            put(
                self._rooms,
                {"room_id": seq_key(room.room_id), "seq": 0, "last_activity": room.created_at},
            ),
            put(self._rooms, counters),
            put(self._members, to_builtins(owner)),
            *events,
        ]
        self._items.write(entries)

    def find(self, room_id: str, user_id: str) -> tuple[Room | None, Member | None]:
        """Returns the room, and the user's membership in it or ban from it."""
        room, member = self._items.read([self._room(room_id), self._member(room_id, user_id)])
        return (
            convert(room, Room) if room and "type" in room else None,
            convert(member, Member) if member else None,
        )

    def find_to_send(
        self, room_id: str, user_id: str
    ) -> tuple[Room | None, Member | None, Head | None]:
        """Returns the result of `find` and the room's head: one read for sending a message."""
        room, member, head = self._items.read(
            [self._room(room_id), self._member(room_id, user_id), self._room(seq_key(room_id))]
        )
        return (
            convert(room, Room) if room and "type" in room else None,
            convert(member, Member) if member else None,
            convert(head, Head) if head else None,
        )

    def head(self, room_id: str) -> Head | None:
        """Returns the number and time of the last message, or None if the room was deleted."""
        [head] = self._items.read([self._room(seq_key(room_id))])
        return convert(head, Head) if head else None

    def member(self, room_id: str, user_id: str) -> Member | None:
        return self.members_of(room_id, [user_id])[0]

    def members_of(self, room_id: str, user_ids: Sequence[str]) -> list[Member | None]:
        found = self._items.read([self._member(room_id, user_id) for user_id in user_ids])
        return [convert(item, Member) if item else None for item in found]

    def has_pair(self, pair: str) -> bool:
        """Returns True if the two users of this `pair_key` have a direct room."""
        return self._items.read([self._room(pair)]) != [None]

    def counters(self, room_id: str) -> Counters | None:
        """Returns the room's counters, or None if the room was deleted."""
        seq, members = self._items.read(
            [self._room(seq_key(room_id)), self._room(members_key(room_id))]
        )
        return _counters(seq, members)

    def rooms(
        self, room_ids: Sequence[str], user_id: str
    ) -> list[tuple[Room, Counters, Member | None]]:
        """Returns the existing rooms of these ids, with counters and the user's membership or ban."""
        keys = [
            key
            for room_id in room_ids
            for key in (
                self._room(room_id),
                self._room(seq_key(room_id)),
                self._room(members_key(room_id)),
                self._member(room_id, user_id),
            )
        ]
        found = self._items.read(keys)
        rooms = []
        for start in range(0, len(found), 4):
            room, seq, members, member = found[start : start + 4]
            counters = _counters(seq, members)
            if room and counters:
                rooms.append(
                    (convert(room, Room), counters, convert(member, Member) if member else None)
                )
        return rooms

    def of_user(
        self, user_id: str, room_type: RoomType | None, limit: int, after: str | None
    ) -> list[str]:
        """Returns up to `limit` ids of the user's rooms that follow the id `after`."""
        names, values = {"#role": "role"}, {":user": user_id, ":banned": BANNED}
        condition = "#role <> :banned"
        if room_type:
            values[":type"], condition = room_type, f"{condition} AND room_type = :type"
        found = self._items.pages(
            limit,
            TableName=self._members,
            IndexName=USER_INDEX,
            KeyConditionExpression="user_id = :user",
            FilterExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=pack(values),
            **_start({"user_id": user_id, "room_id": after} if after else None),
        )
        return [item["room_id"] for item in found]

    def of_type(self, room_type: RoomType, limit: int, after: str | None) -> list[str]:
        """Returns up to `limit` ids of rooms of this type that follow the id `after`."""
        found = self._items.pages(
            limit,
            TableName=self._rooms,
            IndexName=TYPE_INDEX,
            KeyConditionExpression="#type = :type",
            ExpressionAttributeNames={"#type": "type"},
            ExpressionAttributeValues=pack({":type": room_type}),
            **_start({"type": room_type, "room_id": after} if after else None),
        )
        return [item["room_id"] for item in found]

    def members(self, room_id: str, limit: int, after: str | None) -> list[Member]:
        """Returns up to `limit` members in user id order, after the user `after`, without bans."""
        found = self._items.pages(
            limit,
            TableName=self._members,
            ConsistentRead=True,
            KeyConditionExpression="room_id = :room",
            FilterExpression="#role <> :banned",
            ExpressionAttributeNames={"#role": "role"},
            ExpressionAttributeValues=pack({":room": room_id, ":banned": BANNED}),
            **_start({"room_id": room_id, "user_id": after} if after else None),
        )
        return [convert(item, Member) for item in found]

    def change(self, room: Room, max_members: int | None) -> Room:
        """Writes the new name, description and limit of a room, and returns the new version.

        Args:
            room: The new values, with the version that was read.
            max_members: The new limit. None keeps the limit.

        Raises:
            ChangedError: The room has another version now.
            RoomFullError: The room has more members than the new limit.
        """
        changed = structs.replace(room, version=room.version + 1)
        entries = [
            update(
                self._rooms,
                {"room_id": room.room_id},
                "SET #name = :name, description = :description, version = :next",
                {
                    ":name": room.name,
                    ":description": room.description,
                    ":next": changed.version,
                    ":read": room.version,
                },
                condition="version = :read",
                names={"#name": "name"},
            )
        ]
        if max_members is not None:
            entries.append(
                update(
                    self._rooms,
                    {"room_id": members_key(room.room_id)},
                    "SET max_members = :most",
                    {":most": max_members},
                    condition="members <= :most",
                )
            )
        try:
            self._items.write(entries)
        except ConditionsFailedError as error:
            raise (ChangedError if 0 in error.entries else RoomFullError)() from None
        return changed

    def remove(self, room_id: str, now: float) -> None:
        """Deletes the room, and writes a marker for the delivery function, which deletes the rest.

        Does nothing if the room does not exist. Raises Problem 503 if concurrent writes do not end.

        Args:
            room_id: The id of the room.
            now: The current time in seconds since the epoch.
        """
        ends_at = time.monotonic() + PATIENCE
        while time.monotonic() < ends_at:
            room, head = self._items.read([self._room(room_id), self._room(seq_key(room_id))])
            if not room or not head:
                return
            # Fails if a message was sent, a pair was set, or the room was deleted meanwhile.
            with suppress(ConditionsFailedError):
                self._items.write(self._removal(convert(room, Room), head["seq"], now))
                return
        raise room_busy()

    def _removal(self, room: Room, seq: int, now: float) -> list[Entry]:
        same_pair = {"condition": "pair = :pair", "values": {":pair": room.pair}}
        entries = [
            delete(
                self._rooms,
                {"room_id": seq_key(room.room_id)},
                condition="seq = :read",
                values={":read": seq},
            ),
            delete(
                self._rooms,
                {"room_id": room.room_id},
                **(same_pair if room.pair else {"condition": "attribute_not_exists(pair)"}),
            ),
            delete(self._rooms, {"room_id": members_key(room.room_id)}),
            put(self._messages, marker(room.room_id, seq, now)),
        ]
        return [*entries, delete(self._rooms, {"room_id": room.pair})] if room.pair else entries

    def add(self, member: Member, events: Sequence[Entry], pair: str | None = None) -> None:
        """Adds a member and counts them in one transaction, so concurrent joins respect the limit.

        Args:
            member: The new member.
            events: Outbox entries for the transaction.
            pair: The `pair_key` in a direct room. Two users have at most one direct room.

        Raises:
            RoomFullError: The room has reached its limit.
            MemberExistsError: The user is a member already, or banned.
            PairExistsError: The two users have a direct room already.
            ChangedError: The room was deleted.
        """
        room_id = member.room_id
        entries = [
            put(self._members, to_builtins(member), only_new="user_id"),
            update(
                self._rooms,
                {"room_id": members_key(room_id)},
                "SET members = members + :one",
                {":one": 1, ":none": None},
                condition="attribute_exists(members) AND (max_members = :none OR members < max_members)",
            ),
        ]
        if pair:
            entries += [
                put(self._rooms, {"room_id": pair, "room": room_id}, only_new="room_id"),
                update(
                    self._rooms,
                    {"room_id": room_id},
                    "SET pair = :pair",
                    {":pair": pair},
                    condition="attribute_exists(#type)",
                    names={"#type": "type"},
                ),
            ]
        try:
            self._items.write([*entries, *events])
        except ConditionsFailedError as error:
            if 0 in error.entries:
                existing = error.items.get(0) or to_builtins(
                    self.member(room_id, member.user_id) or member
                )
                raise MemberExistsError(convert(existing, Member)) from None
            if 2 in error.entries and pair:
                raise PairExistsError(error.items.get(2, {}).get("room", "")) from None
            raise (RoomFullError if self.counters(room_id) else ChangedError)() from None

    def end_membership(
        self,
        member: Member,
        events: Sequence[Entry],
        *,
        pair: str | None = None,
        ban: Member | None = None,
    ) -> None:
        """Deletes a membership, or replaces it with `ban`.

        Raises ChangedError if the membership has changed since it was read.
        """
        key = {"room_id": member.room_id, "user_id": member.user_id}
        membership_entry = (
            _replace_entry(self._members, member, ban)
            if ban
            else delete(
                self._members, key, condition="version = :read", values={":read": member.version}
            )
        )
        entries = [
            membership_entry,
            update(
                self._rooms,
                {"room_id": members_key(member.room_id)},
                "SET members = members - :one",
                {":one": 1},
                condition="attribute_exists(members)",
            ),
        ]
        if pair:
            entries += [
                delete(self._rooms, {"room_id": pair}),
                update(
                    self._rooms,
                    {"room_id": member.room_id},
                    "REMOVE pair",
                    {},
                    condition="attribute_exists(#type)",
                    names={"#type": "type"},
                ),
            ]
        self._write_unchanged([*entries, *events])

    def ban(self, ban: Member) -> None:
        """Bans a user who is not a member. Raises MemberExistsError if they are, or are banned."""
        try:
            self._items.write([put(self._members, to_builtins(ban), only_new="user_id")])
        except ConditionsFailedError as error:
            raise MemberExistsError(
                convert(error.items.get(0) or to_builtins(ban), Member)
            ) from None

    def unban(self, ban: Member) -> None:
        """Lifts a ban. Raises ChangedError if it has changed since it was read."""
        key = {"room_id": ban.room_id, "user_id": ban.user_id}
        condition = {"condition": "version = :read", "values": {":read": ban.version}}
        self._write_unchanged([delete(self._members, key, **condition)])  # type: ignore[arg-type]

    def replace(self, *changes: tuple[Member, Member]) -> None:
        """Replaces members in one transaction. Each change is the member as read and as it becomes.

        Raises ChangedError if any of them has changed since it was read.
        """
        self._write_unchanged(
            [_replace_entry(self._members, before, after) for before, after in changes]
        )

    def _write_unchanged(self, entries: Sequence[Entry]) -> None:
        try:
            self._items.write(entries)
        except ConditionsFailedError:
            raise ChangedError from None

    def _room(self, room_id: str) -> tuple[str, dict[str, str]]:
        return self._rooms, {"room_id": room_id}

    def _member(self, room_id: str, user_id: str) -> tuple[str, dict[str, str]]:
        return self._members, {"room_id": room_id, "user_id": user_id}


def seq_key(room_id: str) -> str:
    """Returns the key of a room's message counter in the rooms table."""
    return f"{room_id}#seq"


def members_key(room_id: str) -> str:
    """Returns the key of a room's member counter in the rooms table."""
    return f"{room_id}#members"


def pair_key(first: str, second: str) -> str:
    """Returns the key of the item that names two users' direct room. Their order does not matter."""
    return "direct#" + "#".join(sorted((first, second)))


def room_busy() -> Problem:
    return Problem.unavailable("The room is too busy. Try again shortly.", "room_busy")


def _replace_entry(table: str, before: Member, after: Member) -> Entry:
    entry = put(table, to_builtins(structs.replace(after, version=before.version + 1)))["Put"]
    return {
        "Put": {
            **entry,
            "ConditionExpression": "version = :read",
            "ExpressionAttributeValues": pack({":read": before.version}),
        }
    }


def _stored(room: Room) -> Item:
    return {name: value for name, value in to_builtins(room).items() if value is not None}


def _counters(seq: Item | None, members: Item | None) -> Counters | None:
    if not seq or not members:
        return None
    return Counters(
        seq=seq["seq"],
        last_activity=seq["last_activity"],
        members=members["members"],
        max_members=members["max_members"],
    )


def _start(key: dict[str, str] | None) -> dict[str, Any]:
    return {"ExclusiveStartKey": pack(key)} if key else {}
