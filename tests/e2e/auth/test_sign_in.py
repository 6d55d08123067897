"""Tests sign-in with a password, anonymous sign-in, and roles."""

from __future__ import annotations

import re

import pytest

from tests.e2e.support.api_client import Api
from tests.e2e.support.commands import run_ops
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import PASSWORD, Person


def test_a_login_returns_an_access_and_a_refresh_token(person: Person) -> None:
    response = person.log_in(deviceInfo="Ada's phone")
    assert response.keys() == {"accessToken", "refreshToken", "tokenType", "expiresIn", "user"}
    assert (response["tokenType"], response["expiresIn"]) == ("Bearer", 900)
    user = {
        "userId": person.user_id,
        "email": person.email,
        "displayName": person.display_name,
        "roles": ["user"],
    }
    assert response["user"] == user
    assert person.get_me().expect(200) == user
    assert person.claims["exp"] - person.claims["iat"] == 900


def test_a_wrong_password_and_an_unknown_address_get_the_same_response(
    person: Person, api: Api
) -> None:
    wrong = person.try_log_in(password="Wrong-horse-1").expect_problem(401, "invalid_credentials")
    unknown = api.post("/v1/auth/login", {"email": "nobody@example.com", "password": PASSWORD})
    assert unknown.expect_problem(401, "invalid_credentials") == wrong


@pytest.mark.exclusive
def test_five_failed_logins_in_a_minute_block_the_email_address(
    person: Person, other: Person
) -> None:
    for _ in range(5):
        person.try_log_in(password="Wrong-horse-1").expect_problem(401)
    refused = person.try_log_in()
    refused.expect_problem(429, "too_many_requests")
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    other.log_in()


def test_successful_logins_are_not_rate_limited(person: Person) -> None:
    for _ in range(6):
        person.log_in()


def test_an_anonymous_user_has_capabilities_and_no_roles(api: Api) -> None:
    response = api.post("/v1/auth/anonymous", {}).expect(201)
    assert response.keys() == {
        "anonymousId",
        "displayName",
        "accessToken",
        "expiresIn",
        "capabilities",
    }
    assert response["expiresIn"] == 3600
    assert response["capabilities"] == ["read", "post_anonymous", "chat_anonymous"]
    assert re.fullmatch(r"Anonymous_[A-Z][A-Za-z]+_\d+", response["displayName"])
    token = response["accessToken"]
    me = {
        "userId": response["anonymousId"],
        "email": None,
        "displayName": response["displayName"],
        "roles": [],
    }
    assert api.get("/v1/auth/me", token=token).expect(200) == me
    passwords = {"currentPassword": PASSWORD, "newPassword": "Better-horse-2"}
    api.post("/v1/auth/change-password", passwords, token=token).expect_problem(
        403, "anonymous_not_allowed"
    )
    api.post("/v1/auth/logout", {}, token=token).expect(204)
    api.get("/v1/auth/me", token=token).expect_problem(401, "session_ended")


@pytest.mark.exclusive
def test_the_61st_anonymous_sign_in_of_an_ip_address_in_an_hour_returns_429(api: Api) -> None:
    for _ in range(60):
        api.post("/v1/auth/anonymous", {}).expect(201)
    api.post("/v1/auth/anonymous", {}).expect_problem(429, "too_many_requests")


def test_a_role_applies_from_the_next_login_or_refresh(platform: Platform, person: Person) -> None:
    run_ops(platform.root, "user", "grant", "local", person.email, "moderator")
    assert person.claims["roles"] == ["user"]
    person.refresh()
    assert set(person.claims["roles"]) == {"user", "moderator"}
    run_ops(platform.root, "user", "grant", "local", person.email, "admin")
    response = person.log_in()
    assert response["user"]["roles"] == ["user", "moderator", "admin"]
    assert set(person.claims["roles"]) == {"user", "moderator", "admin"}
    run_ops(platform.root, "user", "revoke", "local", person.email, "moderator")
    person.refresh()
    assert set(person.claims["roles"]) == {"user", "admin"}
    assert '"admin"' in run_ops(platform.root, "user", "show", "local", person.email, "--json")
