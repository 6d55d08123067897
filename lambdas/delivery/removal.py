"""What is left to do once a room is deleted: its messages and all that belonged to them are removed, in passes that may be repeated.

The room is gone for everybody from the moment of the transaction that deletes it. That transaction leaves a marker among the messages, of
which the stream tells; from then on the retry queue gives what is left, until nothing is. The marker goes last.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.live.chat_messages import (
    MESSAGES_INDEX,
    attachment_prefix,
    beside_messages,
    counts_id,
    marker_id,
    message_id,
    reacted_to,
)
from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import batch_delete, batch_get, pack, unpack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

PASS = 1000
"""Messages, or other items, of one pass: some hundred calls, a few of the function's 30 seconds, so that an invocation makes one."""

OBJECTS = 1000
"""Objects of one pass at most: S3 lists and deletes as many with one call each."""

SETTLING = 60
"""Seconds after a room's deletion for which it is looked at again: twice as long as a function runs that had found the room still
there, and long enough for an index to follow its table."""


class Rest(Struct, frozen=True, rename="camel"):
    """What is left of a deleted room: messages up to the number `seq`, and what else it had. `removed_at`: seconds since the epoch."""

    room_id: str
    seq: int
    removed_at: int


class Remains(Protocol):
    """What deleted rooms leave. Each method may be repeated; those that tell say whether they have found anything."""

    def remove_messages(self, room_id: str, numbers: Iterable[int]) -> None:
        """These messages, with their reactions' counts and the authors of anonymous ones."""

    def remove_beside(self, room_id: str) -> bool:
        """Some of what lies beside messages: reactions, with their counts, and attachments' records."""

    def remove_members(self, room_id: str) -> bool:
        """Some of the members and bans."""

    def remove_objects(self, room_id: str) -> bool:
        """Some of the attachments themselves."""

    def remove_marker(self, room_id: str) -> None: ...


class RoomRemoval:
    """Takes along what belongs to a deleted room."""

    def __init__(
        self, remains: Remains, later: Callable[[Rest], None], clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """`later` gives a rest back after a while, and raises whatever keeps it from being taken."""
        self._remains = remains
        self._later = later
        self._clock = clock

    def go_on(self, rest: Rest) -> None:
        """One pass, and word of what it leaves. Raises what the stores raise, upon which the same comes again."""
        remains, room_id = self._remains, rest.room_id
        if rest.seq > 0:
            before = max(0, rest.seq - PASS)
            remains.remove_messages(room_id, range(before + 1, rest.seq + 1))
            self._later(Rest(room_id, before, rest.removed_at))
            return
        found = [
            remains.remove_beside(room_id),
            remains.remove_members(room_id),
            remains.remove_objects(room_id),
        ]
        if any(found) or self._clock() < rest.removed_at + SETTLING:
            self._later(rest)
            return
        remains.remove_marker(room_id)


class StoredRemains:
    """Remains in DynamoDB and S3."""

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
        """Three tables and the attachments' bucket; `s3` gives the client at the first use."""
        self._dynamodb = dynamodb
        self._s3 = s3
        self._messages = messages
        self._members = members
        self._authors = authors
        self._attachments = attachments

    def remove_messages(self, room_id: str, numbers: Iterable[int]) -> None:
        ids = [message_id(room_id, number) for number in numbers]
        # Reading is cheaper than deleting what is not there, as most counts and authors are not.
        found = batch_get(
            self._dynamodb,
            self._messages,
            [{"message_id": id_} for one in ids for id_ in (counts_id(one), one)],
            ("message_id", "is_anonymous"),
            consistent=True,
        )
        anonymous = [{"item_id": item["message_id"]} for item in found if item.get("is_anonymous")]
        batch_delete(self._dynamodb, self._authors, anonymous)
        # What hangs on messages went first: should this end halfway, the messages left still tell of it.
        batch_delete(
            self._dynamodb, self._messages, [{"message_id": item["message_id"]} for item in found]
        )

    def remove_beside(self, room_id: str) -> bool:
        found = self._found(
            self._messages,
            ("message_id",),
            IndexName=MESSAGES_INDEX,
            KeyConditionExpression="room_id = :room",
            ExpressionAttributeValues=pack({":room": beside_messages(room_id)}),
        )
        # A reaction of the last moment has made counts again after those of its message had gone. They go first, for it tells of them.
        counted = {
            message for item in found if (message := reacted_to(room_id, item["message_id"]))
        }
        batch_delete(
            self._dynamodb,
            self._messages,
            [{"message_id": counts_id(message)} for message in counted],
        )
        batch_delete(self._dynamodb, self._messages, found)
        return bool(found)

    def remove_members(self, room_id: str) -> bool:
        found = self._found(
            self._members,
            ("room_id", "user_id"),
            ConsistentRead=True,
            KeyConditionExpression="room_id = :room",
            ExpressionAttributeValues=pack({":room": room_id}),
        )
        batch_delete(self._dynamodb, self._members, found)
        return bool(found)

    def remove_objects(self, room_id: str) -> bool:
        s3, bucket = self._s3(), self._attachments
        found = s3.list_objects_v2(
            Bucket=bucket, Prefix=attachment_prefix(room_id), MaxKeys=OBJECTS
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
        batch_delete(self._dynamodb, self._messages, [{"message_id": marker_id(room_id)}])

    def _found(self, table: str, key: tuple[str, ...], **query: Any) -> list[dict[str, Any]]:
        """The keys of a pass."""
        answer = self._dynamodb.query(
            TableName=table, Limit=PASS, ProjectionExpression=", ".join(key), **query
        )
        return [unpack(item) for item in answer["Items"]]
