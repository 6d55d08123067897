"""Compares the catalog's list and search calls with a driver that only runs their SQL.

    python -m bench.catalog [--listings 100000] [--calls 300]

The benchmark fills a temporary PostgreSQL with listings and calls the catalog function's real
router, validation, logic and store. The session store (DynamoDB on AWS) and the signing key of
cursors are fakes. For comparison, the PostgreSQL driver runs the same statement with the same
values on a separate connection and receives the same rows. The two calls alternate, so that load on
the machine affects both.
"""

from __future__ import annotations

import gc
import io
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import boto3

from bench import create_parser
from lambdas.catalog.handler import CatalogApi
from lambdas.catalog.listings import ListingStore, Search, search_statement
from lambdas.catalog.logic import CatalogService
from lambdas.catalog.outbox import AuroraOutbox
from lambdas.catalog.routes import ROUTES
from lambdas.common.logs import Logger
from lambdas.common.messaging.events import EventFactory, EventPublisher
from lambdas.common.messaging.relay import Relay
from lambdas.common.signing.keys import KeyRing
from lambdas.common.storage.database import Database
from lambdas.common.storage.uploads import Uploads
from lambdas.common.web.access import Authenticator, from_authorizer
from lambdas.common.web.idempotency import Idempotency
from lambdas.common.web.pagination import Cursors
from lambdas.common.web.router import Router
from lambdas.common.web.service import operations_of
from tests.lambdas.support import FakeKeys, FakeSessions, caller, rest_event
from tests.postgres import fill, migrate, running

PAGE = 20
CASES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "newest": ({}, {"sort": "newest"}),
    "cheapest": (
        {"sort": "price", "currency": "EUR"},
        {"sort": "price", "currency": "EUR"},
    ),
    "a category": ({"category": "phones"}, {"sort": "newest", "categories": ["phones"]}),
    "search, rare word": ({"q": "rare"}, {"sort": "relevance", "q": "rare"}),
    "search, common word": ({"q": "bike"}, {"sort": "relevance", "q": "bike"}),
    "search, newest": ({"q": "bike", "sort": "newest"}, {"sort": "newest", "q": "bike"}),
}
"""For each case: the query string of the HTTP call, and the equivalent arguments of `Search`."""

FOREVER = 2**40


def create_router(database: Database, logger: Logger) -> Router:
    """Returns the catalog function's router, which uses the database."""

    def unused() -> Any:
        raise AssertionError("Listing and searching must not call AWS")

    catalog = CatalogService(
        store=ListingStore(database),
        events=EventFactory("catalog", logger),
        relay=Relay(AuroraOutbox(database), EventPublisher(unused, "bus", logger)),
        uploads=Uploads(unused, "bucket", "catalog", types=(), limit=0),
        cursors=Cursors(KeyRing(FakeKeys())),
        image_url=lambda key: f"https://cdn.example/{key}",
        logger=logger,
    )
    return Router(
        ROUTES,
        operations_of(CatalogApi(catalog), ROUTES),
        authenticator=Authenticator(from_authorizer, FakeSessions()),
        logger=logger,
        cors_origins=("*",),
        idempotency=Idempotency(boto3.client("dynamodb", region_name="us-east-1"), "none"),
    )


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] * 1000


def measure(
    first: Callable[[], object], second: Callable[[], object], calls: int
) -> tuple[list[float], list[float]]:
    """Runs two calls alternately and returns the duration of each run in seconds.

    The first 20 runs of each call are warm-up and are not included.
    """
    times: tuple[list[float], list[float]] = ([], [])
    gc.collect()
    for number in range(calls + 20):
        for call, into in zip((first, second), times, strict=True):
            begun = time.perf_counter()
            call()
            if number >= 20:
                into.append(time.perf_counter() - begun)
    return times


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument(
        "--listings",
        type=int,
        default=100_000,
        help="number of listings in the database (default: 100000)",
    )
    parser.add_argument(
        "--calls",
        type=int,
        default=300,
        help="number of times that the catalog service and the PostgreSQL driver each run a query"
        " (default: 300)",
    )
    arguments = parser.parse_args()
    session = boto3.Session("test", "test", region_name="us-east-1")
    context = caller("user", expires_at=FOREVER).to_context()
    with running() as postgres, postgres.database() as name:
        migrate(postgres, name)
        fill(postgres, name, arguments.listings)
        logger = Logger(service="bench", stream=io.StringIO())
        router = create_router(Database(postgres.settings(name), session, logger), logger)
        with closing(postgres.connect("catalog", name)) as driver:
            driver.run("SET plan_cache_mode = force_custom_plan")
            print(f"{'milliseconds':<22}{'p50':>16}{'p99':>16}{'ratio to driver':>20}")
            shares = []
            for label, (query, search) in CASES.items():
                event = rest_event("GET", "/v1/catalog/listings", query=query, authorizer=context)
                sql, values = search_statement(Search(limit=PAGE + 1, **search))
                assert router(event, None)["statusCode"] == 200

                def call_service(event: dict[str, Any] = event) -> object:
                    return router(event, None)

                def call_driver(sql: str = sql, values: dict[str, Any] = values) -> object:
                    return driver.run(sql, **values)

                ours, drivers = measure(call_service, call_driver, arguments.calls)
                p50, p99 = (
                    (percentile(ours, share), percentile(drivers, share)) for share in (0.5, 0.99)
                )
                shares.append(p50[0] / p50[1])
                print(
                    f"{label:<22}{p50[0]:>8.2f}/{p50[1]:<7.2f}{p99[0]:>8.2f}/{p99[1]:<7.2f}"
                    f"{p50[0] / p50[1]:>10.2f}{p99[0] / p99[1]:>10.2f}"
                )
            print(f"median ratio at p50: {statistics.median(shares):.2f}")


if __name__ == "__main__":
    main()
