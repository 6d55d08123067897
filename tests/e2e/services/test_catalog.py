"""Tests the catalog on the applied platform, with IAM enforced and the migrated schema."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pg8000.native
import pytest

from lambdas.migration.files import read_migrations
from ops.embedded import EmbeddedCloud
from ops.root import Root
from tests.e2e.scenarios.catalog import CATALOG, LISTING
from tests.e2e.scenarios.context import PNG
from tests.e2e.support.api_client import Api
from tests.e2e.support.commands import run_ops
from tests.e2e.support.inbox import Inbox
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import User
from tests.waiting import wait_for

IDS = [migration.id for migration in read_migrations()]


@pytest.fixture
def ann(platform: Platform) -> User:
    return User.create(platform, "Ann Example")


@pytest.fixture
def bob(platform: Platform) -> User:
    return User.create(platform, "Bob Example")


@pytest.fixture
def unique_word() -> str:
    """Returns a word that no other listing contains."""
    return f"word{uuid.uuid4().hex[:10]}"


def create_listing(api: Api, seller: User, **changes: Any) -> Any:
    return api.post(f"{CATALOG}/listings", {**LISTING, **changes}, token=seller.token).expect(201)


def test_a_listing_can_be_found_reserved_sold_and_rated(
    api: Api, ann: User, bob: User, unique_word: str, bus: Inbox
) -> None:
    listing = create_listing(api, ann, title=f"{unique_word} bicycle", tags=["fast"])
    listing_path = f"{CATALOG}/listings/{listing['listingId']}"
    found = api.get(f"{CATALOG}/listings?q={unique_word}", token=bob.token).expect(200)
    assert found == {"items": [listing], "nextCursor": None}
    api.call("PUT", f"{CATALOG}/wishlist/{listing['listingId']}", token=bob.token).expect(204)
    assert api.get(f"{CATALOG}/wishlist", token=bob.token).expect(200)["items"] == [listing]
    text = "Is it still there? Ask for Bob."
    api.post(f"{listing_path}/contact", {"message": text}, token=bob.token).expect(202)
    api.call("PATCH", listing_path, {"title": "x"}, token=bob.token).expect_problem(
        403, "not_the_seller"
    )
    reserved = api.call(
        "PATCH", listing_path, {"status": "reserved"}, token=ann.token, headers={"If-Match": '"1"'}
    )
    assert (reserved.expect(200)["version"], reserved.headers["ETag"]) == (2, '"2"')
    api.call(
        "PATCH", listing_path, {"status": "sold"}, token=ann.token, headers={"If-Match": '"1"'}
    ).expect_problem(412, "stale_version")
    api.call(
        "PATCH", listing_path, {"status": "sold"}, token=ann.token, headers={"If-Match": '"2"'}
    ).expect(200)
    api.post(f"{listing_path}/ratings", {"stars": 5}, token=ann.token).expect_problem(
        403, "own_listing"
    )
    api.post(f"{listing_path}/ratings", {"stars": 5}, token=bob.token).expect(201)
    api.post(f"{listing_path}/ratings", {"stars": 1}, token=bob.token).expect_problem(
        409, "already_rated"
    )
    sold = api.get(listing_path, token=bob.token).expect(200)
    assert (sold["status"], sold["ratingAverage"], sold["ratingCount"]) == ("sold", 5.0, 1)
    assert (
        api.get(f"{CATALOG}/listings?q={unique_word}", token=bob.token).expect(200)["items"] == []
    )
    expected = [
        "ListingCreated",
        "SellerContacted",
        "ListingUpdated",
        "ListingUpdated",
        "ListingSold",
        "ListingRated",
    ]

    def list_events_of_listing() -> list[dict[str, Any]] | None:
        mine = bus.receive_about("listingId", listing["listingId"])
        return mine if len(mine) >= len(expected) else None

    events = wait_for(list_events_of_listing, seconds=60)
    assert sorted(event["detail-type"] for event in events) == sorted(expected)
    assert text not in json.dumps(events)
    assert len({event["detail"]["eventId"] for event in events}) == len(expected)


def test_a_repeated_request_creates_one_listing(api: Api, ann: User, unique_word: str) -> None:
    body, headers = {**LISTING, "title": unique_word}, {"Idempotency-Key": uuid.uuid4().hex}
    first, again = (
        api.post(f"{CATALOG}/listings", body, token=ann.token, headers=headers).expect(201)
        for _ in range(2)
    )
    assert first == again
    api.post(
        f"{CATALOG}/listings", {**body, "title": "x"}, token=ann.token, headers=headers
    ).expect_problem(409)
    assert (
        len(api.get(f"{CATALOG}/listings?q={unique_word}", token=ann.token).expect(200)["items"])
        == 1
    )


def test_images_are_served_on_the_cdn_domain(
    platform: Platform, api: Api, ann: User, bob: User
) -> None:
    def upload(content: bytes) -> str:
        return api.upload(f"{CATALOG}/uploads", content, token=ann.token)

    wrong = upload(b"GIF89a" + bytes(64))
    rejected = api.post(f"{CATALOG}/listings", {**LISTING, "images": [wrong]}, token=ann.token)
    assert rejected.list_invalid_fields() == {"images.0"}
    foreign = api.post(
        f"{CATALOG}/listings", {**LISTING, "images": [key := upload(PNG)]}, token=bob.token
    )
    assert foreign.list_invalid_fields() == {"images.0"}
    listing = create_listing(api, ann, images=[key])
    (address,) = listing["images"]
    assert address.startswith(platform.outputs["cdn_url"])
    response = platform.fetch_from_cdn(address)
    assert (response.status, response.body, response.headers["Content-Type"]) == (
        200,
        PNG,
        "image/png",
    )
    api.delete(f"{CATALOG}/listings/{listing['listingId']}", token=ann.token).expect(204)
    wait_for(lambda: platform.fetch_from_cdn(address).status in {403, 404}, seconds=60)


def test_concurrent_ratings_are_all_counted(platform: Platform, api: Api, ann: User) -> None:
    listing = create_listing(api, ann)
    # Few ratings, because each starts an execution environment. tests/lambdas/catalog uses twenty.
    raters = [User.create(platform, f"Rater {number}") for number in range(6)]
    busy = Api(platform.api_url, connections=6)

    def rate(rater: User) -> int:
        def attempt() -> int | None:
            # Retries while Lambda has no concurrency left, as clients do.
            path, body = f"{CATALOG}/listings/{listing['listingId']}/ratings", {"stars": 3}
            status = busy.post(path, body, token=rater.token).status
            return None if status in {429, 503} else status

        return wait_for(attempt, seconds=60)

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(rate, raters)) == {201}
    rated = api.get(f"{CATALOG}/listings/{listing['listingId']}", token=ann.token).expect(200)
    assert (rated["ratingCount"], rated["ratingAverage"]) == (6, 3.0)


def test_anonymous_users_can_only_read(api: Api, ann: User) -> None:
    listing = create_listing(api, ann)
    visitor = api.post("/v1/auth/anonymous", {}).expect(201)["accessToken"]
    for path in ("/listings", f"/listings/{listing['listingId']}", "/categories", "/wishlist"):
        api.get(CATALOG + path, token=visitor).expect(200)
    api.post(f"{CATALOG}/listings", LISTING, token=visitor).expect_problem(
        403, "anonymous_not_allowed"
    )


def test_categories_form_a_tree_with_counts(api: Api, ann: User) -> None:
    def count(slug: str) -> int:
        def find(nodes: list[Any]) -> Iterator[int]:
            for node in nodes:
                if node["slug"] == slug:
                    yield node["count"]
                yield from find(node["children"])

        [found] = find(api.get(f"{CATALOG}/categories", token=ann.token).expect(200)["items"])
        return found

    before = [count(slug) for slug in ("electronics", "computers", "tablets")]
    create_listing(api, ann, category="tablets")
    assert [count(slug) for slug in ("electronics", "computers", "tablets")] == [
        number + 1 for number in before
    ]


def open_database(platform: Platform, user: str) -> pg8000.native.Connection:
    addresses = EmbeddedCloud(Root(platform.root)).addresses()
    assert addresses
    host, _, port = addresses.database_server.partition(":")
    return pg8000.native.Connection(
        user, host=host, port=int(port), database=platform.outputs["database_name"]
    )


def test_migrations_created_the_schema_without_a_superuser(platform: Platform) -> None:
    with closing(open_database(platform, "postgres")) as connection:
        applied = connection.run("SELECT migration_id FROM migration.applied ORDER BY 1")
        assert [row[0] for row in applied] == IDS
        roles = dict(
            connection.run(
                "SELECT rolname, rolsuper FROM pg_roles"
                " WHERE rolname IN ('multitask', 'migration', 'catalog')"
            )
        )
        assert roles == {"multitask": False, "migration": False, "catalog": False}
    with (
        closing(open_database(platform, "catalog")) as connection,
        pytest.raises(Exception, match="must be owner"),
    ):
        connection.run("DROP TABLE catalog.listings")


def test_the_record_of_migrations_matches_the_schema(platform: Platform) -> None:
    items = platform.aws("dynamodb").scan(TableName="migration-state-local")["Items"]
    recorded = {item["migration_id"]["S"]: item for item in items}
    assert sorted(recorded) == IDS
    for migration in read_migrations():
        item = recorded[migration.id]
        assert (item["status"]["S"], item["checksum"]["S"]) == ("applied", migration.checksum)
        assert item["applied_by"]["S"]


def test_a_second_migration_applies_nothing(platform: Platform) -> None:
    no_change: dict[str, list[str]] = {"applied": [], "pending": [], "unknown": []}
    assert json.loads(run_ops(platform.root, "migrate", "local", "--plan", "--json")) == no_change
    assert json.loads(run_ops(platform.root, "migrate", "local", "--json")) == no_change


def test_a_table_and_the_database_can_be_restored(platform: Platform, api: Api, ann: User) -> None:
    create_listing(api, ann)
    api.get("/v1/profile", token=ann.token).expect(200)
    table, copy = json.loads(run_ops(platform.root, "restore-drill", "local", "--json"))
    assert (table["what"], copy["what"]) == (
        "table profile-profiles-local",
        "database multitask_local",
    )
    for result in (table, copy):
        assert result["rows"] > 0
        assert result["compared"] > 0
        assert result["differing"] == []
    tables = platform.aws("dynamodb").list_tables()["TableNames"]
    assert not [name for name in tables if name.endswith("-drill")]
    with closing(open_database(platform, "postgres")) as connection:
        assert connection.run("SELECT datname FROM pg_database WHERE datname LIKE '%drill'") == []
