"""Messages and attachments in DynamoDB.

A message gets the room's next number in the transaction that stores it, so numbers are unique and
have no gaps. A message's key consists of the room's id and this number. `list_after` reads messages
by key, with consistent reads. `list_before` queries MESSAGES_INDEX, which is sorted by time and
eventually consistent.

Attachments are separate items. In MESSAGES_INDEX, a room's attachments and its messages have
different partition keys. The delivery function queries the attachments' partition when the room is
deleted.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from msgspec import Struct, convert, to_builtins

from lambdas.chat.records import ChangedError, ChatTables, Head, seq_key
from lambdas.chat.rooms import CONFLICT_RETRY_TIME, room_busy
from lambdas.common.clock import SYSTEM_CLOCK, Clock, timestamp
from lambdas.common.live.chat_messages import (
    MESSAGES_INDEX,
    Attachment,
    Message,
    message_id,
    secondary_partition,
)
from lambdas.common.storage.dynamodb import ConditionFailedError, Entry, Key
from lambdas.common.storage.transactions import Transactions
from lambdas.common.storage.uploads import StoredObject
from lambdas.common.web.idempotency import RETENTION


class RepeatedError(Exception):
    """The message is already stored."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.message_id)
        self.message = message


class AttachmentUsedError(Exception):
    """The attachment already belongs to a message."""


class AttachmentRecord(Struct, frozen=True, kw_only=True):
    """An attachment, stored when its upload form is created.

    The record does not identify the uploader, who may be the author of an anonymous message.
    `stored_key` is the S3 key of the copy that members download. It is set when a message uses the
    attachment.
    """

    attachment_id: str
    room: str
    file_name: str
    content_type: str
    stored_key: str | None = None


class MessageStore:
    """The messages table, and the rooms' counters that assign numbers to messages."""

    def __init__(
        self, tables: ChatTables, transactions: Transactions, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._transactions = transactions
        self._messages = tables.messages
        self._rooms = tables.rooms
        self._idempotency = tables.idempotency
        self._clock = clock

    def append(
        self,
        room_id: str,
        head: Head,
        create_message: Callable[[int, str], Message],
        extra_entries: Callable[[Message], Mapping[str, Entry]],
        *,
        repeat_key: str | None = None,
        attachments: Sequence[tuple[Attachment, StoredObject]] = (),
        find_head: Callable[[str], Head | None],
    ) -> Message:
        """Stores a message as the last one of the room.

        Args:
            room_id: The id of the room.
            head: The number and time of the room's last message when the caller read them.
            create_message: Creates the message from its number and time.
            extra_entries: Returns more entries for the transaction, by name.
            repeat_key: A key in the idempotency table. Only one message is stored for each key.
            attachments: Uploads that become attachments of the message.
            find_head: Reads the room's current head.

        Raises:
            RepeatedError: A message was stored for `repeat_key` before.
            AttachmentUsedError: An attachment belongs to another message.
            ChangedError: The room was deleted.
            Problem: 503 if concurrent writes conflict for too long.
        """
        deadline = time.monotonic() + CONFLICT_RETRY_TIME
        while time.monotonic() < deadline:
            message = create_message(head.seq + 1, self._next_time(head))
            entries = {
                "head": self._rooms.build_update(
                    {"room_id": seq_key(room_id)},
                    "SET seq = :next, last_activity = :time",
                    condition="seq = :read",
                    values={":next": message.seq, ":time": message.timestamp, ":read": head.seq},
                    return_existing=True,
                ),
                "message": self._messages.build_put(to_builtins(message)),
                **extra_entries(message),
            }
            attachment_entries = {
                attachment.attachment_id: self._build_attachment_update(attachment, stored, message)
                for attachment, stored in attachments
            }
            if repeat_key:
                entries["repeat"] = self._build_repeat_record(repeat_key, message)
            try:
                self._transactions.write({**entries, **attachment_entries})
            except ConditionFailedError as error:
                if (
                    repeat_key
                    and "repeat" in error.failed
                    and (first := self.find_repeated(repeat_key))
                ):
                    raise RepeatedError(first) from None
                if not attachment_entries.keys().isdisjoint(error.failed):
                    raise AttachmentUsedError from None
                item = error.failed.get("head")
                new_head = convert(item, Head) if item else find_head(room_id)
                if new_head is None:
                    raise ChangedError from None
                head = new_head
            else:
                return message
        raise room_busy()

    def find(self, room_id: str, id_: str) -> Message | None:
        """Returns the room's message with this id, or None."""
        number = id_.removeprefix(f"{room_id}-")
        if number == id_ or not (number.isascii() and number.isdigit()):
            return None
        [item] = self._messages.get_many([_key(id_)])
        return convert(item, Message) if item else None

    def list_after(self, room_id: str, seq: int, last: int, limit: int) -> list[Message]:
        """Returns the messages that follow number `seq`, oldest first.

        Returns at most `limit` messages, and none after the number `last`.
        """
        numbers = range(seq + 1, min(seq + limit, last) + 1)
        keys = [_key(message_id(room_id, number)) for number in numbers]
        items = self._messages.get_many(keys)
        return [convert(item, Message) for item in items if item]

    def list_before(self, room_id: str, older_than: str | None, limit: int) -> list[Message]:
        """Returns up to `limit` messages older than this time, newest first."""
        condition, values, names = "room_id = :room", {":room": room_id}, dict[str, str]()
        if older_than:
            condition, values[":time"] = f"{condition} AND #time < :time", older_than
            names["#time"] = "timestamp"
        items = self._messages.query(
            condition,
            values,
            names=names,
            index=MESSAGES_INDEX,
            page_size=limit,
            newest_first=True,
        )
        return [convert(item, Message) for item in islice(items, limit)]

    def edit(self, message: Message, content: str) -> Message:
        """Replaces the content of a message. Raises ChangedError if the message has changed."""
        return self._change(
            message,
            "SET content = :content, is_edited = :true",
            {":content": content, ":true": True},
        )

    def erase(self, message: Message) -> Message:
        """Marks a message as deleted and removes its content. Its number is not used again.

        Raises ChangedError if the message has changed since it was read.
        """
        expression = "SET content = :nothing, is_deleted = :true"
        return self._change(
            message, expression, {":nothing": "", ":true": True}, " REMOVE attachments"
        )

    def add_attachment(self, record: AttachmentRecord) -> None:
        item = {
            **_indexed_item(record.room, _attachment_key(record.attachment_id)),
            **_to_item(record),
        }
        self._messages.put(item)

    def find_attachments(self, ids: Sequence[str]) -> list[AttachmentRecord | None]:
        items = self._messages.get_many([_key(_attachment_key(id_)) for id_ in ids])
        return [convert(item, AttachmentRecord) if item else None for item in items]

    def delete_attachments(self, ids: Sequence[str]) -> None:
        for id_ in ids:
            self._messages.delete(_key(_attachment_key(id_)))

    def _next_time(self, head: Head) -> str:
        """Returns the current time, but at least 1 ms after the last message's time."""
        now = timestamp(self._clock())
        if now > head.last_activity:
            return now
        return timestamp(
            (datetime.fromisoformat(head.last_activity) + timedelta(milliseconds=1)).timestamp()
        )

    def _build_attachment_update(
        self, attachment: Attachment, stored: StoredObject, message: Message
    ) -> Entry:
        return self._messages.build_update(
            _key(_attachment_key(attachment.attachment_id)),
            "SET stored_key = :key, message = :message",
            condition="attribute_exists(room) AND attribute_not_exists(stored_key)",
            values={":key": stored.key, ":message": message.message_id},
        )

    def _build_repeat_record(self, repeat_key: str, message: Message) -> Entry:
        now = int(self._clock())
        item = {
            "idempotency_key": repeat_key,
            "message_id": message.message_id,
            "expires_at": now + RETENTION,
        }
        return self._idempotency.build_put(
            item,
            condition="attribute_not_exists(idempotency_key) OR expires_at <= :now",
            values={":now": now},
        )

    def find_repeated(self, repeat_key: str) -> Message | None:
        """Returns the message that was stored for a `repeat_key`, or None."""
        record = self._idempotency.get({"idempotency_key": repeat_key})
        [item] = self._messages.get_many([_key(record["message_id"])]) if record else [None]
        return convert(item, Message) if item else None

    def _change(
        self, message: Message, expression: str, values: dict[str, Any], removal: str = ""
    ) -> Message:
        try:
            item = self._messages.update(
                _key(message.message_id),
                f"{expression}, version = :next{removal}",
                condition="version = :read",
                values={**values, ":next": message.version + 1, ":read": message.version},
                returns="ALL_NEW",
            )
        except ConditionFailedError:
            raise ChangedError from None
        return convert(item, Message)


def _key(id_: str) -> Key:
    return {"message_id": id_}


def _to_item(record: AttachmentRecord) -> dict[str, Any]:
    return {f: value for f in record.__struct_fields__ if (value := getattr(record, f)) is not None}


def _indexed_item(room_id: str, id_: str) -> dict[str, Any]:
    """Returns the keys of an item in the table and in MESSAGES_INDEX."""
    return {"message_id": id_, "room_id": secondary_partition(room_id), "timestamp": id_}


def _attachment_key(attachment_id: str) -> str:
    return f"attachment#{attachment_id}"
