"""The true authors of anonymous items, against an in-process DynamoDB."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from lambdas.common.people.authors import AuthorStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def authors(dynamodb: "DynamoDBClient", table: Callable[..., str]) -> AuthorStore:
    return AuthorStore(dynamodb, table("item_id"))


def test_an_author_is_kept_and_forgotten_with_the_item(
    dynamodb: "DynamoDBClient", authors: AuthorStore
) -> None:
    assert authors.author_of("post-1") is None
    dynamodb.transact_write_items(
        TransactItems=[
            authors.put_item_entry("post-1", "ann"),  # type: ignore[list-item]
            authors.put_item_entry("post-2", "bob"),  # type: ignore[list-item]
        ]
    )
    assert (authors.author_of("post-1"), authors.author_of("post-2")) == ("ann", "bob")
    dynamodb.transact_write_items(TransactItems=[authors.delete_item_entry("post-1")])  # type: ignore[list-item]
    assert (authors.author_of("post-1"), authors.author_of("post-2")) == (None, "bob")
