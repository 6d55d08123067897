"""Fixtures: the catalog function with a real PostgreSQL, and fakes of S3 and the event bus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.logging import Logger

from lambdas.catalog.handler import CatalogApi, CatalogFunction
from lambdas.catalog.listings import ListingStore
from lambdas.catalog.logic import CatalogService
from lambdas.catalog.outbox import AuroraOutbox
from lambdas.catalog.routes import ROUTES
from lambdas.common.caller import Caller
from lambdas.common.messaging.events import EventFactory, EventPublisher
from lambdas.common.messaging.relay import Relay
from lambdas.common.problems import FieldError, Problem
from lambdas.common.signing.keys import KeyRing
from lambdas.common.storage.database import Database
from lambdas.common.storage.uploads import SignedForm, SignedUpload, StoredObject
from lambdas.common.web.access import Authenticator, from_authorizer
from lambdas.common.web.http import Request, Response
from lambdas.common.web.pagination import Cursors
from lambdas.common.web.router import Operation, Router
from lambdas.common.web.service import operations_of
from tests.lambdas.event_bus import FakeEventBridge
from tests.lambdas.support import (
    NOW,
    REGION,
    FakeClock,
    FakeKeys,
    FakeSessions,
    LambdaResponse,
    document,
    rest_event,
)
from tests.postgres import Postgres


class Pictures:
    """Accepts uploads whose key begins with the user's id."""

    def __init__(self) -> None:
        self.stored: list[str] = []
        self.removed: list[str] = []

    def sign(self, user_id: str, content_type: str, content_length: int) -> SignedUpload:
        return SignedUpload(SignedForm("http://s3", {"key": f"{user_id}/1"}), f"{user_id}/1")

    def use_all(
        self, user_id: str, positions: Mapping[str, int], target_prefix: str, *, field: str
    ) -> dict[str, StoredObject]:
        wrong = [
            FieldError(f"{field}.{position}", "must be a key")
            for key, position in positions.items()
            if not key.startswith(f"{user_id}/")
        ]
        if wrong:
            raise Problem.invalid(wrong)
        copies = {
            key: f"{target_prefix}{key.partition('/')[2]}-{number}"
            for number, key in enumerate(positions, len(self.stored))
        }
        self.stored += copies.values()
        return {key: StoredObject(copy, "image/png", 1) for key, copy in copies.items()}

    def remove(self, key: str) -> None:
        self.removed.append(key)


class NoIdempotency:
    """Runs every request, even if an earlier request had the same Idempotency-Key."""

    def run(self, request: Request, work: Operation) -> Response[Any]:
        return work(request)


class Catalog:
    """The catalog function, called with events of API Gateway."""

    def __init__(self, database: Database, logger: Logger) -> None:
        self.database, self.bus, self.pictures = database, FakeEventBridge(), Pictures()
        bus: Any = self.bus
        publisher = EventPublisher(lambda: bus, "bus", logger)
        self.relay = Relay(AuroraOutbox(database), publisher)
        self.service = CatalogService(
            store=ListingStore(database),
            events=EventFactory("catalog", logger, FakeClock()),
            relay=self.relay,
            uploads=self.pictures,
            cursors=Cursors(KeyRing(FakeKeys())),
            image_url=lambda key: f"https://cdn.test/{key}",
            logger=logger,
        )
        router = Router(
            ROUTES,
            operations_of(CatalogApi(self.service), ROUTES),
            authenticator=Authenticator(from_authorizer, FakeSessions(), FakeClock()),
            logger=logger,
            cors_origins=("*",),
            idempotency=NoIdempotency(),
        )
        self.function = CatalogFunction(router, self.relay, logger)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        user: str = "seller",
        query: Mapping[str, str] | None = None,
        if_match: str | None = None,
    ) -> LambdaResponse:
        """Sends a request as a user, or as an anonymous user if `user` is empty."""
        caller = person(user) if user else person("visitor", roles=frozenset())
        headers = {"If-Match": if_match} if if_match else None
        event = rest_event(
            method,
            f"/v1/catalog{path}",
            body,
            query=query,
            headers=headers,
            authorizer=caller.to_context(),
        )
        return self.function(event, None)

    def create(self, user: str = "seller", **changes: Any) -> dict[str, Any]:
        """Creates a listing and returns it."""
        response = self.call("POST", "/listings", {**LISTING, **changes}, user=user)
        assert response["statusCode"] == 201, response["body"]
        listing: dict[str, Any] = document(response)
        return listing

    def listing(self, listing_id: str) -> dict[str, Any]:
        response = self.call("GET", f"/listings/{listing_id}")
        assert response["statusCode"] == 200, response["body"]
        listing: dict[str, Any] = document(response)
        return listing

    def search(self, user: str = "buyer", **query: str) -> dict[str, Any]:
        response = self.call("GET", "/listings", user=user, query=query)
        assert response["statusCode"] == 200, response["body"]
        page: dict[str, Any] = document(response)
        return page

    def pages(
        self, path: str = "/listings", user: str = "buyer", **query: str
    ) -> list[list[dict[str, Any]]]:
        """Follows the cursors, and returns a list of pages. Each page is a list of items."""
        pages, cursor = [], None
        while True:
            response = self.call(
                "GET", path, user=user, query={**query, **({"cursor": cursor} if cursor else {})}
            )
            assert response["statusCode"] == 200, response["body"]
            page = document(response)
            pages.append(page["items"])
            cursor = page["nextCursor"]
            if cursor is None:
                return pages


LISTING: dict[str, Any] = {
    "title": "A red bicycle",
    "description": "Hardly used",
    "price": {"amount": 12_345, "currency": "EUR"},
    "category": "bicycles",
}


def person(user: str, roles: frozenset[str] = frozenset({"user"})) -> Caller:
    capabilities = frozenset() if roles else frozenset({"read"})
    return Caller(user, f"session-{user}", roles, capabilities, int(NOW + 900))


@pytest.fixture(scope="module")
def module_database(postgres: Postgres, migrated: str) -> Iterator[str]:
    """Yields one database for all tests of a module, because creating a database takes 1 s."""
    with postgres.database(migrated) as name:
        yield name


@pytest.fixture
def name(postgres: Postgres, module_database: str) -> str:
    """Empties the module's database and returns its name."""
    tables = "catalog.listings, catalog.ratings, catalog.wishes, catalog.inquiries, catalog.outbox"
    postgres.run(f"TRUNCATE {tables}", module_database)
    postgres.run("UPDATE catalog.categories SET listings = 0 WHERE listings > 0", module_database)
    return module_database


@pytest.fixture
def connected(postgres: Postgres, name: str, logger: Logger) -> Iterator[Database]:
    database = Database(postgres.settings(name), boto3.session.Session(region_name=REGION), logger)
    yield database
    with suppress(Exception):
        database._drop()


@pytest.fixture
def catalog(connected: Database, logger: Logger) -> Catalog:
    return Catalog(connected, logger)
