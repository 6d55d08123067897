"""Tests of concurrent requests, and of a database that stops under load."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.logging import Logger

from lambdas.common.clock import new_id
from lambdas.common.storage.database import Database
from tests.lambdas.catalog.conftest import LISTING, Catalog
from tests.lambdas.support import REGION, document
from tests.postgres import Postgres, migrate, running
from tests.waiting import wait_for

Connect = Callable[[str], Catalog]


@pytest.fixture(scope="module")
def restartable() -> Iterator[tuple[Postgres, str]]:
    """A PostgreSQL server that these tests may stop, and the name of its database."""
    with running() as postgres, postgres.database() as name:
        migrate(postgres, name)
        yield postgres, name


def execution_environment(postgres: Postgres, name: str) -> Catalog:
    """Returns a catalog function with a separate database connection."""
    logger = Logger(service=f"catalog-{new_id()}", stream=io.StringIO(), level="CRITICAL")
    return Catalog(
        Database(postgres.settings(name), boto3.session.Session(region_name=REGION), logger), logger
    )


def run_concurrently(tasks: list[Callable[[], object]]) -> None:
    """Runs each task in a separate thread. All tasks start at the same time."""
    ready = threading.Barrier(len(tasks))
    failures: list[BaseException] = []

    def run(task: Callable[[], object]) -> None:
        try:
            ready.wait()
            task()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_twenty_concurrent_ratings_are_all_counted(restartable: tuple[Postgres, str]) -> None:
    catalogs = [execution_environment(*restartable) for _ in range(20)]
    listing_id = catalogs[0].create()["listingId"]
    responses: list[dict[str, Any]] = []

    def rate(number: int) -> Callable[[], None]:
        def run() -> None:
            body = {"stars": 1 + number % 5}
            # The second rating of each user is rejected.
            for _ in range(2):
                path = f"/listings/{listing_id}/ratings"
                responses.append(catalogs[number].call("POST", path, body, user=f"rater-{number}"))

        return run

    run_concurrently([rate(number) for number in range(20)])
    assert sorted(response["statusCode"] for response in responses) == [201] * 20 + [409] * 20
    ratings = [document(response) for response in responses if response["statusCode"] == 201]
    # Each rating returned a different count.
    assert sorted(rating["ratingCount"] for rating in ratings) == list(range(1, 21))
    listing = catalogs[0].listing(listing_id)
    assert (listing["ratingCount"], listing["ratingAverage"]) == (20, 3.0)
    for catalog in catalogs:
        catalog.database._drop()


def test_category_counts_stay_correct_if_listings_change_categories_concurrently(
    restartable: tuple[Postgres, str],
) -> None:
    catalogs = [execution_environment(*restartable) for _ in range(8)]
    categories = ["cars", "parts", "garden"]
    listings = [
        catalogs[0].create(category=categories[number % 3])["listingId"] for number in range(8)
    ]

    def move(number: int) -> Callable[[], None]:
        def run() -> None:
            for step in range(12):
                body = {
                    "category": categories[(number + step) % 3],
                    "status": ["active", "reserved"][step % 4 == 0],
                }
                response = catalogs[number].call("PATCH", f"/listings/{listings[number]}", body)
                assert response["statusCode"] == 200, response["body"]

        return run

    run_concurrently([move(number) for number in range(8)])
    postgres, name = restartable
    for category in categories:
        [[stored_count]] = postgres.run(
            "SELECT listings FROM catalog.categories WHERE slug = :slug", name, slug=category
        )
        sql = "SELECT count(*) FROM catalog.listings WHERE category = :slug AND status = 'active'"
        assert [[stored_count]] == postgres.run(sql, name, slug=category)
    for catalog in catalogs:
        catalog.database._drop()


class Load:
    """Creates, reads and rates listings as several users until `ended` is set.

    Records the writes that succeeded.
    """

    def __init__(self, restartable: tuple[Postgres, str], users: int) -> None:
        self.catalogs = [execution_environment(*restartable) for _ in range(users)]
        self.ended = threading.Event()
        self.titles: dict[str, str] = {}
        self.rated: dict[str, int] = {}
        self.statuses: list[tuple[float, float, int]] = []
        """The start time, end time and status of each request."""
        self.slowest = 0.0

    def _call(
        self, catalog: Catalog, method: str, path: str, body: object = None, *, user: str
    ) -> dict[str, Any]:
        started = time.monotonic()
        response = catalog.call(method, path, body, user=user)
        ended = time.monotonic()
        self.slowest = max(self.slowest, ended - started)
        self.statuses.append((started, ended, response["statusCode"]))
        assert response["statusCode"] in {200, 201, 503}, response
        if response["statusCode"] == 503:
            assert int(response["headers"]["Retry-After"]) > 0
        return response

    def count(self, status: int, since: float) -> int:
        """Returns how many requests have ended with this status since the time `since`."""
        return sum(
            received == status and ended >= since for _, ended, received in list(self.statuses)
        )

    def run_user(self, number: int) -> None:
        catalog, step = self.catalogs[number], 0
        while not self.ended.is_set():
            step += 1
            title = f"thing {number} {step}"
            response = self._call(
                catalog, "POST", "/listings", {**LISTING, "title": title}, user=f"seller-{number}"
            )
            if response["statusCode"] != 201:
                time.sleep(0.05)
                continue
            listing_id = document(response)["listingId"]
            self.titles[listing_id] = title
            path = f"/listings/{listing_id}"
            if (
                self._call(catalog, "POST", f"{path}/ratings", {"stars": 3}, user="rater")[
                    "statusCode"
                ]
                == 201
            ):
                self.rated[listing_id] = 1
            read = self._call(catalog, "GET", path, user="reader")
            if read["statusCode"] == 200:
                assert document(read)["title"] == title
                assert document(read)["ratingCount"] >= self.rated.get(listing_id, 0)


def test_a_database_restart_loses_no_acknowledged_write(
    restartable: tuple[Postgres, str],
) -> None:
    postgres, name = restartable
    load = Load(restartable, users=4)
    stopped_at = starting_at = 0.0

    def interrupt() -> None:
        nonlocal stopped_at, starting_at
        try:
            wait_for(lambda: load.count(201, 0) >= 10, interval=0.05)
            postgres.stop()
            stopped_at = time.monotonic()
            wait_for(lambda: load.count(503, stopped_at) >= 10, interval=0.05)
            starting_at = time.monotonic()
            postgres.start()
            started_at = time.monotonic()
            wait_for(lambda: load.count(201, started_at) >= 10, interval=0.05)
        finally:
            load.ended.set()

    run_concurrently(
        [*(lambda number=number: load.run_user(number) for number in range(4)), interrupt]
    )
    down = [
        status
        for begun, ended, status in load.statuses
        if stopped_at < begun and ended < starting_at
    ]
    assert set(down) == {503}
    assert load.slowest < 5
    stored = {
        row[0].hex: (row[1], row[2])
        for row in postgres.run(
            "SELECT listing_id, title, rating_count FROM catalog.listings", name
        )
    }
    for listing_id, title in load.titles.items():
        assert stored[listing_id][0] == title
        assert stored[listing_id][1] >= load.rated.get(listing_id, 0)
    # Every stored rating is counted, and the sweep publishes every stored event.
    assert postgres.run("SELECT count(*) FROM catalog.ratings", name) == postgres.run(
        "SELECT sum(rating_count) FROM catalog.listings", name
    )
    sweeper = load.catalogs[0]
    sweeper.function({"source": "aws.events"}, None)
    published = {
        entry["Detail"]
        for catalog in load.catalogs
        for entry in catalog.bus.accepted
        if entry["DetailType"] == "ListingCreated"
    }
    assert all(any(listing_id in detail for detail in published) for listing_id in load.titles)
