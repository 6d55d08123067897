"""The conversations table: one item per conversation, with its latest messages."""

from itertools import islice
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct, convert, structs, to_builtins

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.storage.dynamodb import Expressions, Table, succeeds
from lambdas.common.web.http import Creation

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LIFETIME = 30 * 24 * 60 * 60
"""Seconds for which a conversation is stored after its last message (docs/api/ai.md)."""

MESSAGE_LIMIT = 100
"""Maximum messages in a conversation. The oldest messages are deleted first."""

SIZE_LIMIT = 256 * 1024
"""Maximum bytes of the texts of all messages in a conversation.

DynamoDB allows 400 KB per item. The longest question, context and answer together have 230 KB.
"""


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question, with an optional `context`, or an answer. `created_at` is RFC 3339.

    `request_id` is the `Creation.id` of the request that stored the message.
    """

    role: Literal["user", "assistant"]
    content: str
    created_at: str
    context: str | None = None
    request_id: str | None = None

    @property
    def size(self) -> int:
        """The number of bytes of the message's texts."""
        return len(self.content.encode()) + len((self.context or "").encode())


class Summary(Struct, frozen=True, kw_only=True):
    """The data of a conversation except its messages.

    `expires_at` is in seconds since the epoch.
    """

    conversation_id: str
    title: str
    message_count: int
    created_at: str
    updated_at: str
    version: int
    expires_at: int


class Conversation(Summary, frozen=True, kw_only=True):
    messages: tuple[Message, ...]

    def without_request(self, request_id: str | None) -> tuple[Message, ...]:
        """Returns the messages except those that this request stored."""
        return tuple(m for m in self.messages if m.request_id is None or m.request_id != request_id)


class ConversationStore(Protocol):
    """Stores conversations. Methods do not return expired conversations."""

    def find(self, user_id: str, conversation_id: str) -> Conversation | None: ...

    def save(self, user_id: str, conversation: Conversation) -> bool:
        """Stores a conversation. Returns False if it was changed or deleted since it was read."""

    def list_page(
        self, user_id: str, limit: int, before: str | None
    ) -> tuple[list[Summary], str | None]:
        """Returns the user's conversations, newest first, and the position of the next page.

        The page begins with the first conversation older than `before`.
        """

    def delete(self, user_id: str, conversation_id: str) -> bool:
        """Deletes a conversation. Returns True if it existed."""


class DynamoConversations:
    """Conversations in DynamoDB. The partition key is the user's id."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._table = Table(dynamodb, table)
        self._clock = clock

    def find(self, user_id: str, conversation_id: str) -> Conversation | None:
        item = self._table.get(_key(user_id, conversation_id))
        conversation = convert(item, Conversation) if item else None
        return conversation if conversation and conversation.expires_at > self._clock() else None

    def save(self, user_id: str, conversation: Conversation) -> bool:
        condition: Expressions = {"condition": "attribute_not_exists(user_id)"}
        if conversation.version > 1:
            condition = {
                "condition": "#version = :read",
                "names": {"#version": "version"},
                "values": {":read": conversation.version - 1},
            }
        return succeeds(
            lambda: self._table.put({"user_id": user_id, **to_builtins(conversation)}, **condition)
        )

    def list_page(
        self, user_id: str, limit: int, before: str | None
    ) -> tuple[list[Summary], str | None]:
        items = self._table.query(
            "user_id = :user_id",
            {":user_id": user_id, ":now": int(self._clock())},
            where="expires_at > :now",
            attributes=Summary.__struct_fields__,
            start_after=_key(user_id, before) if before is not None else None,
            page_size=limit + 1,
            newest_first=True,
        )
        summaries = [convert(item, Summary) for item in islice(items, limit + 1)]
        has_more = len(summaries) > limit
        return summaries[:limit], summaries[limit - 1].conversation_id if has_more else None

    def delete(self, user_id: str, conversation_id: str) -> bool:
        return succeeds(
            lambda: self._table.delete(
                _key(user_id, conversation_id),
                condition="expires_at > :now",
                values={":now": int(self._clock())},
            )
        )


def conversation_id_of(creation: Creation) -> str:
    """Returns the id of the conversation that a request starts.

    The ids sort by the time at which the requests started.
    """
    return f"{creation.started_at:012x}{creation.id[:24]}"


def append_messages(
    conversation: Conversation, added: tuple[Message, ...], now: str, expires_at: int
) -> Conversation:
    """Returns the conversation with new messages. Drops the oldest messages if there are more than
    the limits allow.

    If an earlier attempt of the same request stored messages, the new messages replace them.
    """
    messages = [*conversation.without_request(added[0].request_id if added else None), *added]
    size = sum(message.size for message in messages)
    while len(messages) > MESSAGE_LIMIT or (size > SIZE_LIMIT and len(messages) > len(added)):
        size -= messages.pop(0).size
    return structs.replace(
        conversation,
        messages=tuple(messages),
        message_count=len(messages),
        updated_at=now,
        expires_at=expires_at,
        version=conversation.version + 1,
    )


def _key(user_id: str, conversation_id: str) -> dict[str, str]:
    return {"user_id": user_id, "conversation_id": conversation_id}
