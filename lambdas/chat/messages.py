"""Messages, reactions and attachments in DynamoDB.

A message takes the room's next number in the transaction that stores it, so numbers have no gap and no two messages one number. Its
key is the room's id and that number: whatever follows a number is read by keys, consistently, while the index of a room's messages by
time may lag behind and serves the pages of its history.

Other things of a message are items beside it. The index has them under a name of their own, so that they can be found when the room
goes, except for the counts of reactions, whose keys follow from the messages'.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from msgspec import Struct, convert

from lambdas.chat.rooms import PATIENCE, ChangedError, Head, room_busy, seq_key
from lambdas.chat.store import ChatTables, Items, delete, put, update
from lambdas.common.clock import SYSTEM_CLOCK, Clock, timestamp
from lambdas.common.live.chat_messages import (
    MESSAGES_INDEX,
    Attachment,
    Message,
    beside_messages,
    counts_id,
    message_id,
    reaction_id,
)
from lambdas.common.storage.dynamodb import condition_failed, pack, unpack
from lambdas.common.storage.transactions import ConditionsFailedError, Entry
from lambdas.common.storage.uploads import StoredObject
from lambdas.common.web.idempotency import RETENTION

_REACTION = (
    "+"  # before an emoji in an attribute's name, so that none is taken for another attribute
)


class Repeat(Struct, frozen=True):
    """What makes a message a repeat of an earlier one: a key among the platform's idempotency keys."""

    key: str


class RepeatedError(Exception):
    """The message was stored before."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.message_id)
        self.message = message


class AttachmentUsedError(Exception):
    """A message has the attachment already."""


class AttachmentRecord(Struct, frozen=True, kw_only=True):
    """What is known of an attachment from its upload on; `stored_key` is where it is served from once a message has it."""

    attachment_id: str
    room: str
    uploader: str
    file_name: str
    content_type: str
    stored_key: str | None = None


class MessageStore:
    """The table of messages, and the counters that number them."""

    def __init__(self, items: Items, tables: ChatTables, clock: Clock = SYSTEM_CLOCK) -> None:
        self._items = items
        self._messages = tables.messages
        self._rooms = tables.rooms
        self._idempotency = tables.idempotency
        self._clock = clock

    def append(
        self,
        room_id: str,
        head: Head,
        draft: Callable[[int, str], Message],
        beside: Callable[[Message], Sequence[Entry]],
        *,
        repeat: Repeat | None = None,
        attachments: Sequence[tuple[Attachment, StoredObject]] = (),
        find_head: Callable[[str], Head | None],
    ) -> Message:
        """Stores a message as the room's next.

        Args:
            head: where the room's messages ended when they were read last; when it has moved, the number is taken again.
            draft: makes the message of its number and its time.
            beside: what else belongs into its transaction.
            repeat: it is stored once for this.
            attachments: uploads that become the message's.
            find_head: reads where the room's messages end.

        Raises RepeatedError, AttachmentUsedError, ChangedError when the room is gone, and Problem 503 when others write without end.
        """
        ends_at = time.monotonic() + PATIENCE
        while time.monotonic() < ends_at:
            message = draft(head.seq + 1, self._next_time(head))
            own = [
                update(
                    self._rooms,
                    {"room_id": seq_key(room_id)},
                    "SET seq = :next, last_activity = :time",
                    {":next": message.seq, ":time": message.timestamp, ":read": head.seq},
                    condition="seq = :read",
                ),
                {"Put": {"TableName": self._messages, "Item": message.item()}},
                *(self._attach(attachment, stored, message) for attachment, stored in attachments),
            ]
            marks = [self._mark(repeat, message)] if repeat else []
            try:
                self._items.write([*own, *marks, *beside(message)])
            except ConditionsFailedError as error:
                if marks and len(own) in error.entries and (first := self._first(repeat)):
                    raise RepeatedError(first) from None
                if any(2 <= index < len(own) for index in error.entries):
                    raise AttachmentUsedError from None
                found = error.items.get(0)
                moved = convert(found, Head) if found else find_head(room_id)
                if moved is None:
                    raise ChangedError from None
                head = moved
            else:
                return message
        raise room_busy()

    def find(self, room_id: str, id_: str) -> Message | None:
        """The room's message of that id."""
        number = id_.removeprefix(f"{room_id}-")
        if number == id_ or not (number.isascii() and number.isdigit()):
            return None
        [item] = self._items.read([self._key(id_)])
        return convert(item, Message) if item else None

    def after(self, room_id: str, seq: int, last: int, limit: int) -> list[Message]:
        """Up to `limit` messages that follow number `seq`, up to number `last`, oldest first; consistent."""
        numbers = range(seq + 1, min(seq + limit, last) + 1)
        found = self._items.read([self._key(message_id(room_id, number)) for number in numbers])
        return [convert(item, Message) for item in found if item]

    def before(self, room_id: str, older_than: str | None, limit: int) -> list[Message]:
        """Up to `limit` messages older than that time, newest first."""
        values = {":room": room_id, **({":time": older_than} if older_than else {})}
        names = {"ExpressionAttributeNames": {"#time": "timestamp"}} if older_than else {}
        answer = self._items.dynamodb.query(
            TableName=self._messages,
            IndexName=MESSAGES_INDEX,
            KeyConditionExpression="room_id = :room" + (" AND #time < :time" if older_than else ""),
            ExpressionAttributeValues=pack(values),
            ScanIndexForward=False,
            Limit=limit,
            **names,  # type: ignore[arg-type]
        )
        # A page of 1 MB holds 100 of the longest messages.
        return [Message.of(item) for item in answer["Items"]]

    def edit(self, message: Message, content: str) -> Message:
        """Raises ChangedError when it has changed since it was read."""
        return self._change(
            message,
            "SET content = :content, is_edited = :true",
            {":content": content, ":true": True},
        )

    def blank(self, message: Message) -> Message:
        """Marks a message deleted and removes what it said; its number stays taken. Raises ChangedError."""
        expression = "SET content = :nothing, is_deleted = :true"
        return self._change(
            message, expression, {":nothing": "", ":true": True}, " REMOVE attachments"
        )

    def react(self, message: Message, emoji: str, user_id: str) -> bool:
        """Counts the user's reaction; False when it has been."""
        return self._count(
            message,
            emoji,
            1,
            put(
                self._messages,
                _beside(message.room_id, reaction_id(message.message_id, emoji, user_id)),
                only_new="message_id",
            ),
        )

    def take_back(self, message: Message, emoji: str, user_id: str) -> bool:
        """Takes the user's reaction back; False when there is none."""
        key = {"message_id": reaction_id(message.message_id, emoji, user_id)}
        return self._count(
            message,
            emoji,
            -1,
            delete(self._messages, key, condition="attribute_exists(message_id)"),
        )

    def reactions(
        self, ids: Sequence[str], *, consistent: bool = False
    ) -> dict[str, dict[str, int]]:
        """Counts by emoji for each of these messages."""
        found = self._items.read([self._key(counts_id(id_)) for id_ in ids], consistent=consistent)
        return {
            id_: {
                name.removeprefix(_REACTION): count
                for name, count in (item or {}).items()
                if name.startswith(_REACTION) and count > 0
            }
            for id_, item in zip(ids, found, strict=True)
        }

    def add_attachment(self, record: AttachmentRecord) -> None:
        item = {**_beside(record.room, _attachment(record.attachment_id)), **_present(record)}
        self._items.dynamodb.put_item(TableName=self._messages, Item=pack(item))

    def attachments(self, ids: Sequence[str]) -> list[AttachmentRecord | None]:
        found = self._items.read([self._key(_attachment(id_)) for id_ in ids])
        return [convert(item, AttachmentRecord) if item else None for item in found]

    def detach(self, ids: Sequence[str]) -> None:
        """Forgets attachments."""
        for id_ in ids:
            self._items.dynamodb.delete_item(
                TableName=self._messages, Key=pack({"message_id": _attachment(id_)})
            )

    def _next_time(self, head: Head) -> str:
        """Now, and later than the room's last message by whichever clock that got its time."""
        now = timestamp(self._clock())
        if now > head.last_activity:
            return now
        return timestamp(
            (datetime.fromisoformat(head.last_activity) + timedelta(milliseconds=1)).timestamp()
        )

    def _attach(self, attachment: Attachment, stored: StoredObject, message: Message) -> Entry:
        return update(
            self._messages,
            {"message_id": _attachment(attachment.attachment_id)},
            "SET stored_key = :key, message = :message",
            {":key": stored.key, ":message": message.message_id},
            condition="attribute_exists(uploader) AND attribute_not_exists(stored_key)",
        )

    def _mark(self, repeat: Repeat, message: Message) -> Entry:
        now = int(self._clock())
        item = {
            "idempotency_key": repeat.key,
            "message_id": message.message_id,
            "expires_at": now + RETENTION,
        }
        return {
            "Put": {
                "TableName": self._idempotency,
                "Item": pack(item),
                "ConditionExpression": "attribute_not_exists(idempotency_key) OR expires_at <= :now",
                "ExpressionAttributeValues": pack({":now": now}),
            }
        }

    def _first(self, repeat: Repeat | None) -> Message | None:
        assert repeat is not None
        mark = self._items.dynamodb.get_item(
            TableName=self._idempotency,
            Key=pack({"idempotency_key": repeat.key}),
            ConsistentRead=True,
        ).get("Item")
        [item] = self._items.read([self._key(unpack(mark)["message_id"])]) if mark else [None]
        return convert(item, Message) if item else None

    def _change(
        self, message: Message, expression: str, values: dict[str, Any], removal: str = ""
    ) -> Message:
        try:
            answer = self._items.dynamodb.update_item(
                TableName=self._messages,
                Key=pack({"message_id": message.message_id}),
                UpdateExpression=f"{expression}, version = :next{removal}",
                ConditionExpression="version = :read",
                ExpressionAttributeValues=pack(
                    {**values, ":next": message.version + 1, ":read": message.version}
                ),
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            if condition_failed(error):
                raise ChangedError from None
            raise
        return Message.of(answer["Attributes"])

    def _count(self, message: Message, emoji: str, by: int, mark: Entry) -> bool:
        counts = update(
            self._messages,
            {"message_id": counts_id(message.message_id)},
            "ADD #emoji :by",
            {":by": by},
            # Where somebody reacted there are counts, unless the room goes at this moment: then none are made again.
            condition="attribute_exists(message_id)" if by < 0 else None,
            names={"#emoji": f"{_REACTION}{emoji}"},
        )
        try:
            self._items.write([mark, counts])
        except ConditionsFailedError:
            return False
        return True

    def _key(self, id_: str) -> tuple[str, dict[str, str]]:
        return self._messages, {"message_id": id_}


def _present(record: AttachmentRecord) -> dict[str, Any]:
    return {f: value for f in record.__struct_fields__ if (value := getattr(record, f)) is not None}


def _beside(room_id: str, id_: str) -> dict[str, Any]:
    """An item that the index has, apart from messages: by its key, since it needs no time."""
    return {"message_id": id_, "room_id": beside_messages(room_id), "timestamp": id_}


def _attachment(attachment_id: str) -> str:
    return f"attachment#{attachment_id}"
