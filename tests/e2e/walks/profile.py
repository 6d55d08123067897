"""The walk of the profile function: the owner's operations, and the views of other users."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from tests.e2e.walks.world import PNG, World

PROFILE = "/v1/profile"


def walk(world: World) -> Iterator[str]:
    ann, bob = world.user("Ann Example"), world.user("Bob Example")

    def call(method: str, path: str = "", body: object = None, status: int = 200) -> Any:
        return world.api.call(method, PROFILE + path, body, token=ann.token).expect(status)

    call("GET")
    yield f"GET {PROFILE}"
    call(
        "PUT",
        "",
        {"displayName": "Ann E.", "bio": "", "location": "", "socialLinks": {}, "interests": []},
    )
    yield f"PUT {PROFILE}"
    call("PATCH", "", {"bio": "Walks"})
    yield f"PATCH {PROFILE}"
    world.api.get(f"{PROFILE}/{ann.user_id}", token=bob.token).expect(200)
    yield f"GET {PROFILE}/{{userId}}"
    signed = call(
        "POST", "/avatar", {"contentType": "image/png", "contentLength": len(PNG)}, status=201
    )
    key = world.upload(signed)
    yield f"POST {PROFILE}/avatar"
    call("PUT", "/avatar", {"key": key})
    yield f"PUT {PROFILE}/avatar"
    call("DELETE", "/avatar", status=204)
    yield f"DELETE {PROFILE}/avatar"
    privacy = call("GET", "/privacy")
    yield f"GET {PROFILE}/privacy"
    call("PUT", "/privacy", privacy)
    yield f"PUT {PROFILE}/privacy"
    preferences = call("GET", "/preferences")
    yield f"GET {PROFILE}/preferences"
    call("PUT", "/preferences", preferences)
    yield f"PUT {PROFILE}/preferences"
    call("GET", "/alias?contextType=post&context=walk")
    yield f"GET {PROFILE}/alias"
    headers, context = {"Idempotency-Key": uuid.uuid4().hex}, {"contextType": "post"}
    aliases = [
        world.api.post(f"{PROFILE}/alias/regenerate", body, token=ann.token, headers=headers)
        for body in (context, {**context, "context": "walk"}, {**context, "context": "walk"})
    ]
    aliases[0].expect(422)
    assert aliases[1].expect(200) == aliases[2].expect(200)
    yield f"POST {PROFILE}/alias/regenerate"
