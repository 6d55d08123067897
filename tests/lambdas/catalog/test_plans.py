"""Tests of the query plans of all lists with 100,000 listings: each uses an index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pg8000.native
import pytest

from lambdas.catalog.listings import CATEGORIES, WISHLIST, WISHLIST_AFTER, Search, search_statement
from tests.postgres import Postgres, fill

LISTINGS = 100_000
LIMIT = 21
COMPUTERS = ["computers", "laptops", "desktops", "tablets"]
AFTER = {
    "newest": (1_700_000_000_000, "7" * 32),
    "price": (50_000, "7" * 32),
    "-price": (50_000, "7" * 32),
    "relevance": (0.1, "7" * 32),
}
FILTERS: list[dict[str, Any]] = [
    {},
    {"categories": ["phones"]},
    {"categories": COMPUTERS},
    {"currency": "EUR"},
    {"currency": "EUR", "categories": COMPUTERS},
    {"currency": "EUR", "min_price": 500, "max_price": 510},
    {"currency": "EUR", "min_price": 500, "max_price": 90_000},
    {"currency": "EUR", "max_price": 90_000, "categories": COMPUTERS},
    {"seller_id": "seller-5"},
    {"seller_id": "seller-5", "own": True},
    {"seller_id": "seller-5", "categories": ["phones"], "currency": "EUR", "min_price": 5},
    {"q": "rare"},
    {"q": "bike"},
    {"q": "thing"},
    {"q": "nowhere"},
    {"q": "bike lamp", "categories": COMPUTERS},
    {"q": "thing", "categories": ["phones"], "currency": "EUR", "min_price": 10},
    {"q": "gui"},
    {"q": "the"},
    {"q": "rare", "seller_id": "seller-5"},
]
CASES = [
    {**filters, "sort": sort, **({"after": AFTER[sort]} if later else {})}
    for sort in AFTER
    for filters in FILTERS
    for later in (False, True)
    if (sort != "relevance" or "q" in filters) and ("price" not in sort or "currency" in filters)
]


@pytest.fixture(scope="module")
def connection(postgres: Postgres, module_database: str) -> Iterator[pg8000.native.Connection]:
    fill(postgres, module_database, LISTINGS)
    # The catalog service also connects as the role `catalog`, so the same planner settings apply.
    with closing(postgres.connect("catalog", module_database)) as connection:
        connection.run("SET plan_cache_mode = force_custom_plan")
        yield connection


def explain(connection: pg8000.native.Connection, sql: str, **values: Any) -> str:
    return "\n".join(
        row[0] for row in connection.run(f"EXPLAIN (ANALYZE, TIMING OFF) {sql}", **values)
    )


def rows_read(plan: str) -> int:
    """Returns the largest number of rows that a scan of listings returned or discarded."""
    scans = re.findall(r"Scan [^\n]*listings[^\n]*rows=([\d.]+) loops=(\d+)", plan)
    removed = re.findall(r"Rows Removed by Filter: (\d+)", plan)
    return max(
        [round(float(rows) * int(loops)) for rows, loops in scans]
        + [int(rows) for rows in removed],
        default=0,
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_list_of_listings_uses_a_sequential_scan(
    connection: pg8000.native.Connection, case: dict[str, Any]
) -> None:
    sql, values = search_statement(Search(limit=LIMIT, **case))
    plan = explain(connection, sql, **values)
    assert "Seq Scan" not in plan, plan
    assert "listings" in plan


@pytest.mark.parametrize("sort", ["newest", "price", "-price"])
@pytest.mark.parametrize("categories", [None, ["phones"], COMPUTERS], ids=str)
@pytest.mark.parametrize("later", [False, True])
def test_later_pages_read_no_more_rows_than_the_first(
    connection: pg8000.native.Connection, sort: str, categories: list[str] | None, later: bool
) -> None:
    after = AFTER[sort] if later else None
    currency = "EUR" if "price" in sort else None
    sql, values = search_statement(
        Search(limit=LIMIT, sort=sort, categories=categories, currency=currency, after=after)
    )
    plan = explain(connection, sql, **values)
    assert rows_read(plan) <= LIMIT * len(categories or [""]), plan


def test_the_wishlist_uses_its_index(connection: pg8000.native.Connection) -> None:
    after = {"after": 1_700_000_000_000, "after_id": "7" * 32}
    for sql, values in ((WISHLIST, {}), (WISHLIST_AFTER, after)):
        plan = explain(connection, sql, user_id="user-5", limit=LIMIT, **values)
        assert "Seq Scan" not in plan, plan
        assert "wishes_newest" in plan


def test_the_category_tree_reads_stored_counts(
    connection: pg8000.native.Connection,
) -> None:
    """The 40 categories occupy at most two database pages, so a sequential scan is best."""
    plan = explain(connection, CATEGORIES)
    assert "listings" not in plan
    [[pages]] = connection.run(
        "SELECT count(DISTINCT (ctid::text::point)[0]) FROM catalog.categories"
    )
    assert pages <= 2
    counted = connection.run("SELECT sum(listings) FROM catalog.categories")
    assert counted == connection.run(
        "SELECT count(*) FROM catalog.listings WHERE status = 'active'"
    )
