"""Removes the messages and other data of deleted rooms. Each invocation removes a limited number of
items (a pass), and is safe to repeat.

The chat function deletes the room's own items and stores a marker in the messages table, in one
transaction. The table's stream reports the marker, and the retry queue then triggers passes until
no data is left. The last pass deletes the marker.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.live.chat_messages import (
    MESSAGES_INDEX,
    attachment_prefix,
    counts_id,
    message_id,
    reacted_message_id,
    removal_marker_id,
    secondary_partition,
)
from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

ITEMS_PER_PASS = 1000
"""Maximum messages that one invocation deletes, with their reaction counts and author records.

When no messages are left, an invocation deletes at most this number of members, and at most this
number of reactions and attachment records together. An invocation makes at most about 150 calls,
which take a few seconds. The function's timeout is 30 seconds.
"""

OBJECTS_PER_PASS = 1000
"""Maximum objects that one invocation deletes: the limit of an S3 list call or delete call."""

SETTLING_TIME = 60
"""Seconds after a room's deletion for which passes are repeated. A function that read the room
before the deletion may still write for up to 30 s, and the messages table's index receives changes
late."""


class PendingRemoval(Struct, frozen=True, rename="camel"):
    """A deleted room. Its messages with numbers up to `seq` have not been removed yet.

    `seq` is 0 if no messages are left. `removed_at` is in seconds since the epoch.
    """

    room_id: str
    seq: int
    removed_at: int


class RoomData:
    """Removes the data of deleted rooms from DynamoDB and S3.

    All methods are idempotent. `remove_secondary_items`, `remove_members` and `remove_objects`
    return True if they removed something.
    """

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        s3: "Callable[[], S3Client]",
        *,
        messages: str,
        members: str,
        authors: str,
        attachments: str,
    ) -> None:
        """The last four arguments are the names of tables and of the attachments' bucket."""
        self._s3 = s3
        self._messages = Table(dynamodb, messages)
        self._members = Table(dynamodb, members)
        self._authors = Table(dynamodb, authors)
        self._attachments = attachments

    def remove_messages(self, room_id: str, numbers: Iterable[int]) -> None:
        """Removes messages, their reaction counts, and their items in the authors table."""
        ids = [message_id(room_id, number) for number in numbers]
        # Deleting an item that does not exist costs more than reading it. Most messages have no
        # reaction counts, and only anonymous messages have an item in the authors table.
        keys = [{"message_id": id_} for message in ids for id_ in (counts_id(message), message)]
        found = [item for item in self._messages.get_many(keys, ("is_anonymous",)) if item]
        anonymous = (item["message_id"] for item in found if item.get("is_anonymous"))
        self._authors.delete_many({"item_id": id_} for id_ in anonymous)
        # Messages are deleted after their items in the authors table, so that this method is safe
        # to repeat.
        self._messages.delete_many({"message_id": item["message_id"]} for item in found)

    def remove_secondary_items(self, room_id: str) -> bool:
        """Removes up to ITEMS_PER_PASS reactions (with their counts) and attachment records."""
        found = self._messages.query(
            "room_id = :room",
            {":room": secondary_partition(room_id)},
            index=MESSAGES_INDEX,
            attributes=("message_id",),
            page_size=ITEMS_PER_PASS,
        )
        keys = list(islice(found, ITEMS_PER_PASS))
        # A late reaction may have created the counts again after its message was removed. Such
        # counts are found only through the keys of reactions, so they are deleted before the
        # reactions.
        counted = {
            message for key in keys if (message := reacted_message_id(room_id, key["message_id"]))
        }
        self._messages.delete_many({"message_id": counts_id(message)} for message in counted)
        self._messages.delete_many(keys)
        return bool(keys)

    def remove_members(self, room_id: str) -> bool:
        """Removes up to ITEMS_PER_PASS members and bans."""
        found = self._members.query(
            "room_id = :room",
            {":room": room_id},
            attributes=("room_id", "user_id"),
            page_size=ITEMS_PER_PASS,
            consistent=True,
        )
        keys = list(islice(found, ITEMS_PER_PASS))
        self._members.delete_many(keys)
        return bool(keys)

    def remove_objects(self, room_id: str) -> bool:
        """Removes up to OBJECTS_PER_PASS attachments."""
        s3, bucket = self._s3(), self._attachments
        found = s3.list_objects_v2(
            Bucket=bucket, Prefix=attachment_prefix(room_id), MaxKeys=OBJECTS_PER_PASS
        )
        keys: list[ObjectIdentifierTypeDef] = [
            {"Key": item["Key"]} for item in found.get("Contents", [])
        ]
        if keys and s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True}).get(
            "Errors"
        ):
            raise Problem.unavailable()
        return bool(keys)

    def remove_marker(self, room_id: str) -> None:
        self._messages.delete_many([{"message_id": removal_marker_id(room_id)}])


class RoomRemoval:
    """Removes the data of deleted rooms, a limited number of items per call."""

    def __init__(
        self, data: RoomData, enqueue: Callable[[PendingRemoval], None], clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """`enqueue` queues the next invocation for a removal, with a delay."""
        self._data = data
        self._enqueue = enqueue
        self._clock = clock

    def run_pass(self, removal: PendingRemoval) -> None:
        """Removes a part of a room's data and queues the removal of the rest. Safe to repeat after
        an error.
        """
        data, room_id = self._data, removal.room_id
        if removal.seq > 0:
            before = max(0, removal.seq - ITEMS_PER_PASS)
            data.remove_messages(room_id, range(before + 1, removal.seq + 1))
            self._enqueue(PendingRemoval(room_id, before, removal.removed_at))
            return
        removed = [
            data.remove_secondary_items(room_id),
            data.remove_members(room_id),
            data.remove_objects(room_id),
        ]
        if any(removed) or self._clock() < removal.removed_at + SETTLING_TIME:
            self._enqueue(removal)
            return
        data.remove_marker(room_id)
