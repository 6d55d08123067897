"""Tests the store of the authors of anonymous items, on moto."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from lambdas.common.people.authors import AuthorStore
from lambdas.common.storage.transactions import Transactions

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def authors(dynamodb: "DynamoDBClient", table: Callable[..., str]) -> AuthorStore:
    return AuthorStore(dynamodb, table("item_id"))


def test_the_author_is_stored_and_deleted_with_the_item(
    dynamodb: "DynamoDBClient", authors: AuthorStore
) -> None:
    transactions = Transactions(dynamodb)
    assert authors.author_of("post-1") is None
    transactions.write(
        {"first": authors.build_put("post-1", "ann"), "second": authors.build_put("post-2", "bob")}
    )
    assert (authors.author_of("post-1"), authors.author_of("post-2")) == ("ann", "bob")
    transactions.write({"first": authors.build_delete("post-1")})
    assert (authors.author_of("post-1"), authors.author_of("post-2")) == (None, "bob")
