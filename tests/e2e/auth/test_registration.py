"""Tests registration, confirmation and their mails."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from ops.root import PROJECT
from tests.e2e.support.api_client import Api
from tests.e2e.support.commands import run_ops
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import PASSWORD, Person

REGISTER = "/v1/auth/register"
VALID_BODY = {"email": "somebody@example.com", "password": PASSWORD, "displayName": "Some Body"}


def test_a_new_person_registers_confirms_and_signs_in(platform: Platform, api: Api) -> None:
    person = Person(platform, api)
    response = person.register()
    assert response == {
        "userId": person.user_id,
        "email": person.email,
        "displayName": person.display_name,
        "emailVerified": False,
    }
    for password in (PASSWORD, f"{PASSWORD}-wrong"):
        person.try_log_in(password).expect_problem(403, "email_not_verified")
    confirmed = api.post("/v1/auth/confirm", {"email": person.email, "code": person.read_code()})
    assert confirmed.expect(200) == {"emailVerified": True}
    assert person.log_in()["user"]["userId"] == person.user_id


def test_an_email_address_can_register_only_once_regardless_of_case(
    person: Person, api: Api
) -> None:
    body = {**VALID_BODY, "email": person.email.upper()}
    api.post(REGISTER, body).expect_problem(409, "email_taken")


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "no-address"},
        {"email": 7},
        {"email": f"{'x' * 120}@example.com"},
        {"displayName": "x"},
        {"displayName": "x" * 51},
        {"displayName": " padded "},
        {"displayName": "bell\u0007"},
        {"password": "Sh0rt!"},
        {"password": "no-upper-case-1"},
        {"password": "NO-LOWER-CASE-1"},
        {"password": "No-digit-here"},
        {"password": "NoSymbolHere1"},
        {"unknown": True},
    ],
    ids=str,
)
def test_a_registration_with_one_invalid_field_lists_only_this_field(
    api: Api, changes: dict[str, Any]
) -> None:
    assert api.post(REGISTER, {**VALID_BODY, **changes}).list_invalid_fields() == set(changes)


def test_a_registration_lists_all_missing_unknown_and_invalid_fields(api: Api) -> None:
    invalid = {"email": "no-address", "password": "weak", "extra": 1}
    assert api.post(REGISTER, invalid).list_invalid_fields() == {
        "email",
        "password",
        "displayName",
        "extra",
    }


def test_a_body_that_is_malformed_or_larger_than_1_mb_is_rejected(api: Api) -> None:
    api.post(REGISTER, b'{"email": ').expect_problem(400, "malformed_json")
    api.post(REGISTER, []).expect_problem(400, "malformed_json")
    api.post(REGISTER, b"email=x", headers={"Content-Type": "text/plain"}).expect_problem(
        415, "unsupported_media_type"
    )
    api.post(REGISTER, b" " * (1024 * 1024 + 1)).expect_problem(413, "body_too_large")
    api.call("PUT", REGISTER, VALID_BODY).expect_problem(405)


@pytest.mark.parametrize(
    "path",
    ["confirm", "resend-confirmation", "login", "refresh", "forgot-password", "reset-password"],
)
def test_missing_fields_are_listed_on_every_route(api: Api, path: str) -> None:
    fields = {
        "confirm": {"email", "code"},
        "login": {"email", "password"},
        "refresh": {"refreshToken"},
        "reset-password": {"email", "code", "newPassword"},
    }
    assert api.post(f"/v1/auth/{path}", {}).list_invalid_fields() == fields.get(path, {"email"})


def test_a_wrong_code_is_rejected_and_confirms_no_account(platform: Platform, api: Api) -> None:
    person = Person(platform, api)
    person.register()
    wrong = f"{(int(person.read_code()) + 1) % 1_000_000:06d}"
    api.post("/v1/auth/confirm", {"email": person.email, "code": wrong}).expect_problem(
        400, "invalid_code"
    )
    api.post("/v1/auth/confirm", {"email": "nobody@example.com", "code": wrong}).expect_problem(
        400, "invalid_code"
    )
    person.try_log_in().expect_problem(403, "email_not_verified")


def test_a_code_can_be_mailed_again_and_unknown_addresses_get_the_same_response(
    platform: Platform, api: Api
) -> None:
    person = Person(platform, api)
    person.register()
    assert platform.count_mails(person.email) == 1
    for email in (person.email, "nobody@example.com"):
        response = api.post("/v1/auth/resend-confirmation", {"email": email})
        assert (response.status, response.body) == (202, b"")
    assert platform.count_mails(person.email) == 2
    assert platform.count_mails("nobody@example.com") == 0
    person.confirm()
    person.log_in()


@pytest.mark.exclusive
def test_the_21st_registration_of_an_ip_address_in_an_hour_returns_429(
    platform: Platform, api: Api
) -> None:
    # The rate limit does not count requests with invalid fields.
    for _ in range(20):
        api.post(REGISTER, {**VALID_BODY, "email": "no-address"}).list_invalid_fields()
    people = [Person(platform, api) for _ in range(20)]
    for person in people:
        person.register()
    response = api.post(REGISTER, VALID_BODY)
    response.expect_problem(429, "too_many_requests")
    assert 3000 < int(response.headers["Retry-After"]) <= 3600


def test_ops_code_prints_the_mailed_code(platform: Platform, api: Api) -> None:
    person = Person(platform, api)
    person.register()
    assert re.fullmatch(r"\d{6}\n", run_ops(platform.root, "code", person.email))
    command = [
        sys.executable,
        "-m",
        "ops",
        "code",
        "nobody@example.com",
        "--root",
        str(platform.root),
    ]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "No code was sent to nobody@example.com" in result.stderr
