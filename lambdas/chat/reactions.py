"""Reactions to messages in DynamoDB.

For each message, one item has the counts by emoji, and one item per user has the emoji with which
the user reacted. Both items change in one transaction.
"""

from collections.abc import Sequence

from lambdas.chat.records import ChangedError, ChatTables
from lambdas.common.live.chat_messages import Message, counts_id, reactions_id, secondary_partition
from lambdas.common.storage.dynamodb import ConditionFailedError, Entry, Key
from lambdas.common.storage.transactions import Transactions
from lambdas.common.web.preconditions import repeat_if_changed

PER_USER = 10
"""The maximum number of emoji with which a user can react to a message."""

PER_MESSAGE = 50
"""The maximum number of different emoji per message. 50 emoji take 2 KB of a response."""

_COUNT = "+"
"""The prefix of attributes that count reactions. The rest of the attribute's name is the emoji. The
prefix distinguishes these attributes from others."""


class TooManyReactionsError(Exception):
    """The user or the message already has the maximum number of different emoji."""


class ReactionStore:
    """Stores reactions in the messages table."""

    def __init__(self, tables: ChatTables, transactions: Transactions) -> None:
        self._transactions = transactions
        self._messages = tables.messages

    def read_counts(
        self, ids: Sequence[str], *, consistent: bool = False
    ) -> dict[str, dict[str, int]]:
        """Returns the reaction counts by emoji for each message id."""
        keys = [_key(counts_id(id_)) for id_ in ids]
        items = self._messages.get_many(keys, consistent=consistent)
        return {
            id_: {
                name.removeprefix(_COUNT): count
                for name, count in (item or {}).items()
                if name.startswith(_COUNT)
            }
            for id_, item in zip(ids, items, strict=True)
        }

    @repeat_if_changed(ChangedError)
    def add(self, message: Message, emoji: str, user_id: str) -> bool:
        """Stores and counts the user's reaction. Returns False if it exists already.

        Raises TooManyReactionsError.
        """
        key = reactions_id(message.message_id, user_id)
        reaction = self._messages.build_update(
            _key(key),
            "SET room_id = :index, #timestamp = :key ADD emojis :emojis",
            condition="attribute_not_exists(emojis) "
            "OR (NOT contains(emojis, :emoji) AND size(emojis) < :most)",
            names={"#timestamp": "timestamp"},
            values={
                # The partition key in MESSAGES_INDEX. When the room is deleted, the delivery
                # function finds the item by this key.
                ":index": secondary_partition(message.room_id),
                ":key": key,
                ":emojis": {emoji},
                ":emoji": emoji,
                ":most": PER_USER,
            },
            return_existing=True,
        )
        if emoji in self._counts_of(message):
            count = self._build_count(message, emoji, "ADD #emoji :one", "attribute_exists(#emoji)")
        else:
            count = self._build_count(
                message,
                emoji,
                "SET #emoji = :one ADD different :one",
                "attribute_not_exists(#emoji) "
                "AND (attribute_not_exists(different) OR different < :most)",
                most=PER_MESSAGE,
            )
        try:
            self._transactions.write({"reaction": reaction, "count": count})
        except ConditionFailedError as error:
            if "reaction" in error.failed:
                if emoji in error.failed["reaction"]["emojis"]:
                    return False
                raise TooManyReactionsError(
                    f"You can react to a message with at most {PER_USER} different emoji."
                ) from None
            counts = error.failed["count"]
            if counts.get("different", 0) >= PER_MESSAGE and f"{_COUNT}{emoji}" not in counts:
                raise TooManyReactionsError(
                    f"A message can have at most {PER_MESSAGE} different emoji."
                ) from None
            raise ChangedError from None
        return True

    @repeat_if_changed(ChangedError)
    def remove(self, message: Message, emoji: str, user_id: str) -> bool:
        """Deletes the user's reaction. Returns False if it does not exist."""
        reaction = self._messages.build_update(
            _key(reactions_id(message.message_id, user_id)),
            "DELETE emojis :emojis",
            condition="contains(emojis, :emoji)",
            values={":emojis": {emoji}, ":emoji": emoji},
        )
        current = self._counts_of(message).get(emoji)
        if current is None:
            return False
        if current == 1:
            count = self._build_count(
                message, emoji, "REMOVE #emoji ADD different :less", "#emoji = :one", less=-1
            )
        else:
            count = self._build_count(message, emoji, "ADD #emoji :less", "#emoji > :one", less=-1)
        try:
            self._transactions.write({"reaction": reaction, "count": count})
        except ConditionFailedError as error:
            if "reaction" in error.failed:
                return False
            raise ChangedError from None
        return True

    def _counts_of(self, message: Message) -> dict[str, int]:
        id_ = message.message_id
        return self.read_counts([id_], consistent=True)[id_]

    def _build_count(
        self, message: Message, emoji: str, expression: str, condition: str, **values: int
    ) -> Entry:
        numbers = {":one": 1, **{f":{name}": value for name, value in values.items()}}
        used = f"{expression} {condition}"
        return self._messages.build_update(
            _key(counts_id(message.message_id)),
            expression,
            condition=condition,
            names={"#emoji": f"{_COUNT}{emoji}"},
            # DynamoDB rejects values that no expression uses.
            values={name: value for name, value in numbers.items() if name in used},
            return_existing=True,
        )


def _key(id_: str) -> Key:
    return {"message_id": id_}
