"""Tests the events of the auth service."""

from __future__ import annotations

import json

from tests.e2e.support import PASSWORD, Api, Inbox, Person


def test_account_changes_are_published(bus: Inbox, person: Person, api: Api) -> None:
    passwords = {"currentPassword": PASSWORD, "newPassword": "Better-horse-2"}
    headers = {"X-Correlation-Id": "trace-of-a-change"}
    api.post(
        "/v1/auth/change-password", passwords, token=person.access_token, headers=headers
    ).expect(204)
    api.post("/v1/auth/logout", token=person.access_token).expect(204)
    registered = bus.of(person, "UserRegistered")
    assert registered["source"] == "multitask.auth"
    assert registered["detail"].keys() == {
        "eventId",
        "occurredAt",
        "correlationId",
        "actorId",
        "data",
    }
    assert registered["detail"]["data"] == {
        "userId": person.user_id,
        "displayName": person.display_name,
    }
    found = [
        registered,
        *(bus.of(person, kind) for kind in ("UserLoggedIn", "PasswordChanged", "UserLoggedOut")),
    ]
    assert found[2]["detail"]["correlationId"] == "trace-of-a-change"
    assert len({event["detail"]["eventId"] for event in found}) == len(found)
    text = json.dumps(found)
    assert all(
        secret not in text
        for secret in (*passwords.values(), person.access_token, person.refresh_token)
    )
