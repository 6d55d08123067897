"""Tests that an alias is stable, can be replaced, and does not reveal the user."""

import random
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from lambdas.common.people import names
from lambdas.common.people.aliases import AliasStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def aliases(dynamodb: "DynamoDBClient", table: Callable[..., str]) -> AliasStore:
    return AliasStore(dynamodb, table("alias_key"))


def test_only_the_same_user_and_context_have_the_same_alias(aliases: AliasStore) -> None:
    first = aliases.get_or_create("user-1", "post", "p-1")
    assert re.fullmatch(r"Anonymous_[A-Z][a-z]+_\d{3}", first.display_name)
    assert (first.context_type, first.context) == ("post", "p-1")
    assert aliases.get_or_create("user-1", "post", "p-1") == first
    others = [
        aliases.get_or_create("user-2", "post", "p-1"),
        aliases.get_or_create("user-1", "comment", "p-1"),
        aliases.get_or_create("user-1", "post", "p-2"),
        aliases.get_or_create("user-1", "chat_room", "p-1"),
    ]
    assert len({alias.alias_id for alias in [first, *others]}) == 5


def test_a_separator_in_a_context_does_not_select_the_alias_of_another_context(
    aliases: AliasStore,
) -> None:
    ids = {
        aliases.get_or_create("u", "post", context).alias_id
        for context in ("a#b", "a", "#a", "comment#a", "post#a")
    }
    assert len({aliases.get_or_create("u", "comment", "a").alias_id, *ids}) == 6


def test_regenerating_replaces_the_alias_of_one_context_only(aliases: AliasStore) -> None:
    before, elsewhere = (
        aliases.get_or_create("user-1", "post", "p-1"),
        aliases.get_or_create("user-1", "post", "p-2"),
    )
    after = aliases.regenerate("user-1", "post", "p-1", "id-1")
    assert after.alias_id != before.alias_id
    assert aliases.get_or_create("user-1", "post", "p-1") == after
    assert aliases.get_or_create("user-1", "post", "p-2") == elsewhere


def test_an_alias_can_be_regenerated_before_its_first_use(aliases: AliasStore) -> None:
    regenerated = aliases.regenerate("user-1", "chat_room", "r-1", "id-1")
    assert aliases.get_or_create("user-1", "chat_room", "r-1") == regenerated


def test_regenerating_an_alias_again_with_the_same_id_changes_nothing(
    aliases: AliasStore, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    before = aliases.get_or_create("user-1", "post", "p-1")
    after = aliases.regenerate("user-1", "post", "p-1", "id-1")
    assert after.alias_id == "id-1" != before.alias_id
    assert aliases.regenerate("user-1", "post", "p-1", "id-1") == after
    find = aliases._find
    # The second attempt reads the alias before the first attempt replaces it.
    stale_reads = [before]
    monkeypatch.setattr(
        aliases, "_find", lambda key: stale_reads.pop() if stale_reads else find(key)
    )
    assert aliases.regenerate("user-1", "post", "p-1", "id-1") == after
    assert aliases.get_or_create("user-1", "post", "p-1") == after


def test_concurrent_requests_get_the_same_alias(
    aliases: AliasStore, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    read = dynamodb.get_item
    rival: list[Any] = []

    def read_before_another_request(**arguments: Any) -> Any:
        response = read(**arguments)
        if not rival:
            rival.append(None)
            rival[0] = aliases.get_or_create("user-1", "post", "p-1")
        return response

    monkeypatch.setattr(dynamodb, "get_item", read_before_another_request)
    assert aliases.get_or_create("user-1", "post", "p-1") == rival[0]


def test_an_alias_does_not_reveal_the_user(dynamodb: "DynamoDBClient", aliases: AliasStore) -> None:
    first = aliases.get_or_create("user-1", "post", "p-1")
    for item in dynamodb.scan(TableName="alias_key-table")["Items"]:
        dynamodb.delete_item(TableName="alias_key-table", Key={"alias_key": item["alias_key"]})
    second = aliases.get_or_create("user-1", "post", "p-1")
    assert first.alias_id != second.alias_id
    assert "user-1" not in str(first)


def test_no_two_aliases_of_a_context_have_the_same_name(
    aliases: AliasStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With only one animal, most attempts choose a name that is taken.
    monkeypatch.setattr(names, "ANIMALS", ("Panda",))
    monkeypatch.setattr("secrets.randbelow", lambda _below: random.randrange(6))  # noqa: S311
    display_names = [
        aliases.get_or_create(f"user-{n}", "post", "p-1").display_name for n in range(3)
    ]
    display_names.append(aliases.get_or_create("user-9", "comment", "p-1").display_name)
    display_names.append(aliases.regenerate("user-1", "post", "p-1", "id-1").display_name)
    assert len(set(display_names)) == 5
