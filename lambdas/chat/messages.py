"""Messages, reactions and attachments in DynamoDB.

A message gets the room's next number in the transaction that stores it, so numbers are unique and
have no gaps. Its key consists of the room's id and this number. Messages after a number are read
by key, consistently. The eventually consistent index of messages by time serves the history.

Reactions and attachments are separate items. The index has them under another partition key, so
that they are found when the room is deleted. Reaction counts are not in the index, because their
keys follow from the messages' keys.
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
from lambdas.common.storage.dynamodb import Entry, condition_failed, pack, unpack
from lambdas.common.storage.transactions import ConditionsFailedError
from lambdas.common.storage.uploads import StoredObject
from lambdas.common.web.idempotency import RETENTION

_REACTION = "+"
"""The prefix of an emoji in an attribute name, which prevents clashes with other attributes."""


class Repeat(Struct, frozen=True):
    """Identifies repeats of a message by a key in the platform's idempotency table."""

    key: str


class RepeatedError(Exception):
    """The message is already stored."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.message_id)
        self.message = message


class AttachmentUsedError(Exception):
    """The attachment already belongs to a message."""


class AttachmentRecord(Struct, frozen=True, kw_only=True):
    """An attachment, recorded from its upload on.

    `stored_key` is the S3 key of the served object, set once a message has the attachment.
    """

    attachment_id: str
    room: str
    uploader: str
    file_name: str
    content_type: str
    stored_key: str | None = None


class MessageStore:
    """The table of messages, and the counters that assign their numbers."""

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
        extra_entries: Callable[[Message], Sequence[Entry]],
        *,
        repeat: Repeat | None = None,
        attachments: Sequence[tuple[Attachment, StoredObject]] = (),
        find_head: Callable[[str], Head | None],
    ) -> Message:
        """Stores a message as the last one of the room.

        Args:
            room_id: The id of the room.
            head: The room's head as it was read. If it has changed, the next number is used.
            draft: Creates the message from its number and time.
            extra_entries: Returns further entries for the transaction.
            repeat: Only one message is stored for this key.
            attachments: Uploads that become attachments of the message.
            find_head: Reads the room's current head.

        Raises:
            RepeatedError: A message was stored for `repeat` before.
            AttachmentUsedError: An attachment belongs to another message.
            ChangedError: The room was deleted.
            Problem: 503 if concurrent writes do not end.
        """
        ends_at = time.monotonic() + PATIENCE
        while time.monotonic() < ends_at:
            message = draft(head.seq + 1, self._next_time(head))
            entries = [
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
                self._items.write([*entries, *marks, *extra_entries(message)])
            except ConditionsFailedError as error:
                if (
                    marks
                    and len(entries) in error.entries
                    and (first := self._find_repeated(repeat))
                ):
                    raise RepeatedError(first) from None
                if any(2 <= index < len(entries) for index in error.entries):
                    raise AttachmentUsedError from None
                item = error.items.get(0)
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
        [item] = self._items.read([self._key(id_)])
        return convert(item, Message) if item else None

    def after(self, room_id: str, seq: int, last: int, limit: int) -> list[Message]:
        """Returns up to `limit` messages after `seq` and up to `last`, oldest first, consistently."""
        numbers = range(seq + 1, min(seq + limit, last) + 1)
        found = self._items.read([self._key(message_id(room_id, number)) for number in numbers])
        return [convert(item, Message) for item in found if item]

    def before(self, room_id: str, older_than: str | None, limit: int) -> list[Message]:
        """Returns up to `limit` messages older than this time, newest first."""
        values = {":room": room_id, **({":time": older_than} if older_than else {})}
        names = {"ExpressionAttributeNames": {"#time": "timestamp"}} if older_than else {}
        page = self._items.dynamodb.query(
            TableName=self._messages,
            IndexName=MESSAGES_INDEX,
            KeyConditionExpression="room_id = :room" + (" AND #time < :time" if older_than else ""),
            ExpressionAttributeValues=pack(values),
            ScanIndexForward=False,
            Limit=limit,
            **names,  # type: ignore[arg-type]
        )
        # A DynamoDB page of 1 MB holds at least 100 messages of the maximum length.
        return [Message.of(item) for item in page["Items"]]

    def edit(self, message: Message, content: str) -> Message:
        """Replaces the content. Raises ChangedError if the message has changed since it was read."""
        return self._change(
            message,
            "SET content = :content, is_edited = :true",
            {":content": content, ":true": True},
        )

    def blank(self, message: Message) -> Message:
        """Marks a message as deleted and removes its content. Its number is not used again.

        Raises ChangedError if the message has changed since it was read.
        """
        expression = "SET content = :nothing, is_deleted = :true"
        return self._change(
            message, expression, {":nothing": "", ":true": True}, " REMOVE attachments"
        )

    def add_reaction(self, message: Message, emoji: str, user_id: str) -> bool:
        """Stores and counts the user's reaction. Returns False if it exists already."""
        return self._count(
            message,
            emoji,
            1,
            put(
                self._messages,
                _indexed_item(message.room_id, reaction_id(message.message_id, emoji, user_id)),
                only_new="message_id",
            ),
        )

    def remove_reaction(self, message: Message, emoji: str, user_id: str) -> bool:
        """Deletes the user's reaction. Returns False if it does not exist."""
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
        """Returns the reaction counts by emoji for each message id."""
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
        item = {
            **_indexed_item(record.room, _attachment_key(record.attachment_id)),
            **_set_fields(record),
        }
        self._items.dynamodb.put_item(TableName=self._messages, Item=pack(item))

    def attachments(self, ids: Sequence[str]) -> list[AttachmentRecord | None]:
        found = self._items.read([self._key(_attachment_key(id_)) for id_ in ids])
        return [convert(item, AttachmentRecord) if item else None for item in found]

    def detach(self, ids: Sequence[str]) -> None:
        """Deletes the records of attachments."""
        for id_ in ids:
            self._items.dynamodb.delete_item(
                TableName=self._messages, Key=pack({"message_id": _attachment_key(id_)})
            )

    def _next_time(self, head: Head) -> str:
        """Returns the current time, or 1 ms after the last message if clocks differ."""
        now = timestamp(self._clock())
        if now > head.last_activity:
            return now
        return timestamp(
            (datetime.fromisoformat(head.last_activity) + timedelta(milliseconds=1)).timestamp()
        )

    def _attach(self, attachment: Attachment, stored: StoredObject, message: Message) -> Entry:
        return update(
            self._messages,
            {"message_id": _attachment_key(attachment.attachment_id)},
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

    def _find_repeated(self, repeat: Repeat | None) -> Message | None:
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
            response = self._items.dynamodb.update_item(
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
        return Message.of(response["Attributes"])

    def _count(self, message: Message, emoji: str, by: int, mark: Entry) -> bool:
        counts = update(
            self._messages,
            {"message_id": counts_id(message.message_id)},
            "ADD #emoji :by",
            {":by": by},
            # Does not create the item again if the room is being deleted.
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


def _set_fields(record: AttachmentRecord) -> dict[str, Any]:
    return {f: value for f in record.__struct_fields__ if (value := getattr(record, f)) is not None}


def _indexed_item(room_id: str, id_: str) -> dict[str, Any]:
    """Returns an item for the index, apart from messages. Its key replaces the time to sort by."""
    return {"message_id": id_, "room_id": beside_messages(room_id), "timestamp": id_}


def _attachment_key(attachment_id: str) -> str:
    return f"attachment#{attachment_id}"
