"""Rooms and their members in DynamoDB.

A room's counters (members; `seq` and last activity) are separate items of the rooms table. As
attributes of the room's item, each change would rewrite the index of rooms by type. They have no
`type` attribute, so the index does not contain them.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice

from msgspec import Struct, convert, structs, to_builtins

from lambdas.chat.models import Role, RoomType
from lambdas.common.live.chat_messages import marker
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


class ChatTables(Struct, frozen=True, kw_only=True):
    """The tables of the chat service."""

    rooms: Table
    members: Table
    messages: Table
    idempotency: Table


class RoomStore:
    """The tables of rooms and members.

    `event` is an outbox entry, which is written in the same transaction as the change.
    """

    def __init__(self, tables: ChatTables, transactions: Transactions) -> None:
        self._transactions = transactions
        self._rooms = tables.rooms
        self._members = tables.members
        self._messages = tables.messages

    def create(self, room: Room, owner: Member, max_members: int | None, event: Entry) -> None:
        head = {"room_id": seq_key(room.room_id), "seq": 0, "last_activity": room.created_at}
        counters = {"room_id": members_key(room.room_id), "members": 1, "max_members": max_members}
        entries = {
            "room": self._rooms.build_put(_stored(room)),
            "head": self._rooms.build_put(head),
            "counters": self._rooms.build_put(counters),
            "owner": self._members.build_put(to_builtins(owner)),
            "event": event,
        }
        self._transactions.write(entries)

    def find(self, room_id: str, user_id: str) -> tuple[Room | None, Member | None]:
        """Returns the room, and the user's membership in it or ban from it."""
        room, member = get_from_tables([self._room(room_id), self._member(room_id, user_id)])
        return (
            convert(room, Room) if room and "type" in room else None,
            convert(member, Member) if member else None,
        )

    def find_to_send(
        self, room_id: str, user_id: str
    ) -> tuple[Room | None, Member | None, Head | None]:
        """Returns the result of `find` and the room's head: one read for sending a message."""
        room, member, head = get_from_tables(
            [self._room(room_id), self._member(room_id, user_id), self._room(seq_key(room_id))]
        )
        return (
            convert(room, Room) if room and "type" in room else None,
            convert(member, Member) if member else None,
            convert(head, Head) if head else None,
        )

    def head(self, room_id: str) -> Head | None:
        """Returns the number and time of the last message, or None if the room was deleted."""
        [head] = get_from_tables([self._room(seq_key(room_id))])
        return convert(head, Head) if head else None

    def member(self, room_id: str, user_id: str) -> Member | None:
        return self.members_of(room_id, [user_id])[0]

    def members_of(self, room_id: str, user_ids: Sequence[str]) -> list[Member | None]:
        found = get_from_tables([self._member(room_id, user_id) for user_id in user_ids])
        return [convert(item, Member) if item else None for item in found]

    def has_pair(self, pair: str) -> bool:
        """Returns True if the two users of this `pair_key` have a direct room."""
        return get_from_tables([self._room(pair)]) != [None]

    def counters(self, room_id: str) -> Counters | None:
        """Returns the room's counters, or None if the room was deleted."""
        seq, members = get_from_tables(
            [self._room(seq_key(room_id)), self._room(members_key(room_id))]
        )
        return _counters(seq, members)

    def rooms(
        self, room_ids: Sequence[str], user_id: str
    ) -> list[tuple[Room, Counters, Member | None]]:
        """Returns the existing rooms, with counters and the user's membership or ban."""
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
        found = get_from_tables(keys)
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
        values, where = {":user": user_id, ":banned": BANNED}, "#role <> :banned"
        if room_type:
            values[":type"], where = room_type, f"{where} AND room_type = :type"
        found = self._members.query(
            "user_id = :user",
            values,
            names={"#role": "role"},
            where=where,
            index=USER_INDEX,
            start_after={"user_id": user_id, "room_id": after} if after else None,
            page_size=limit,
        )
        return [item["room_id"] for item in islice(found, limit)]

    def of_type(self, room_type: RoomType, limit: int, after: str | None) -> list[str]:
        """Returns up to `limit` ids of rooms of this type that follow the id `after`."""
        found = self._rooms.query(
            "#type = :type",
            {":type": room_type},
            names={"#type": "type"},
            index=TYPE_INDEX,
            start_after={"type": room_type, "room_id": after} if after else None,
            page_size=limit,
        )
        return [item["room_id"] for item in islice(found, limit)]

    def members(self, room_id: str, limit: int, after: str | None) -> list[Member]:
        """Returns up to `limit` members in user id order, after the user `after`, without bans."""
        found = self._members.query(
            "room_id = :room",
            {":room": room_id, ":banned": BANNED},
            names={"#role": "role"},
            where="#role <> :banned",
            start_after={"room_id": room_id, "user_id": after} if after else None,
            page_size=limit,
            consistent=True,
        )
        return [convert(item, Member) for item in islice(found, limit)]

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
        if max_members is not None:
            entries["limit"] = self._rooms.build_update(
                {"room_id": members_key(room.room_id)},
                "SET max_members = :most",
                condition="members <= :most",
                values={":most": max_members},
            )
        try:
            self._transactions.write(entries)
        except ConditionFailedError as error:
            raise (ChangedError if "room" in error.failed else RoomFullError)() from None
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
            room, head = get_from_tables([self._room(room_id), self._room(seq_key(room_id))])
            if not room or not head:
                return
            # Fails if a message was sent, a pair was set, or the room was deleted meanwhile.
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
            "marker": self._messages.build_put(marker(room.room_id, seq, now)),
        }
        if room.pair:
            entries["pair"] = self._rooms.build_delete({"room_id": room.pair})
        return entries

    def add(self, member: Member, event: Entry, pair: str | None = None) -> None:
        """Adds a member and counts them in one transaction, so concurrent joins respect the limit.

        Args:
            member: The new member.
            event: The outbox entry for the transaction.
            pair: The `pair_key` in a direct room. Two users have at most one direct room.

        Raises:
            RoomFullError: The room has reached its limit.
            MemberExistsError: The user is a member already, or banned.
            PairExistsError: The two users have a direct room already.
            ChangedError: The room was deleted.
        """
        room_id = member.room_id
        entries = {
            "member": self._members.build_put(
                to_builtins(member),
                condition="attribute_not_exists(user_id)",
                return_existing=True,
            ),
            "counters": self._rooms.build_update(
                {"room_id": members_key(room_id)},
                "SET members = members + :one",
                condition="attribute_exists(members) "
                "AND (max_members = :none OR members < max_members)",
                values={":one": 1, ":none": None},
            ),
            "event": event,
        }
        if pair:
            entries["pair"] = self._rooms.build_put(
                {"room_id": pair, "room": room_id},
                condition="attribute_not_exists(room_id)",
                return_existing=True,
            )
            entries["room"] = self._build_pair_update(room_id, "SET pair = :pair", {":pair": pair})
        try:
            self._transactions.write(entries)
        except ConditionFailedError as error:
            if "member" in error.failed:
                existing = error.failed["member"] or to_builtins(
                    self.member(room_id, member.user_id) or member
                )
                raise MemberExistsError(convert(existing, Member)) from None
            if "pair" in error.failed:
                raise PairExistsError(error.failed["pair"].get("room", "")) from None
            raise (RoomFullError if self.counters(room_id) else ChangedError)() from None

    def end_membership(
        self,
        member: Member,
        event: Entry,
        *,
        pair: str | None = None,
        ban: Member | None = None,
    ) -> None:
        """Deletes a membership, or replaces it with `ban`.

        Raises ChangedError if the membership has changed since it was read.
        """
        delete = self._members.build_delete(_key(member), **_unchanged(member))
        entries = {
            "membership": self._build_replacement(member, ban) if ban else delete,
            "counters": self._rooms.build_update(
                {"room_id": members_key(member.room_id)},
                "SET members = members - :one",
                condition="attribute_exists(members)",
                values={":one": 1},
            ),
            "event": event,
        }
        if pair:
            entries["pair"] = self._rooms.build_delete({"room_id": pair})
            entries["room"] = self._build_pair_update(member.room_id, "REMOVE pair")
        self._write_unchanged(entries)

    def ban(self, ban: Member) -> None:
        """Bans a user who is not a member. Raises MemberExistsError if they are, or are banned."""
        put = self._members.build_put(
            to_builtins(ban), condition="attribute_not_exists(user_id)", return_existing=True
        )
        try:
            self._transactions.write({"ban": put})
        except ConditionFailedError as error:
            existing = error.failed["ban"] or to_builtins(ban)
            raise MemberExistsError(convert(existing, Member)) from None

    def unban(self, ban: Member) -> None:
        """Lifts a ban. Raises ChangedError if it has changed since it was read."""
        try:
            self._members.delete(_key(ban), **_unchanged(ban))
        except ConditionFailedError:
            raise ChangedError from None

    def replace(self, *changes: tuple[Member, Member]) -> None:
        """Replaces members in one transaction. Each change is the member as read and as it becomes.

        Raises ChangedError if any of them has changed since it was read.
        """
        self._write_unchanged(
            {before.user_id: self._build_replacement(before, after) for before, after in changes}
        )

    def _build_replacement(self, before: Member, after: Member) -> Entry:
        item = to_builtins(structs.replace(after, version=before.version + 1))
        return self._members.build_put(item, **_unchanged(before))

    def _build_pair_update(
        self, room_id: str, expression: str, values: Mapping[str, str] | None = None
    ) -> Entry:
        """Returns the entry that updates `pair` of a room. It fails if the room was deleted."""
        return self._rooms.build_update(
            {"room_id": room_id},
            expression,
            condition="attribute_exists(#type)",
            names={"#type": "type"},
            values=values or {},
        )

    def _write_unchanged(self, entries: Mapping[str, Entry]) -> None:
        try:
            self._transactions.write(entries)
        except ConditionFailedError:
            raise ChangedError from None

    def _room(self, room_id: str) -> tuple[Table, Key]:
        return self._rooms, {"room_id": room_id}

    def _member(self, room_id: str, user_id: str) -> tuple[Table, Key]:
        return self._members, {"room_id": room_id, "user_id": user_id}


def seq_key(room_id: str) -> str:
    """Returns the key of a room's message counter in the rooms table."""
    return f"{room_id}#seq"


def members_key(room_id: str) -> str:
    """Returns the key of a room's member counter in the rooms table."""
    return f"{room_id}#members"


def pair_key(first: str, second: str) -> str:
    """Returns the key of the item that names two users' direct room, in any order."""
    return "direct#" + "#".join(sorted((first, second)))


def room_busy() -> Problem:
    return Problem.unavailable("The room is too busy. Try again shortly.", "room_busy")


def _key(member: Member) -> Key:
    return {"room_id": member.room_id, "user_id": member.user_id}


def _unchanged(member: Member) -> Expressions:
    return {"condition": "version = :read", "values": {":read": member.version}}


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
