"""Stores memberships, bans and mutes in DynamoDB."""

from collections.abc import Mapping
from itertools import islice

from msgspec import convert, structs, to_builtins

from lambdas.chat.records import (
    BANNED,
    FORMER,
    OWNER,
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
    """Writes the members table, and two kinds of items of the rooms table.

    These are the rooms' member counters, and the items that map a `pair_key` to a direct room.

    The argument `event` is an outbox entry, which is written in the same transaction.
    """

    def __init__(self, tables: ChatTables, transactions: Transactions) -> None:
        self._transactions = transactions
        self._members = tables.members
        self._rooms = tables.rooms

    def find(self, room_id: str, user_id: str) -> Member | None:
        """Returns the user's membership, their ban, or their mute as a former member, or None."""
        [item] = self._members.get_many([{"room_id": room_id, "user_id": user_id}])
        return convert(item, Member) if item else None

    def has_pair(self, pair: str) -> bool:
        """Returns True if the two users of this `pair_key` have a direct room."""
        return self._rooms.get_many([{"room_id": pair}]) != [None]

    def list_page(
        self, room_id: str, limit: int, after: str | None, *, role: str | None = None
    ) -> list[Member]:
        """Returns up to `limit` members, sorted by user id.

        If `role` is given, returns the users with that role instead. `after` is the user id that
        precedes the first result.
        """
        values, where = {":banned": BANNED, ":former": FORMER}, "NOT #role IN (:banned, :former)"
        if role:
            values, where = {":role": role}, "#role = :role"
        items = self._members.query(
            "room_id = :room",
            {":room": room_id, **values},
            names={"#role": "role"},
            where=where,
            start_after={"room_id": room_id, "user_id": after} if after else None,
            page_size=limit,
            consistent=True,
        )
        return [convert(item, Member) for item in islice(items, limit)]

    def add(self, member: Member, event: Entry, pair: str | None = None) -> Member:
        """Adds a member, unless the room is full. Increments the counter in the same transaction.

        Returns the stored member. An earlier mute of the user still applies.

        Args:
            member: The new member.
            event: The outbox entry for the transaction.
            pair: In a direct room, the `pair_key` of its users, who can have only one such room.

        Raises:
            RoomFullError: The room has reached its limit.
            MemberExistsError: The user is a member already, or banned.
            PairExistsError: The two users have a direct room already.
            ChangedError: The room was deleted.
        """
        put = self._members.build_put(
            to_builtins(member), condition="attribute_not_exists(user_id)", return_existing=True
        )
        while True:
            try:
                self._add(member, put, event, pair)
            except MemberExistsError as error:
                former = error.member
                if former.role != FORMER:
                    raise
                member = structs.replace(member, muted=former.muted, version=former.version + 1)
                put = self._build_replacement(former, member, return_existing=True)
            else:
                return member

    def _add(self, member: Member, put: Entry, event: Entry, pair: str | None) -> None:
        room_id = member.room_id
        entries = {
            "member": put,
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
        self,
        member: Member,
        event: Entry,
        *,
        pair: str | None = None,
        replacement: Member | None = None,
        new_owner: Member | None = None,
    ) -> None:
        """Ends a user's membership of a room.

        Args:
            member: The membership as it was read.
            event: The outbox entry for the transaction.
            pair: The `pair_key` of a direct room's two members. The item with this key is deleted.
            replacement: The ban, or the mute of a former member, that replaces the membership.
            new_owner: The member who becomes the owner of the room.

        Raises:
            ChangedError: The membership or the new owner has changed since it was read.
        """
        delete = self._members.build_delete(_key(member), **_unchanged(member))
        entries = {
            "membership": self._build_replacement(member, replacement) if replacement else delete,
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
        if new_owner:
            owner = structs.replace(new_owner, role=OWNER)
            entries["new_owner"] = self._build_replacement(new_owner, owner)
        self._write_unchanged(entries)

    def ban(self, ban: Member) -> None:
        """Bans a user who has no item in the members table.

        Raises ChangedError if the user has an item.
        """
        try:
            self._members.put(to_builtins(ban), condition="attribute_not_exists(user_id)")
        except ConditionFailedError:
            raise ChangedError from None

    def forget(self, record: Member) -> None:
        """Deletes the item of a user who is not a member.

        Raises ChangedError if it has changed since it was read.
        """
        try:
            self._members.delete(_key(record), **_unchanged(record))
        except ConditionFailedError:
            raise ChangedError from None

    def replace(self, *changes: tuple[Member, Member]) -> None:
        """Updates members in one transaction.

        Each change is a pair: the member as it was read, and the member with the new values.

        Raises ChangedError if any member has changed since it was read.
        """
        self._write_unchanged(
            {before.user_id: self._build_replacement(before, after) for before, after in changes}
        )

    def _build_replacement(
        self, before: Member, after: Member, *, return_existing: bool = False
    ) -> Entry:
        item = to_builtins(structs.replace(after, version=before.version + 1))
        unchanged: Expressions = {**_unchanged(before), "return_existing": return_existing}
        return self._members.build_put(item, **unchanged)

    def _build_pair_update(
        self, room_id: str, expression: str, values: Mapping[str, str] | None = None
    ) -> Entry:
        """Returns the transaction entry that sets or removes a room's `pair`.

        The entry makes its transaction fail if the room is deleted.
        """
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
