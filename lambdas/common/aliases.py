"""The names that users act under anonymously: one for each user and context, and nothing about it tells who stands behind it."""

from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError
from msgspec import Struct, convert, to_builtins

from lambdas.common.clock import new_id
from lambdas.common.dynamodb import pack, transaction_condition_failed, unpack
from lambdas.common.names import anonymous_name

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
    """Aliases in a table, the only place that knows who stands behind one.

    It has two items for an alias: the one by user and context is how the user gets the same alias again, the one by alias id is how the
    owner's own edits, and moderation, find the user. A replaced alias keeps the second, so that what it wrote remains its owner's.
    """

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def alias(self, user_id: str, context_type: ContextType, context: str) -> Alias:
        """The user's alias in that context, made at its first use; of two requests that make it at once both get the same."""
        key = _user_key(user_id, context_type, context)
        found = self._find(key)
        if found is None:
            alias = _new(context_type, context)
            if self._write(key, user_id, alias, only_first=True):
                return alias
            found = self._find(key)
            assert found is not None, "aliases are never removed"
        return found

    def regenerate(self, user_id: str, context_type: ContextType, context: str) -> Alias:
        """A new alias in place of the one so far."""
        alias = _new(context_type, context)
        self._write(_user_key(user_id, context_type, context), user_id, alias, only_first=False)
        return alias

    def user_behind(self, alias_id: str) -> str | None:
        """The id of the user whose alias this is or was; None if it is no alias. For no answer, event or log to tell."""
        item = self._dynamodb.get_item(TableName=self._table, Key=_key(_alias_key(alias_id)), ConsistentRead=True).get(
            "Item"
        )
        return unpack(item)["user_id"] if item else None

    def _find(self, key: str) -> Alias | None:
        item = self._dynamodb.get_item(TableName=self._table, Key=_key(key), ConsistentRead=True).get("Item")
        return convert(unpack(item)["alias"], Alias) if item else None

    def _write(self, key: str, user_id: str, alias: Alias, *, only_first: bool) -> bool:
        """Writes both items or none; False when it should be the first and is not."""
        by_user = {"alias_key": key, "alias": to_builtins(alias)}
        by_alias = {"alias_key": _alias_key(alias.alias_id), "user_id": user_id}
        puts: list[Any] = [{"Put": {"TableName": self._table, "Item": pack(item)}} for item in (by_user, by_alias)]
        if only_first:
            puts[0]["Put"]["ConditionExpression"] = "attribute_not_exists(alias_key)"
        try:
            self._dynamodb.transact_write_items(TransactItems=puts)
        except ClientError as error:
            if only_first and transaction_condition_failed(error):
                return False
            raise
        return True


def _new(context_type: ContextType, context: str) -> Alias:
    return Alias(alias_id=new_id(), display_name=anonymous_name(), context=context, context_type=context_type)


def _key(alias_key: str) -> dict[str, Any]:
    return pack({"alias_key": alias_key})


def _user_key(user_id: str, context_type: ContextType, context: str) -> str:
    # The context comes last: it is the one part that a client chooses.
    return f"user#{user_id}#{context_type}#{context}"


def _alias_key(alias_id: str) -> str:
    return f"alias#{alias_id}"
