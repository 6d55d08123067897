"""Tests the events that the auth service publishes."""

from __future__ import annotations

import json

from tests.e2e.support.api_client import Api
from tests.e2e.support.inbox import Inbox
from tests.e2e.support.users import PASSWORD, Person


def test_a_registration_login_logout_and_password_change_publish_events(
    bus: Inbox, person: Person, api: Api
) -> None:
    passwords = {"currentPassword": PASSWORD, "newPassword": "Better-horse-2"}
    headers = {"X-Correlation-Id": "trace-of-a-change"}
    api.post(
        "/v1/auth/change-password", passwords, token=person.access_token, headers=headers
    ).expect(204)
    api.post("/v1/auth/logout", token=person.access_token).expect(204)
    registered = bus.wait_for_event(person, "UserRegistered")
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
    published = [
        registered,
        *(
            bus.wait_for_event(person, event_type)
            for event_type in ("UserLoggedIn", "PasswordChanged", "UserLoggedOut")
        ),
    ]
    assert published[2]["detail"]["correlationId"] == "trace-of-a-change"
    assert len({event["detail"]["eventId"] for event in published}) == len(published)
    text = json.dumps(published)
    assert all(
        secret not in text
        for secret in (*passwords.values(), person.access_token, person.refresh_token)
    )
