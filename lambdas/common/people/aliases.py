"""Aliases of anonymous authors: one per user and context, which does not reveal the user."""

import hashlib
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, convert, to_builtins

from lambdas.common.clock import new_id
from lambdas.common.people.names import anonymous_name
from lambdas.common.storage.dynamodb import ConditionFailedError, Item, Key, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ContextType = Literal["chat_room", "post", "comment"]


class Alias(Struct, frozen=True, kw_only=True, rename="camel"):
    """A user's alias within one context, such as a room. Its id and name are random."""

    alias_id: str
    display_name: str
    context: str
    context_type: ContextType


class AliasStore:
    """Stores aliases by user and context.

    An alias leads to its user only if one knows both the user's id and the context.
    """

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._table = Table(dynamodb, table)

    def alias(self, user_id: str, context_type: ContextType, context: str) -> Alias:
        """Returns the user's alias in a context, and creates it on first use."""
        key = _key(user_id, context_type, context)
        existing = self._find(key)
        if existing is None:
            alias = _new(context_type, context)
            try:
                self._table.put(_item(key, alias), condition="attribute_not_exists(alias_key)")
            except ConditionFailedError:
                existing = self._find(key)
                assert existing is not None, "aliases are never removed"
            else:
                return alias
        return existing

    def regenerate(self, user_id: str, context_type: ContextType, context: str) -> Alias:
        """Replaces the user's alias in a context, for future actions there."""
        alias = _new(context_type, context)
        self._table.put(_item(_key(user_id, context_type, context), alias))
        return alias

    def _find(self, key: Key) -> Alias | None:
        item = self._table.get(key)
        return convert(item["alias"], Alias) if item else None


def _item(key: Key, alias: Alias) -> Item:
    return {**key, "alias": to_builtins(alias)}


def _new(context_type: ContextType, context: str) -> Alias:
    return Alias(
        alias_id=new_id(), display_name=anonymous_name(), context=context, context_type=context_type
    )


def _key(user_id: str, context_type: ContextType, context: str) -> Key:
    # A hash, so that the table does not list the users who are anonymous somewhere. The context is
    # last because it is the only part that a client chooses.
    parts = f"{user_id}#{context_type}#{context}"
    return {"alias_key": hashlib.sha256(parts.encode()).hexdigest()}
