"""Aliases of anonymous authors. A user has one alias per context, for example per room. An alias
does not reveal its user.
"""

import hashlib
from typing import TYPE_CHECKING, Literal, Unpack

from msgspec import Struct, convert, to_builtins

from lambdas.common.clock import new_id
from lambdas.common.ids import Id
from lambdas.common.people.names import anonymous_name
from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import Expressions, Item, Key, Table, succeeds
from lambdas.common.storage.transactions import Transactions

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_DIGITS = (3,) * 10 + (6,) * 10
"""The number of digits in a new name, for each attempt to find an unused name. With 3 digits and 36
animals, 32,400 names are possible per context."""

ContextType = Literal["chat_room", "post", "comment"]


class Alias(Struct, frozen=True, kw_only=True, rename="camel"):
    """A user's alias within one context, such as a room. The id and the name are random."""

    alias_id: Id
    display_name: str
    context: str
    context_type: ContextType


class AliasStore:
    """Stores aliases by user and context.

    The key is a hash of user and context, so that the table does not reveal the user of an alias. A
    second item reserves the name, so that the aliases of a context have different names.
    """

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._table = Table(dynamodb, table)
        self._transactions = Transactions(dynamodb)

    def get_or_create(self, user_id: str, context_type: ContextType, context: str) -> Alias:
        """Returns the user's alias in a context, and creates it on first use."""
        key = _key(user_id, context_type, context)
        for digits in _DIGITS:
            existing = self._find(key)
            if existing is not None:
                return existing
            alias = self._create(
                key, context_type, context, digits, condition="attribute_not_exists(alias_key)"
            )
            if alias is not None:
                return alias
        raise Problem.unavailable()

    def regenerate(
        self, user_id: str, context_type: ContextType, context: str, alias_id: str
    ) -> Alias:
        """Replaces the user's alias in a context with a new alias whose id is `alias_id`.

        Safe to repeat. Existing posts, comments and messages keep the old alias.
        """
        key = _key(user_id, context_type, context)
        for digits in _DIGITS:
            existing = self._find(key)
            if existing is not None and existing.alias_id == alias_id:
                return existing
            alias = self._create(
                key,
                context_type,
                context,
                digits,
                alias_id=alias_id,
                condition="attribute_not_exists(alias_key) OR #alias.aliasId <> :id",
                names={"#alias": "alias"},
                values={":id": alias_id},
            )
            if alias is not None:
                return alias
        raise Problem.unavailable()

    def _create(
        self,
        key: Key,
        context_type: ContextType,
        context: str,
        digits: int,
        *,
        alias_id: str | None = None,
        **expressions: Unpack[Expressions],
    ) -> Alias | None:
        """Stores an alias with a new name. Returns None if the name is taken or a condition fails.

        A name stays reserved after its alias is replaced, because existing items still show it.
        """
        alias = Alias(
            alias_id=alias_id or new_id(),
            display_name=anonymous_name(digits),
            context=context,
            context_type=context_type,
        )
        name = {"alias_key": f"name#{context}#{alias.display_name}"}
        entries = {
            "name": self._table.build_put(name, condition="attribute_not_exists(alias_key)"),
            "alias": self._table.build_put(_item(key, alias), **expressions),
        }
        return alias if succeeds(lambda: self._transactions.write(entries)) else None

    def _find(self, key: Key) -> Alias | None:
        item = self._table.get(key)
        return convert(item["alias"], Alias) if item else None


def _item(key: Key, alias: Alias) -> Item:
    return {**key, "alias": to_builtins(alias)}


def _key(user_id: str, context_type: ContextType, context: str) -> Key:
    # The context is last, because clients choose it and could otherwise imitate another user's key.
    parts = f"{user_id}#{context_type}#{context}"
    return {"alias_key": hashlib.sha256(parts.encode()).hexdigest()}
