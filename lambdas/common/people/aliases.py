"""The names that users act under anonymously: one for each user and context, and nothing about it tells who stands behind it."""

from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError
from msgspec import Struct, convert, to_builtins

from lambdas.common.clock import new_id
from lambdas.common.people.names import anonymous_name
from lambdas.common.storage.dynamodb import condition_failed, pack, unpack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ContextType = Literal["chat_room", "post", "comment"]


class Alias(Struct, frozen=True, kw_only=True, rename="camel"):
    """A user's stand-in within one context (a room, a post ...). Its id and name are random: they follow from nothing."""

    alias_id: str
    display_name: str
    context: str
    context_type: ContextType


class AliasStore:
    """Aliases in a table, keyed by user and context: no other place ties an alias to its user."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def alias(self, user_id: str, context_type: ContextType, context: str) -> Alias:
        """The user's alias in that context, made at its first use; of two requests that make it at once both get the same."""
        key = pack({"alias_key": _alias_key(user_id, context_type, context)})
        found = self._find(key)
        if found is None:
            alias = _new(context_type, context)
            try:
                self._put(key, alias, ConditionExpression="attribute_not_exists(alias_key)")
            except ClientError as error:
                if not condition_failed(error):
                    raise
            else:
                return alias
            found = self._find(key)
            assert found is not None, "aliases are never removed"
        return found

    def regenerate(self, user_id: str, context_type: ContextType, context: str) -> Alias:
        """A new alias in place of the one so far, for what the user does there from now on."""
        alias = _new(context_type, context)
        self._put(pack({"alias_key": _alias_key(user_id, context_type, context)}), alias)
        return alias

    def _find(self, key: dict[str, Any]) -> Alias | None:
        item = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get(
            "Item"
        )
        return convert(unpack(item)["alias"], Alias) if item else None

    def _put(self, key: dict[str, Any], alias: Alias, **condition: Any) -> None:
        item = {**key, **pack({"alias": to_builtins(alias)})}
        self._dynamodb.put_item(TableName=self._table, Item=item, **condition)


def _new(context_type: ContextType, context: str) -> Alias:
    return Alias(
        alias_id=new_id(), display_name=anonymous_name(), context=context, context_type=context_type
    )


def _alias_key(user_id: str, context_type: ContextType, context: str) -> str:
    # The context comes last: it is the one part that a client chooses.
    return f"{user_id}#{context_type}#{context}"
