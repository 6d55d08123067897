"""Tests the catalog on the applied platform, with IAM enforced and the migrated schema."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pg8000.native
import pytest

from lambdas.migration.files import read_migrations
from ops.embedded import EmbeddedCloud
from ops.root import Root
from tests.e2e.support import Api, Platform, User, eventually, run_ops
from tests.e2e.walks.catalog import CATALOG, LISTING
from tests.e2e.walks.world import PNG

IDS = [migration.id for migration in read_migrations()]


@pytest.fixture
def ann(platform: Platform) -> User:
    return User.made(platform, "Ann Example")


@pytest.fixture
def bob(platform: Platform) -> User:
    return User.made(platform, "Bob Example")


@pytest.fixture
def word() -> str:
    """Returns a word that no other listing contains."""
    return f"word{uuid.uuid4().hex[:10]}"


def created(api: Api, seller: User, **changes: Any) -> Any:
    return api.post(f"{CATALOG}/listings", {**LISTING, **changes}, token=seller.token).expect(201)


@pytest.fixture
def bus(platform: Platform) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Returns a function that receives the catalog's events since the test began."""
    events, sqs = platform.aws("events"), platform.aws("sqs")
    name, on_bus = (
        f"test-{uuid.uuid4().hex[:12]}",
        {"EventBusName": platform.outputs["event_bus_name"]},
    )
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["multitask.catalog"]}), **on_bus)
    events.put_targets(Rule=name, Targets=[{"Id": "inbox", "Arn": arn}], **on_bus)
    found: list[dict[str, Any]] = []

    def received() -> list[dict[str, Any]]:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
            "Messages", []
        ):
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    yield received
    events.remove_targets(Rule=name, Ids=["inbox"], **on_bus)
    events.delete_rule(Name=name, **on_bus)
    sqs.delete_queue(QueueUrl=url)


def test_a_sale_from_the_offer_to_the_rating(
    api: Api, ann: User, bob: User, word: str, bus: Callable[[], list[dict[str, Any]]]
) -> None:
    listing = created(api, ann, title=f"{word} bicycle", tags=["fast"])
    at = f"{CATALOG}/listings/{listing['listingId']}"
    found = api.get(f"{CATALOG}/listings?q={word}", token=bob.token).expect(200)
    assert found == {"items": [listing], "nextCursor": None}
    api.call("PUT", f"{CATALOG}/wishlist/{listing['listingId']}", token=bob.token).expect(204)
    assert api.get(f"{CATALOG}/wishlist", token=bob.token).expect(200)["items"] == [listing]
    text = "Is it still there? Ask for Bob."
    api.post(f"{at}/contact", {"message": text}, token=bob.token).expect(202)
    api.call("PATCH", at, {"title": "x"}, token=bob.token).problem(403, "not_the_seller")
    reserved = api.call(
        "PATCH", at, {"status": "reserved"}, token=ann.token, headers={"If-Match": '"1"'}
    )
    assert (reserved.expect(200)["version"], reserved.headers["ETag"]) == (2, '"2"')
    api.call("PATCH", at, {"status": "sold"}, token=ann.token, headers={"If-Match": '"1"'}).problem(
        412, "stale_version"
    )
    api.call("PATCH", at, {"status": "sold"}, token=ann.token, headers={"If-Match": '"2"'}).expect(
        200
    )
    api.post(f"{at}/ratings", {"stars": 5}, token=ann.token).problem(403, "own_listing")
    api.post(f"{at}/ratings", {"stars": 5}, token=bob.token).expect(201)
    api.post(f"{at}/ratings", {"stars": 1}, token=bob.token).problem(409, "already_rated")
    sold = api.get(at, token=bob.token).expect(200)
    assert (sold["status"], sold["ratingAverage"], sold["ratingCount"]) == ("sold", 5.0, 1)
    assert api.get(f"{CATALOG}/listings?q={word}", token=bob.token).expect(200)["items"] == []
    expected = [
        "ListingCreated",
        "SellerContacted",
        "ListingUpdated",
        "ListingUpdated",
        "ListingSold",
        "ListingRated",
    ]

    def ours() -> list[dict[str, Any]] | None:
        mine = [
            event for event in bus() if event["detail"]["data"]["listingId"] == listing["listingId"]
        ]
        return mine if len(mine) >= len(expected) else None

    events = eventually(ours, seconds=60)
    assert sorted(event["detail-type"] for event in events) == sorted(expected)
    assert text not in json.dumps(events)
    assert len({event["detail"]["eventId"] for event in events}) == len(expected)


def test_a_repeated_request_creates_one_listing(api: Api, ann: User, word: str) -> None:
    body, headers = {**LISTING, "title": word}, {"Idempotency-Key": uuid.uuid4().hex}
    first, again = (
        api.post(f"{CATALOG}/listings", body, token=ann.token, headers=headers).expect(201)
        for _ in range(2)
    )
    assert first == again
    api.post(
        f"{CATALOG}/listings", {**body, "title": "x"}, token=ann.token, headers=headers
    ).problem(409)
    assert len(api.get(f"{CATALOG}/listings?q={word}", token=ann.token).expect(200)["items"]) == 1


def test_images_are_served_on_the_cdn_domain(
    platform: Platform, api: Api, ann: User, bob: User
) -> None:
    def upload(content: bytes) -> str:
        return api.upload(f"{CATALOG}/uploads", content, token=ann.token)

    wrong = upload(b"GIF89a" + bytes(64))
    refused = api.post(f"{CATALOG}/listings", {**LISTING, "images": [wrong]}, token=ann.token)
    assert refused.wrong_fields() == {"images.0"}
    stolen = api.post(
        f"{CATALOG}/listings", {**LISTING, "images": [key := upload(PNG)]}, token=bob.token
    )
    assert stolen.wrong_fields() == {"images.0"}
    listing = created(api, ann, images=[key])
    (address,) = listing["images"]
    assert address.startswith(platform.outputs["cdn_url"])
    response = platform.served(address)
    assert (response.status, response.body, response.headers["Content-Type"]) == (
        200,
        PNG,
        "image/png",
    )
    api.delete(f"{CATALOG}/listings/{listing['listingId']}", token=ann.token).expect(204)
    eventually(lambda: platform.served(address).status in {403, 404}, seconds=60)


def test_concurrent_ratings_are_all_counted(platform: Platform, api: Api, ann: User) -> None:
    listing = created(api, ann)
    # Few ratings, because each starts an execution environment. tests/lambdas/catalog uses twenty.
    raters = [User.made(platform, f"Rater {number}") for number in range(6)]
    busy = Api(platform.api_url, connections=6)

    def rate(rater: User) -> int:
        def attempt() -> int | None:
            # Retries while no concurrency is left, as clients do.
            path, body = f"{CATALOG}/listings/{listing['listingId']}/ratings", {"stars": 3}
            status = busy.post(path, body, token=rater.token).status
            return None if status in {429, 503} else status

        return eventually(attempt, seconds=60)

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(rate, raters)) == {201}
    found = api.get(f"{CATALOG}/listings/{listing['listingId']}", token=ann.token).expect(200)
    assert (found["ratingCount"], found["ratingAverage"]) == (6, 3.0)


def test_anonymous_users_can_only_read(api: Api, ann: User) -> None:
    listing = created(api, ann)
    visitor = api.post("/v1/auth/anonymous", {}).expect(201)["accessToken"]
    for path in ("/listings", f"/listings/{listing['listingId']}", "/categories", "/wishlist"):
        api.get(CATALOG + path, token=visitor).expect(200)
    api.post(f"{CATALOG}/listings", LISTING, token=visitor).problem(403, "anonymous_not_allowed")


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
    created(api, ann, category="tablets")
    assert [count(slug) for slug in ("electronics", "computers", "tablets")] == [
        number + 1 for number in before
    ]


def database(platform: Platform, user: str) -> pg8000.native.Connection:
    addresses = EmbeddedCloud(Root(platform.root)).addresses()
    assert addresses
    host, _, port = addresses.database.partition(":")
    return pg8000.native.Connection(
        user, host=host, port=int(port), database=platform.outputs["database_name"]
    )


def test_migrations_created_the_schema_without_a_superuser(platform: Platform) -> None:
    with closing(database(platform, "postgres")) as connection:
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
        closing(database(platform, "catalog")) as connection,
        pytest.raises(Exception, match="must be owner"),
    ):
        connection.run("DROP TABLE catalog.listings")


def test_the_record_of_migrations_matches_the_schema(platform: Platform) -> None:
    items = platform.aws("dynamodb").scan(TableName="migration-state-local")["Items"]
    found = {item["migration_id"]["S"]: item for item in items}
    assert sorted(found) == IDS
    for migration in read_migrations():
        item = found[migration.id]
        assert (item["status"]["S"], item["checksum"]["S"]) == ("applied", migration.checksum)
        assert item["applied_by"]["S"]


def test_a_second_migration_changes_nothing(platform: Platform) -> None:
    nothing: dict[str, list[str]] = {"applied": [], "pending": [], "unknown": []}
    assert json.loads(run_ops(platform.root, "migrate", "local", "--plan", "--json")) == nothing
    assert json.loads(run_ops(platform.root, "migrate", "local", "--json")) == nothing


def test_a_table_and_the_database_can_be_restored(platform: Platform, api: Api, ann: User) -> None:
    created(api, ann)
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
    with closing(database(platform, "postgres")) as connection:
        assert connection.run("SELECT datname FROM pg_database WHERE datname LIKE '%drill'") == []
