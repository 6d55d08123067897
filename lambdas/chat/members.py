"""Members of rooms and bans from rooms in DynamoDB."""

from collections.abc import Mapping
from itertools import islice

from msgspec import convert, structs, to_builtins

from lambdas.chat.records import (
    BANNED,
    ChangedError,
    ChatTables,
    Member,
    MemberExistsError,
    PairExistsError,
    RoomFullError,
    members_key,
)
from lambdas.common.storage.dynamodb import ConditionFailedError, Entry, Expressions, Key
from lambdas.common.storage.transactions import Transactions


class MemberStore:
    """The table of members, and the counters and pairs in the table of rooms.

    `event` is an outbox entry, which is written in the same transaction as the change.
    """

    def __init__(self, tables: ChatTables, transactions: Transactions) -> None:
        self._transactions = transactions
        self._members = tables.members
        self._rooms = tables.rooms

    def find(self, room_id: str, user_id: str) -> Member | None:
        """Returns the user's membership in the room or ban from it."""
        [item] = self._members.get_many([{"room_id": room_id, "user_id": user_id}])
        return convert(item, Member) if item else None

    def has_pair(self, pair: str) -> bool:
        """Returns True if the two users of this `pair_key` have a direct room."""
        return self._rooms.get_many([{"room_id": pair}]) != [None]

    def list_page(self, room_id: str, limit: int, after: str | None) -> list[Member]:
        """Returns up to `limit` members in user id order, after the user `after`, without bans."""
        items = self._members.query(
            "room_id = :room",
            {":room": room_id, ":banned": BANNED},
            names={"#role": "role"},
            where="#role <> :banned",
            start_after={"room_id": room_id, "user_id": after} if after else None,
            page_size=limit,
            consistent=True,
        )
        return [convert(item, Member) for item in islice(items, limit)]

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
                returned = error.failed["member"]
                existing = convert(returned, Member) if returned else None
                raise MemberExistsError(
                    existing or self.find(room_id, member.user_id) or member
                ) from None
            if "pair" in error.failed:
                raise PairExistsError(error.failed["pair"].get("room", "")) from None
            is_deleted = self._rooms.get_many([{"room_id": members_key(room_id)}]) == [None]
            raise (ChangedError if is_deleted else RoomFullError)() from None

    def end(
        self, member: Member, event: Entry, *, pair: str | None = None, ban: Member | None = None
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


def _key(member: Member) -> Key:
    return {"room_id": member.room_id, "user_id": member.user_id}


def _unchanged(member: Member) -> Expressions:
    return {"condition": "version = :read", "values": {":read": member.version}}
