"""Tests that the pages of a list together contain each matching listing once, and in order."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.logging import Logger
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambdas.catalog.listings import ListingStore, NewListing
from lambdas.catalog.models import MAX_AMOUNT, ListingQuery, Price
from lambdas.common.problems import Problem
from lambdas.common.storage.database import Database
from lambdas.common.validation import validate
from tests.lambdas.catalog.conftest import Catalog
from tests.lambdas.support import REGION
from tests.postgres import Postgres

CATEGORIES = ["laptops", "desktops", "computers", "books"]
WORDS = ["red", "blue", "old", "bike"]
SUBCATEGORIES = {
    "computers": {"computers", "laptops", "desktops"},
    "electronics": {"computers", "laptops", "desktops"},
}

Row = dict[str, Any]
# Few distinct values, so that many listings have equal sort values.
rows = st.lists(
    st.fixed_dictionaries(
        {
            "seller": st.sampled_from(["ada", "bob"]),
            "title": st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join),
            "amount": st.sampled_from([0, 1, 2, MAX_AMOUNT]),
            "currency": st.sampled_from(["EUR", "EUR", "USD"]),
            "category": st.sampled_from(CATEGORIES),
            "minute": st.integers(0, 3),
            "status": st.sampled_from(["active", "active", "sold", "removed"]),
        }
    ),
    max_size=25,
)
queries = st.fixed_dictionaries(
    {"limit": st.sampled_from(["1", "2", "7", "100"])},
    optional={
        "q": st.sampled_from(WORDS),
        "category": st.sampled_from([*CATEGORIES, "electronics"]),
        "currency": st.sampled_from(["EUR", "USD"]),
        "minPrice": st.sampled_from(["0", "1"]),
        "maxPrice": st.sampled_from(["1", str(MAX_AMOUNT)]),
        "sellerId": st.sampled_from(["ada", "bob"]),
        "sort": st.sampled_from(["newest", "price", "-price", "relevance"]),
    },
).filter(
    lambda query: (
        ("q" in query or query.get("sort") != "relevance")
        and (
            "currency" in query
            or (
                query.keys().isdisjoint({"minPrice", "maxPrice"})
                and "price" not in query.get("sort", "")
            )
        )
    )
)


@pytest.fixture(scope="module")
def shared(postgres: Postgres, module_database: str) -> Iterator[Catalog]:
    """A catalog with one database connection for all examples."""
    logger = Logger(service="pages")
    database = Database(
        postgres.settings(module_database), boto3.session.Session(region_name=REGION), logger
    )
    yield Catalog(database, logger)
    database._drop()


def store(postgres: Postgres, name: str, listings: list[Row]) -> None:
    postgres.run(
        "TRUNCATE catalog.listings, catalog.ratings, catalog.wishes, catalog.inquiries", name
    )
    with postgres.connect(database=name) as connection:
        for number, row in enumerate(listings):
            connection.run(
                "INSERT INTO catalog.listings (listing_id, seller_id, title, description,"
                " price_amount, price_currency, category, tags, images, status, created_at)"
                " VALUES (:id, :seller, :title, '', :amount, :currency, :category, '{}', '{}',"
                " :status, timestamptz '2026-01-01Z' + :minute * interval '1 minute')",
                id=uuid.UUID(int=number),
                **row,
            )


def matches(row: Row, query: dict[str, str]) -> bool:
    """Returns True if, according to the API contract, the query returns this listing."""
    category = query.get("category")
    return (
        row["status"] == "active"
        and ("q" not in query or query["q"] in row["title"].split())
        and (category is None or row["category"] in SUBCATEGORIES.get(category, {category}))
        and query.get("currency", row["currency"]) == row["currency"]
        and int(query.get("minPrice", 0)) <= row["amount"] <= int(query.get("maxPrice", MAX_AMOUNT))
        and query.get("sellerId", row["seller"]) == row["seller"]
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(listings=rows, query=queries)
def test_pages_contain_each_match_once_and_in_order(
    postgres: Postgres,
    module_database: str,
    shared: Catalog,
    listings: list[Row],
    query: dict[str, str],
) -> None:
    store(postgres, module_database, listings)
    pages = shared.pages(user="visitor", **query)
    items = [item for page in pages for item in page]
    expected = {
        uuid.UUID(int=number).hex for number, row in enumerate(listings) if matches(row, query)
    }
    ids = [item["listingId"] for item in items]
    assert len(ids) == len(set(ids))
    assert set(ids) == expected
    assert all(len(page) == int(query["limit"]) for page in pages[:-1])
    order = query.get("sort", "relevance" if "q" in query else "newest")
    for previous, following in pairwise(items):
        if order == "price":
            assert previous["price"]["amount"] <= following["price"]["amount"]
        elif order == "-price":
            assert previous["price"]["amount"] >= following["price"]["amount"]
        elif order == "newest":
            assert previous["createdAt"] >= following["createdAt"]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    listings=rows.filter(lambda listings: len(listings) > 4),
    sort=st.sampled_from(["newest", "price", "-price"]),
)
def test_a_listing_created_between_pages_does_not_shift_the_next_page(
    postgres: Postgres, module_database: str, shared: Catalog, listings: list[Row], sort: str
) -> None:
    """If pages were read by offset instead of by key, a listing would appear twice."""
    listings = [{**row, "status": "active", "currency": "EUR"} for row in listings]
    filters = {"currency": "EUR", "sort": sort, "limit": "2"}
    store(postgres, module_database, listings)
    first = shared.search(**filters)
    before = {"newest": 9, "price": 0, "-price": 0}[sort]
    listing = NewListing(
        listing_id=uuid.UUID(int=10**6 if sort == "-price" else 0x0FFF).hex,
        seller_id="ada",
        title="new",
        description="",
        price_amount=MAX_AMOUNT if sort == "-price" else before,
        price_currency="EUR",
        category="books",
        tags=[],
        images=[],
        condition=None,
    )
    ListingStore(shared.database).add(listing, [])
    later_items, cursor = [], first["nextCursor"]
    while cursor:
        page = shared.search(**filters, cursor=cursor)
        later_items += page["items"]
        cursor = page["nextCursor"]
    listed_ids = [item["listingId"] for item in [*first["items"], *later_items]]
    assert len(listed_ids) == len(set(listed_ids))
    assert set(listed_ids) >= {uuid.UUID(int=number).hex for number in range(len(listings))}


# The words contain search operators, and characters that become several characters or none when
# accents and case are removed.
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text("ab \"-'&|!:*()<>\\%.\u00e9\u00df\u6771\u30bf\u0301\ufb03\u0130\u00bd", max_size=20))
def test_any_search_text_returns_200_or_422(shared: Catalog, q: str) -> None:
    assert shared.call("GET", "/listings", query={"q": q})["statusCode"] in {200, 422}


@given(
    amount=st.one_of(st.integers(), st.floats(), st.text(max_size=3), st.booleans(), st.none()),
    currency=st.text(max_size=4),
)
def test_a_price_requires_an_integer_amount_and_a_currency_of_three_capital_letters(
    amount: object, currency: str
) -> None:
    good = isinstance(amount, int) and not isinstance(amount, bool) and 0 <= amount <= MAX_AMOUNT
    code = len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()
    if good and code:
        price = validate(Price, {"amount": amount, "currency": currency})
        assert (price.amount, type(price.amount)) == (amount, int)
        return
    with pytest.raises(Problem) as problem:
        validate(Price, {"amount": amount, "currency": currency})
    wrong = {*([] if good else ["amount"]), *([] if code else ["currency"])}
    assert {error.field for error in problem.value.errors} == wrong


@given(st.integers(0, MAX_AMOUNT))
def test_every_valid_amount_is_a_valid_filter(amount: int) -> None:
    query = validate(
        ListingQuery, {"minPrice": str(amount), "maxPrice": str(amount)}, from_text=True
    )
    assert (query.min_price, query.max_price) == (amount, amount)
