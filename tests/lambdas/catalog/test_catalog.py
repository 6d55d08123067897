"""Tests of all routes of the catalog function, with PostgreSQL."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambdas.catalog.currencies import CURRENCIES
from lambdas.catalog.models import MAX_AMOUNT
from lambdas.common.messaging.relay import NotPublishedError
from lambdas.common.problems import Problem
from lambdas.common.storage.database import Database
from tests.lambdas.catalog.conftest import LISTING, Catalog, person
from tests.lambdas.event_bus import UNAVAILABLE
from tests.lambdas.support import document, problem, wrong_fields
from tests.postgres import Postgres


def test_a_created_listing_is_returned_and_can_be_read_and_found(catalog: Catalog) -> None:
    response = catalog.call(
        "POST", "/listings", {**LISTING, "tags": ["fast", "null"], "condition": "used"}
    )
    assert response["statusCode"] == 201
    assert response["headers"]["ETag"] == '"1"'
    listing = document(response)
    assert listing | {"listingId": 0, "createdAt": 0, "updatedAt": 0} == {
        **LISTING,
        "listingId": 0,
        "sellerId": "seller",
        "tags": ["fast", "null"],
        "images": [],
        "condition": "used",
        "status": "active",
        "ratingAverage": None,
        "ratingCount": 0,
        "createdAt": 0,
        "updatedAt": 0,
        "version": 1,
    }
    assert listing["createdAt"].endswith("Z")
    assert len(listing["createdAt"]) == len("2026-01-31T09:30:00.000Z")
    read = catalog.call("GET", f"/listings/{listing['listingId']}", user="")
    assert (document(read), read["headers"]["ETag"]) == (listing, '"1"')


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"title": ""}, {"title"}),
        ({"title": " \t"}, {"title"}),
        ({"title": "x" * 201}, {"title"}),
        ({"description": "x" * 5001}, {"description"}),
        ({"description": "a\0b"}, {"description"}),
        ({"price": {"amount": -1, "currency": "EUR"}}, {"price.amount"}),
        ({"price": {"amount": 1.5, "currency": "EUR"}}, {"price.amount"}),
        ({"price": {"amount": "1", "currency": "EUR"}}, {"price.amount"}),
        ({"price": {"amount": MAX_AMOUNT + 1, "currency": "EUR"}}, {"price.amount"}),
        ({"price": {"amount": 1, "currency": "eur"}}, {"price.currency"}),
        ({"price": {"amount": 1, "currency": "XXX"}}, {"price.currency"}),
        ({"price": {"amount": 1}}, {"price.currency"}),
        ({"category": "no-such-thing"}, {"category"}),
        (
            {"category": "no-such-thing", "price": {"amount": 1, "currency": "ABC"}},
            {"category", "price.currency"},
        ),
        ({"tags": ["x"] * 11}, {"tags"}),
        ({"tags": ["x" * 51, "", 3]}, {"tags.0", "tags.1", "tags.2"}),
        ({"images": ["x"] * 11}, {"images"}),
        ({"condition": 1, "colour": "red"}, {"condition", "colour"}),
        ({"sellerId": "other"}, {"sellerId"}),
        ({"title": None, "description": 1, "price": 2}, {"title", "description", "price"}),
    ],
)
def test_a_422_response_names_all_invalid_fields(
    catalog: Catalog, changes: dict[str, Any], fields: set[str]
) -> None:
    assert (
        wrong_fields(problem(catalog.call("POST", "/listings", {**LISTING, **changes}), 422))
        == fields
    )


@pytest.mark.parametrize("amount", [0, 1, MAX_AMOUNT])
def test_amounts_are_stored_exactly(catalog: Catalog, amount: int) -> None:
    listing = catalog.create(price={"amount": amount, "currency": "JPY"})
    assert catalog.listing(listing["listingId"])["price"] == {"amount": amount, "currency": "JPY"}


def test_currencies_are_three_letter_codes() -> None:
    assert {"EUR", "USD", "JPY", "CHF", "KWD"} <= CURRENCIES
    assert all(len(code) == 3 and code.isalpha() and code.isupper() for code in CURRENCIES)
    assert not {"XXX", "XTS", "XAU", "DEM"} & CURRENCIES


@pytest.mark.parametrize("listing_id", ["0" * 32, "nonsense", "a" * 31, "0" * 31 + "G", "%27%3B--"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"title": "x"}),
        ("DELETE", "", None),
        ("POST", "/ratings", {"stars": 5}),
        ("POST", "/contact", {"message": "Hello"}),
    ],
)
def test_unknown_listings_return_404(
    catalog: Catalog, listing_id: str, method: str, path: str, body: object
) -> None:
    response = catalog.call(method, f"/listings/{listing_id}{path}", body)
    problem(response, 404)


def test_a_patch_keeps_fields_that_it_omits(catalog: Catalog) -> None:
    listing = catalog.create(tags=["fast"], condition="used")
    response = catalog.call(
        "PATCH",
        f"/listings/{listing['listingId']}",
        {"title": "New", "condition": None},
        if_match='"1"',
    )
    assert (response["statusCode"], response["headers"]["ETag"]) == (200, '"2"')
    changed = document(response)
    assert changed["updatedAt"] >= listing["updatedAt"]
    assert changed == {
        **listing,
        "title": "New",
        "condition": None,
        "version": 2,
        "updatedAt": changed["updatedAt"],
    }


def test_a_patch_with_the_same_values_keeps_the_version(catalog: Catalog) -> None:
    listing = catalog.create()
    assert (
        document(
            catalog.call("PATCH", f"/listings/{listing['listingId']}", {"title": listing["title"]})
        )
        == listing
    )
    assert catalog.bus.types() == ["ListingCreated"]


def test_a_patch_of_an_old_version_returns_412(catalog: Catalog) -> None:
    path = f"/listings/{catalog.create()['listingId']}"
    assert catalog.call("PATCH", path, {"title": "One"}, if_match='"1"')["statusCode"] == 200
    assert (
        problem(catalog.call("PATCH", path, {"title": "Two"}, if_match='"1"'), 412)["code"]
        == "stale_version"
    )
    problem(catalog.call("DELETE", path, if_match='"1"'), 412)
    assert document(catalog.call("GET", path))["title"] == "One"


def test_a_patch_detects_a_change_between_its_read_and_write(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two PATCH requests read version 1, so both pass the If-Match check.

    The request that writes second fails.
    """
    created = catalog.create()
    path, find = f"/listings/{created['listingId']}", catalog.service._store.find
    changes = iter([lambda: catalog.call("PATCH", path, {"title": "Theirs"})])

    def interrupted(listing_id: str) -> Any:
        listing = find(listing_id)
        if change := next(changes, None):
            change()
        return listing

    monkeypatch.setattr(catalog.service._store, "find", interrupted)
    problem(catalog.call("PATCH", path, {"title": "Ours"}, if_match='"1"'), 412)
    assert catalog.listing(created["listingId"])["title"] == "Theirs"
    changes = iter([lambda: catalog.call("PATCH", path, {"title": "Again theirs"})])
    # Without If-Match, the request is applied to the new version.
    assert document(catalog.call("PATCH", path, {"description": "Ours"}))["version"] == 4
    assert catalog.listing(created["listingId"])["title"] == "Again theirs"


def test_only_the_seller_can_change_or_delete_a_listing(catalog: Catalog) -> None:
    path = f"/listings/{catalog.create()['listingId']}"
    assert (
        problem(catalog.call("PATCH", path, {"title": "x"}, user="other"), 403)["code"]
        == "not_the_seller"
    )
    assert problem(catalog.call("DELETE", path, user="other"), 403)["code"] == "not_the_seller"
    assert (
        problem(catalog.call("PATCH", path, {"title": "x"}, user=""), 403)["code"]
        == "anonymous_not_allowed"
    )


ALLOWED = {
    "active": {"reserved", "sold", "removed"},
    "reserved": {"active", "sold", "removed"},
    "sold": {"removed"},
}


@pytest.mark.parametrize("before", ALLOWED)
@pytest.mark.parametrize("after", ["active", "reserved", "sold", "removed"])
def test_only_documented_status_transitions_are_allowed(
    catalog: Catalog, before: str, after: str
) -> None:
    path = f"/listings/{catalog.create()['listingId']}"
    if before != "active":
        assert catalog.call("PATCH", path, {"status": before})["statusCode"] == 200
    response = catalog.call("PATCH", path, {"status": after})
    if after == before or after in ALLOWED[before]:
        assert document(response)["status"] == after
    else:
        assert problem(response, 409)["code"] == "status_transition"


def test_every_route_returns_404_for_a_deleted_listing(catalog: Catalog) -> None:
    listing_id = catalog.create(images=["seller/1"])["listingId"]
    catalog.call("PUT", f"/wishlist/{listing_id}", user="buyer")
    assert catalog.call("DELETE", f"/listings/{listing_id}")["statusCode"] == 204
    for response in (
        catalog.call("GET", f"/listings/{listing_id}"),
        catalog.call("DELETE", f"/listings/{listing_id}"),
        catalog.call("PUT", f"/wishlist/{listing_id}", user="buyer"),
    ):
        problem(response, 404)
    assert (
        catalog.search()["items"] == catalog.search(user="seller", sellerId="seller")["items"] == []
    )
    assert catalog.pages("/wishlist") == [[]]
    assert catalog.pictures.removed == catalog.pictures.stored
    [_, event] = catalog.bus.accepted
    assert (event["DetailType"], json.loads(event["Detail"])["data"]["status"]) == (
        "ListingUpdated",
        "removed",
    )


def test_uploads_become_images_with_urls(catalog: Catalog) -> None:
    listing = catalog.create(images=["seller/1", "seller/2"])
    first, second = listing["images"]
    assert first.startswith("https://cdn.test/images/catalog/")
    path = f"/listings/{listing['listingId']}"
    changed = document(catalog.call("PATCH", path, {"images": ["seller/3", second]}))
    assert changed["images"][1] == second
    assert changed["images"][0] not in {first, second}
    assert catalog.pictures.removed == [first.removeprefix("https://cdn.test/")]
    refused = catalog.call("PATCH", path, {"images": [second, "other/1", "https://elsewhere/x"]})
    assert wrong_fields(problem(refused, 422)) == {"images.1", "images.2"}


def test_an_image_that_a_request_contains_twice_is_copied_once(catalog: Catalog) -> None:
    assert len(catalog.create(images=["seller/1", "seller/1"])["images"]) == 1
    assert len(catalog.pictures.stored) == 1


def test_copied_images_are_kept_if_it_is_unknown_whether_the_listing_was_stored(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction commits, but its response is lost."""
    add = catalog.service._store.add

    def add_without_response(*arguments: Any) -> None:
        add(*arguments)
        raise ConnectionError

    monkeypatch.setattr(catalog.service._store, "add", add_without_response)
    response = catalog.call("POST", "/listings", {**LISTING, "images": ["seller/1"]})
    assert response["statusCode"] >= 500
    assert catalog.pictures.stored
    assert catalog.pictures.removed == []


def test_images_are_deleted_if_storing_the_listing_fails(
    catalog: Catalog, postgres: Postgres
) -> None:
    assert catalog.service._subtree("bicycles")
    postgres.run(
        "DELETE FROM catalog.categories WHERE slug = 'pets'",
        catalog.database._settings.rds_database,
    )
    try:
        response = catalog.call(
            "POST", "/listings", {**LISTING, "category": "pets", "images": ["seller/1"]}
        )
        assert wrong_fields(problem(response, 422)) == {"category"}
        assert catalog.pictures.removed == catalog.pictures.stored != []
    finally:
        sql = "INSERT INTO catalog.categories VALUES ('pets', 'Pets', 'family', 3)"
        postgres.run(sql, catalog.database._settings.rds_database)


def test_an_upload_is_signed_for_the_caller(catalog: Catalog) -> None:
    body = {"contentType": "image/png", "contentLength": 1000}
    response = catalog.call("POST", "/uploads", body)
    assert response["statusCode"] == 201
    assert document(response).keys() == {"upload", "key"}
    wrong = catalog.call(
        "POST", "/uploads", {"contentType": "image/gif", "contentLength": 6 * 2**20}
    )
    assert wrong_fields(problem(wrong, 422)) == {"contentType", "contentLength"}


def counts(catalog: Catalog) -> dict[str, int]:
    """Returns the counts of all categories that have listings."""
    by_slug: dict[str, int] = {}

    def walk(nodes: list[dict[str, Any]], parent: str | None) -> None:
        for node in nodes:
            assert node.keys() == {"slug", "name", "parent", "count", "children"}
            assert node["parent"] == parent
            if node["count"]:
                by_slug[node["slug"]] = node["count"]
            walk(node["children"], node["slug"])

    response = document(catalog.call("GET", "/categories", user=""))
    assert response["nextCursor"] is None
    walk(response["items"], None)
    return by_slug


def test_categories_count_active_listings_of_all_subcategories(catalog: Catalog) -> None:
    assert counts(catalog) == {}
    laptop = catalog.create(category="laptops")["listingId"]
    catalog.create(category="computers")
    assert counts(catalog) == {"electronics": 2, "computers": 2, "laptops": 1}
    catalog.call("PATCH", f"/listings/{laptop}", {"category": "books"})
    assert counts(catalog) == {"electronics": 1, "computers": 1, "leisure": 1, "books": 1}
    catalog.call("PATCH", f"/listings/{laptop}", {"status": "reserved"})
    assert counts(catalog) == {"electronics": 1, "computers": 1}
    catalog.call("PATCH", f"/listings/{laptop}", {"status": "active", "category": "laptops"})
    catalog.call("DELETE", f"/listings/{laptop}")
    assert counts(catalog) == {"electronics": 1, "computers": 1}


def titles(page: dict[str, Any]) -> list[str]:
    return [item["title"] for item in page["items"]]


def test_search_matches_word_forms_and_ranks_titles_first(catalog: Catalog) -> None:
    catalog.create(title="A lamp", description="It lights up bicycles")
    catalog.create(title="Old bicycles", description="Two of them")
    catalog.create(title="A lock", description="For anything", tags=["bicycle"])
    catalog.create(title="A table", description="Of wood")
    assert titles(catalog.search(q="bicycle")) == ["Old bicycles", "A lock", "A lamp"]
    assert sorted(titles(catalog.search(q="bicycle -lamp"))) == ["A lock", "Old bicycles"]
    assert titles(catalog.search(q='"old bicycle"')) == ["Old bicycles"]
    assert titles(catalog.search(q="bicycle", sort="newest")) == [
        "A lock",
        "Old bicycles",
        "A lamp",
    ]
    assert catalog.search(q="nothing")["items"] == []


@pytest.mark.parametrize(
    "q",
    [
        *("'", "';DROP TABLE catalog.listings;--", ":*", "& | !", "(((", '"', "\\", "%", ":q"),
        *("$1", "\u0301", '"\u0301"', "-\u0301", "\u0301 -"),
    ],
    ids=ascii,
)
def test_search_text_is_never_run_as_sql(catalog: Catalog, q: str) -> None:
    catalog.create()
    assert catalog.search(q=q)["items"] == []
    assert len(catalog.search()["items"]) == 1


def test_search_filters_and_sorts(catalog: Catalog) -> None:
    for title, amount, category in (
        ("a", 300, "laptops"),
        ("b", 100, "desktops"),
        ("c", 200, "books"),
        ("d", 100, "laptops"),
    ):
        catalog.create(
            user=f"seller-{title}",
            title=title,
            price={"amount": amount, "currency": "EUR"},
            category=category,
        )
    assert titles(catalog.search()) == ["d", "c", "b", "a"]
    cheapest = titles(catalog.search(sort="price", currency="EUR"))
    assert (cheapest[2:], sorted(cheapest[:2])) == (["c", "a"], ["b", "d"])
    assert titles(catalog.search(sort="-price", currency="EUR")) == cheapest[::-1]
    assert titles(catalog.search(category="laptops")) == ["d", "a"]
    assert titles(catalog.search(category="electronics")) == ["d", "b", "a"]
    page = catalog.search(category="electronics", sort="-price", maxPrice="250", currency="EUR")
    assert titles(page)[0] in {"b", "d"}
    assert titles(catalog.search(minPrice="150", maxPrice="300", currency="EUR")) == ["c", "a"]
    assert titles(catalog.search(minPrice="200", maxPrice="200", currency="EUR")) == ["c"]
    assert titles(catalog.search(sellerId="seller-b")) == ["b"]
    assert titles(catalog.search(q="a", sellerId="seller-a")) == ["a"]


def test_prices_are_compared_within_one_currency(catalog: Catalog) -> None:
    for currency, amount in (("EUR", 100), ("JPY", 90), ("EUR", 80)):
        catalog.create(title=currency, price={"amount": amount, "currency": currency})
    assert titles(catalog.search(sort="price", currency="EUR")) == ["EUR", "EUR"]
    assert titles(catalog.search(maxPrice="95", currency="JPY")) == ["JPY"]
    assert titles(catalog.search(currency="JPY")) == ["JPY"]
    for query in ({"sort": "price"}, {"sort": "-price"}, {"minPrice": "1"}, {"maxPrice": "1"}):
        response = catalog.call("GET", "/listings", query=query)
        assert wrong_fields(problem(response, 422)) == {"currency"}
    response = catalog.call("GET", "/listings", query={"currency": "XXX"})
    assert wrong_fields(problem(response, 422)) == {"currency"}


SEARCHES = {
    "The Who": ["the who", "The Who", "who", '"the who"'],
    "It": ["it", "IT"],
    "AT&T": ["AT&T", "at&t", "at t"],
    "Café crème": ["cafe", "CAFÉ", "cafe\u0301", "creme", "caf"],
    "Straße": ["strasse", "STRASSE", "straße"],
    "node.js in action": ["node", "node.js", "js", "node js", "NODE.JS"],
    "Laptop sleeve": ["lap", "laptops", "sleev", "laptop sle"],
    "东京塔 poster": ["东京", "京塔", "塔", "东京塔"],
    "東京タワー": ["タワー", "東京"],
    "서울 지도": ["서울", "지도"],
    "Жук": ["жук", "ЖУК"],
    "\uff21\uff22\uff23 \uff11\uff12\uff13": ["abc", "123"],
    "T-shirt (XL)": ["t-shirt", "shirt", "xl"],
    "Œuvre n°5": ["oeuvre"],
}


@pytest.mark.parametrize("title", SEARCHES)
def test_search_finds_a_title_by_words_and_prefixes(catalog: Catalog, title: str) -> None:
    for other_title in SEARCHES:
        catalog.create(
            title=other_title, description="It is the one that who knows sells in a shop"
        )
    for q in SEARCHES[title]:
        assert titles(catalog.search(q=q)) == [title], q


def test_whole_words_rank_before_prefixes(catalog: Catalog) -> None:
    catalog.create(title="A lamp")
    catalog.create(title="Lampshades and lampposts")
    catalog.create(title="A table", description="With a lamp")
    assert titles(catalog.search(q="lamp")) == ["A lamp", "A table", "Lampshades and lampposts"]


def test_only_the_seller_sees_reserved_and_sold_listings(catalog: Catalog) -> None:
    listing_id = catalog.create(title="mine")["listingId"]
    catalog.call("PATCH", f"/listings/{listing_id}", {"status": "sold"})
    assert titles(catalog.search(user="seller", sellerId="seller")) == ["mine"]
    assert (
        titles(catalog.search(user="buyer", sellerId="seller"))
        == titles(catalog.search(user="seller"))
        == []
    )


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({"sort": "oldest"}, {"sort"}),
        ({"sort": "relevance"}, {"sort"}),
        ({"limit": "0"}, {"limit"}),
        ({"limit": "101", "minPrice": "-1"}, {"limit", "minPrice"}),
        ({"minPrice": "2", "maxPrice": "1"}, {"currency", "maxPrice"}),
        ({"minPrice": "1.5", "maxPrice": "many"}, {"minPrice", "maxPrice"}),
        ({"category": "no-such-thing"}, {"category"}),
        ({"category": "'; --"}, {"category"}),
        ({"q": " "}, {"q"}),
    ],
)
def test_a_422_response_names_the_invalid_filter(
    catalog: Catalog, query: dict[str, str], fields: set[str]
) -> None:
    assert wrong_fields(problem(catalog.call("GET", "/listings", query=query), 422)) == fields


def test_a_cursor_of_another_list_is_rejected(catalog: Catalog) -> None:
    for _ in range(3):
        catalog.create()
    cursor = catalog.search(limit="1")["nextCursor"]
    assert cursor
    for query in (
        {"cursor": cursor, "sort": "price", "currency": "EUR"},
        {"cursor": cursor + "x"},
        {"cursor": cursor, "category": "books"},
    ):
        assert (
            problem(catalog.call("GET", "/listings", query=query), 400)["code"] == "invalid_cursor"
        )
    own = document(catalog.call("GET", "/listings", query={"limit": "1", "sellerId": "seller"}))[
        "nextCursor"
    ]
    problem(
        catalog.call("GET", "/listings", query={"cursor": own, "sellerId": "seller"}, user="other"),
        400,
    )
    problem(catalog.call("GET", "/wishlist", query={"cursor": cursor}), 400)


def test_the_wishlist_has_no_duplicates_and_starts_with_the_newest_wish(catalog: Catalog) -> None:
    first, second = (catalog.create()["listingId"] for _ in range(2))
    for listing_id in (second, first, second):
        assert catalog.call("PUT", f"/wishlist/{listing_id}", user="buyer")["statusCode"] == 204
    assert [
        [item["listingId"] for item in page] for page in catalog.pages("/wishlist", limit="1")
    ] == [
        [first],
        [second],
    ]
    assert catalog.pages("/wishlist", user="other") == [[]]
    for _ in range(2):
        assert catalog.call("DELETE", f"/wishlist/{first}", user="buyer")["statusCode"] == 204
    assert catalog.call("DELETE", "/wishlist/nonsense", user="buyer")["statusCode"] == 204
    assert [len(page) for page in catalog.pages("/wishlist")] == [1]
    problem(catalog.call("PUT", "/wishlist/nonsense", user="buyer"), 404)


def test_ratings_are_averaged(catalog: Catalog) -> None:
    listing_id = catalog.create()["listingId"]
    first = catalog.call(
        "POST", f"/listings/{listing_id}/ratings", {"stars": 5, "comment": "Good"}, user="a"
    )
    assert first["statusCode"] == 201
    rating = document(first)
    assert rating["createdAt"].endswith("Z")
    assert rating | {"createdAt": 0} == {
        "listingId": listing_id,
        "userId": "a",
        "stars": 5,
        "comment": "Good",
        "createdAt": 0,
        "ratingAverage": 5.0,
        "ratingCount": 1,
    }
    for user, stars in (("b", 4), ("c", 4)):
        catalog.call("POST", f"/listings/{listing_id}/ratings", {"stars": stars}, user=user)
    listing = catalog.listing(listing_id)
    # A rating does not change the version, so the seller's If-Match stays valid.
    assert (listing["ratingAverage"], listing["ratingCount"], listing["version"]) == (4.33, 3, 1)


def test_users_cannot_rate_a_listing_twice_or_rate_their_own_listing(catalog: Catalog) -> None:
    listing_id = catalog.create()["listingId"]
    path = f"/listings/{listing_id}/ratings"
    assert problem(catalog.call("POST", path, {"stars": 5}), 403)["code"] == "own_listing"
    assert catalog.call("POST", path, {"stars": 5}, user="a")["statusCode"] == 201
    assert (
        problem(catalog.call("POST", path, {"stars": 1}, user="a"), 409)["code"] == "already_rated"
    )
    assert (
        catalog.listing(listing_id)["ratingAverage"],
        catalog.listing(listing_id)["ratingCount"],
    ) == (5.0, 1)
    assert catalog.bus.types() == ["ListingCreated", "ListingRated"]
    for body in ({"stars": 0}, {"stars": 6}, {"stars": 4.5}, {"stars": "5"}, {}):
        assert wrong_fields(problem(catalog.call("POST", path, body, user="b"), 422)) == {"stars"}


def test_a_repeated_attempt_with_the_same_id_creates_nothing(
    catalog: Catalog, postgres: Postgres, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lambdas.common.web.http.new_id", lambda: "0" * 32)
    first = catalog.create(images=["seller/1"])
    assert catalog.create(images=["seller/1"]) == first
    # The second attempt copied the image again before its transaction failed. Therefore the
    # service removes the second copy.
    assert catalog.pictures.removed == catalog.pictures.stored[1:]
    path = f"/listings/{first['listingId']}/contact"
    for _ in range(2):
        response = catalog.call("POST", path, {"message": "Hello"}, user="buyer")
        assert response["statusCode"] == 202
    [[inquiries]] = postgres.run("SELECT count(*) FROM catalog.inquiries", name)
    assert inquiries == 1
    assert catalog.bus.types() == ["ListingCreated", "SellerContacted"]


def test_a_repeated_rating_returns_the_rating_of_the_first_attempt(catalog: Catalog) -> None:
    listing_id = catalog.create()["listingId"]
    buyer = person("buyer")
    first = catalog.service.rate(buyer, listing_id, 4, "Good", may_exist=True)
    assert catalog.service.rate(buyer, listing_id, 4, "Good", may_exist=True) == first
    assert first.rating_count == 1
    for stars, comment, may_exist in ((5, "Good", True), (4, None, True), (4, "Good", False)):
        with pytest.raises(Problem) as refused:
            catalog.service.rate(buyer, listing_id, stars, comment, may_exist=may_exist)
        assert refused.value.code == "already_rated"
    assert catalog.bus.types() == ["ListingCreated", "ListingRated"]


def test_an_inquiry_is_stored_and_its_event_omits_the_text(
    catalog: Catalog, postgres: Postgres, name: str
) -> None:
    listing_id = catalog.create()["listingId"]
    path, message = f"/listings/{listing_id}/contact", "Is it still there? Call 555-0100"
    response = catalog.call("POST", path, {"message": message}, user="buyer")
    assert (response["statusCode"], response["body"]) == (202, "")
    [[sender, text]] = postgres.run("SELECT sender_id, message FROM catalog.inquiries", name)
    assert (sender, text) == ("buyer", message)
    event = catalog.bus.accepted[-1]
    assert (event["DetailType"], event["Source"], event["EventBusName"]) == (
        "SellerContacted",
        "multitask.catalog",
        "bus",
    )
    data = json.loads(event["Detail"])["data"]
    assert (data["listingId"], data["sellerId"]) == (listing_id, "seller")
    published = str(catalog.bus.accepted)
    assert "Is it still there" not in published
    assert "555-0100" not in published
    assert problem(catalog.call("POST", path, {"message": "x"}), 403)["code"] == "own_listing"
    for body in ({"message": " "}, {"message": "x" * 2001}, {}):
        assert wrong_fields(problem(catalog.call("POST", path, body, user="buyer"), 422)) == {
            "message"
        }


def test_events_have_the_format_of_the_contract(catalog: Catalog) -> None:
    listing_id = catalog.create()["listingId"]
    catalog.call("PATCH", f"/listings/{listing_id}", {"title": "New", "status": "sold"})
    created, updated, sold = catalog.bus.accepted
    assert [entry["DetailType"] for entry in (created, updated, sold)] == [
        "ListingCreated",
        "ListingUpdated",
        "ListingSold",
    ]
    details = [json.loads(entry["Detail"]) for entry in (created, updated, sold)]
    for detail in details:
        assert detail.keys() == {"eventId", "occurredAt", "correlationId", "actorId", "data"}
        assert detail["actorId"] == detail["data"]["sellerId"] == "seller"
        assert detail["correlationId"]
    assert details[1]["data"]["changed"] == ["status", "title"]
    assert len({detail["eventId"] for detail in details}) == 3


SWEEP = {"source": "aws.events", "detail-type": "Scheduled Event"}


def test_the_sweep_publishes_events_after_an_outage_of_the_bus(
    catalog: Catalog, postgres: Postgres, name: str
) -> None:
    catalog.bus.failure = UNAVAILABLE
    catalog.create()
    assert catalog.bus.accepted == []
    with pytest.raises(NotPublishedError, match="batch of 1"):
        catalog.function(SWEEP, None)
    assert postgres.run("SELECT count(*) FROM catalog.outbox", name) == [[1]]
    catalog.bus.failure = {}
    assert catalog.function(SWEEP, None) == {"swept": 1}
    assert catalog.bus.types() == ["ListingCreated"]
    assert catalog.function(SWEEP, None) == {"swept": 0}
    assert postgres.run("SELECT count(*) FROM catalog.outbox", name) == [[0]]


def test_the_sweep_publishes_events_after_a_crash(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_ids: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(catalog.relay, "publish", crash)
        with pytest.raises(SystemExit):
            catalog.create()
    assert catalog.bus.accepted == []
    assert catalog.function(SWEEP, None) == {"swept": 1}


def test_an_event_that_the_bus_rejects_stays_stored_and_others_are_published(
    catalog: Catalog,
) -> None:
    catalog.bus.failure = {"ListingUpdated": "ThrottlingException"}
    listing_id = catalog.create()["listingId"]
    catalog.call("PATCH", f"/listings/{listing_id}", {"status": "sold"})
    assert catalog.bus.types() == ["ListingCreated", "ListingSold"]
    catalog.bus.failure = {}
    assert catalog.function(SWEEP, None) == {"swept": 1}


def test_the_sweep_publishes_several_batches(catalog: Catalog) -> None:
    catalog.bus.failure = UNAVAILABLE
    for _ in range(25):
        catalog.create()
    catalog.bus.failure = {}
    assert catalog.function(SWEEP, None) == {"swept": 25}
    assert len(set(catalog.bus.ids())) == 25


def test_the_sweep_skips_events_that_another_process_has_locked(
    catalog: Catalog, postgres: Postgres, name: str
) -> None:
    catalog.bus.failure = UNAVAILABLE
    catalog.create()
    catalog.bus.failure = {}
    with postgres.connect(database=name) as connection:
        connection.run("BEGIN")
        connection.run("SELECT * FROM catalog.outbox FOR UPDATE")
        assert catalog.function(SWEEP, None) == {"swept": 0}
        assert catalog.bus.accepted == []
        connection.run("ROLLBACK")
    assert catalog.function(SWEEP, None) == {"swept": 1}


def test_a_failed_transaction_publishes_no_event(
    catalog: Catalog, postgres: Postgres, name: str
) -> None:
    listing_id = catalog.create()["listingId"]
    catalog.call("POST", f"/listings/{listing_id}/ratings", {"stars": 5}, user="a")
    catalog.call("POST", f"/listings/{listing_id}/ratings", {"stars": 5}, user="a")
    assert catalog.bus.types().count("ListingRated") == 1
    assert postgres.run("SELECT count(*) FROM catalog.outbox", name) == [[0]]


def test_the_sweep_is_skipped_while_the_database_is_unavailable(
    catalog: Catalog, connected: Database
) -> None:
    object.__setattr__(
        connected,
        "_settings",
        connected._settings.__class__(
            stage="local",
            region="us-east-1",
            rds_endpoint="127.0.0.1:9",
            rds_database="d",
            rds_username="catalog",
        ),
    )
    assert catalog.function(SWEEP, None) == {"swept": 0}


def test_only_the_seller_can_read_the_inquiries_about_a_listing(catalog: Catalog) -> None:
    listing_id = catalog.create()["listingId"]
    path = f"/listings/{listing_id}"
    for number in range(3):
        catalog.call("POST", f"{path}/contact", {"message": f"Hello {number}"}, user="buyer")
    pages = catalog.pages(f"{path}/inquiries", user="seller", limit="2")
    assert [len(page) for page in pages] == [2, 1]
    messages = [item for page in pages for item in page]
    assert [item["message"] for item in messages] == ["Hello 2", "Hello 1", "Hello 0"]
    assert messages[0].keys() == {"inquiryId", "senderId", "message", "createdAt"}
    assert {item["senderId"] for item in messages} == {"buyer"}
    problem(catalog.call("GET", f"{path}/inquiries", user="buyer"), 403, "not_the_seller")
    problem(catalog.call("GET", f"/listings/{'0' * 32}/inquiries"), 404)


def test_everyone_can_read_the_ratings_of_a_listing(catalog: Catalog) -> None:
    listing_id = catalog.create()["listingId"]
    path = f"/listings/{listing_id}/ratings"
    for user, comment in (("ada", "Good"), ("bob", None), ("eve", "Fine")):
        body = {"stars": 4, **({"comment": comment} if comment else {})}
        assert catalog.call("POST", path, body, user=user)["statusCode"] == 201
    pages = catalog.pages(path, user="", limit="2")
    assert [len(page) for page in pages] == [2, 1]
    ratings = [(item["userId"], item["comment"]) for page in pages for item in page]
    assert ratings == [("eve", "Fine"), ("bob", None), ("ada", "Good")]
    assert pages[0][0].keys() == {"userId", "stars", "comment", "createdAt"}
    problem(catalog.call("GET", f"/listings/{'0' * 32}/ratings"), 404)


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Other"},
        {"price": {"amount": 1, "currency": "EUR"}},
        {"description": "Other"},
        {"tags": ["other"]},
        {"category": "books"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_sold_listing_cannot_be_edited(catalog: Catalog, changes: dict[str, Any]) -> None:
    path = f"/listings/{catalog.create()['listingId']}"
    sold = document(catalog.call("PATCH", path, {"status": "sold", "title": "Sold"}))
    problem(catalog.call("PATCH", path, changes), 409, "listing_sold")
    assert document(catalog.call("GET", path)) == sold
    assert document(catalog.call("PATCH", path, {"title": "Sold"})) == sold
    problem(catalog.call("PATCH", path, {**changes, "status": "active"}), 409, "status_transition")
    assert catalog.call("DELETE", path)["statusCode"] == 204
