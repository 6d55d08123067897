"""Calls every route of the catalog function, and starts the sweep of its outbox."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from tests.e2e.scenarios.context import PNG, ScenarioContext
from tests.e2e.support.users import User

CATALOG = "/v1/catalog"
LISTING = {
    "title": "A red bicycle",
    "description": "Hardly used",
    "price": {"amount": 12_345, "currency": "EUR"},
    "category": "bicycles",
}


def run_scenario(context: ScenarioContext) -> Iterator[str]:
    ann, bob = context.get_user("Ann Example"), context.get_user("Bob Example")
    word = f"word{uuid.uuid4().hex[:8]}"

    def call(
        method: str, path: str, body: object = None, *, user: User = ann, **options: Any
    ) -> Any:
        return context.call(user, method, CATALOG + path, body, **options)

    signed = call(
        "POST", "/uploads", {"contentType": "image/png", "contentLength": len(PNG)}, status=201
    )
    image = context.upload(signed)
    yield f"POST {CATALOG}/uploads"
    key, body = uuid.uuid4().hex, {**LISTING, "title": f"{word} one", "images": [image]}
    call("POST", "/listings", {**body, "title": ""}, status=422, key=key)
    listing = call("POST", "/listings", body, status=201, key=key)
    assert call("POST", "/listings", body, status=201, key=key) == listing
    call("POST", "/listings", {**LISTING, "title": f"{word} two"}, status=201)
    yield f"POST {CATALOG}/listings"
    page = call("GET", f"/listings?q={word}&limit=1", user=bob)
    call("GET", f"/listings?q={word}&limit=1&cursor={page['nextCursor']}", user=bob)
    yield f"GET {CATALOG}/listings"
    listing_path = f"/listings/{listing['listingId']}"
    call("GET", listing_path, user=bob)
    yield f"GET {CATALOG}/listings/{{listingId}}"
    call("GET", "/categories", user=bob)
    yield f"GET {CATALOG}/categories"
    call("PUT", f"/wishlist/{listing['listingId']}", status=204, user=bob)
    yield f"PUT {CATALOG}/wishlist/{{listingId}}"
    assert call("GET", "/wishlist", user=bob)["items"]
    yield f"GET {CATALOG}/wishlist"
    call("DELETE", f"/wishlist/{listing['listingId']}", status=204, user=bob)
    yield f"DELETE {CATALOG}/wishlist/{{listingId}}"
    # A new user for each run, because a user can rate only once.
    call(
        "POST",
        f"{listing_path}/ratings",
        {"stars": 4},
        status=201,
        user=User.create(context.platform, "Cy Example"),
    )
    yield f"POST {CATALOG}/listings/{{listingId}}/ratings"
    assert call("GET", f"{listing_path}/ratings", user=bob)["items"]
    yield f"GET {CATALOG}/listings/{{listingId}}/ratings"
    call("POST", f"{listing_path}/contact", {"message": "Is it still there?"}, status=202, user=bob)
    yield f"POST {CATALOG}/listings/{{listingId}}/contact"
    assert call("GET", f"{listing_path}/inquiries")["items"]
    yield f"GET {CATALOG}/listings/{{listingId}}/inquiries"
    call("PATCH", listing_path, {"images": [], "status": "reserved"})
    yield f"PATCH {CATALOG}/listings/{{listingId}}"
    call("DELETE", listing_path, status=204)
    yield f"DELETE {CATALOG}/listings/{{listingId}}"


def run_sweep(context: ScenarioContext) -> Iterator[str]:
    result = context.client("lambda").invoke(
        FunctionName="catalog-lambda-local",
        Qualifier="live",
        Payload=json.dumps({"source": "aws.events"}).encode(),
    )
    response = json.loads(result["Payload"].read())
    assert "FunctionError" not in result, response
    assert "swept" in response
    yield "sweep"
