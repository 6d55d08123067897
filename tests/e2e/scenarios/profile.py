"""Calls every route of the profile function as the owner, and reads the profile as another user."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from tests.e2e.scenarios.context import PNG, ScenarioContext

PROFILE = "/v1/profile"


def run_scenario(context: ScenarioContext) -> Iterator[str]:
    ann, bob = context.get_user("Ann Example"), context.get_user("Bob Example")

    def call(method: str, path: str = "", body: object = None, status: int = 200) -> Any:
        return context.api.call(method, PROFILE + path, body, token=ann.token).expect(status)

    call("GET")
    yield f"GET {PROFILE}"
    call(
        "PUT",
        "",
        {"displayName": "Ann E.", "bio": "", "location": "", "socialLinks": {}, "interests": []},
    )
    yield f"PUT {PROFILE}"
    call("PATCH", "", {"bio": "Likes tea"})
    yield f"PATCH {PROFILE}"
    context.api.get(f"{PROFILE}/{ann.user_id}", token=bob.token).expect(200)
    yield f"GET {PROFILE}/{{userId}}"
    signed = call(
        "POST", "/avatar", {"contentType": "image/png", "contentLength": len(PNG)}, status=201
    )
    key = context.upload(signed)
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
    call("GET", "/alias?contextType=post&context=scenario")
    yield f"GET {PROFILE}/alias"
    headers, alias_context = {"Idempotency-Key": uuid.uuid4().hex}, {"contextType": "post"}
    named_context = {**alias_context, "context": "scenario"}
    aliases = [
        context.api.post(f"{PROFILE}/alias/regenerate", body, token=ann.token, headers=headers)
        for body in (alias_context, named_context, named_context)
    ]
    aliases[0].expect(422)
    assert aliases[1].expect(200) == aliases[2].expect(200)
    yield f"POST {PROFILE}/alias/regenerate"
