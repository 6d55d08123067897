"""Tests `ops secrets` on the applied platform."""

from __future__ import annotations

import itertools
import json

import jwt
import pytest

from tests.e2e.support.api_client import Api
from tests.e2e.support.commands import run_ops
from tests.e2e.support.platform import Platform
from tests.e2e.support.tokens import sign_token
from tests.e2e.support.users import Person
from tests.waiting import wait_for


def list_secrets(platform: Platform) -> dict[str, dict[str, object]]:
    text = run_ops(platform.root, "secrets", "list", "local", "--json")
    assert platform.read_signing_key()[1] not in text
    return {item["name"]: item for item in json.loads(text)}


def test_secrets_are_listed_without_values(platform: Platform) -> None:
    secrets = list_secrets(platform)
    assert {name: item["kind"] for name, item in secrets.items()} == {
        "jwt-secret": "generated",
        "cursor-key": "generated",
        "gemini-api-key": "supplied",
        "openai-api-key": "supplied",
        "database": "managed",
    }
    assert secrets["jwt-secret"]["version"] == platform.read_signing_key()[0]


@pytest.mark.exclusive
def test_after_a_rotation_old_tokens_stay_valid_and_new_ones_use_the_new_key(
    platform: Platform, person: Person, api: Api
) -> None:
    old_token, old_refresh, (old_kid, _) = (
        person.access_token,
        person.refresh_token,
        platform.read_signing_key(),
    )
    text = run_ops(platform.root, "secrets", "rotate", "local", "jwt-secret", "--force", "--json")
    kid, secret = platform.read_signing_key()
    assert (json.loads(text), kid) == ({"name": "jwt-secret", "version": old_kid + 1}, old_kid + 1)
    assert secret not in text
    serials = itertools.count()

    def is_signed_with_new_key() -> bool:
        # When the auth function receives a token with the new key's id, it reads this key
        # immediately. Without such a token, it could use the old key for up to 5 minutes.
        probe = sign_token({**person.claims, "iat": next(serials)}, str(kid), secret)
        api.get("/v1/auth/me", token=probe)
        person.log_in()
        return bool(jwt.get_unverified_header(person.access_token)["kid"] == str(kid))

    assert wait_for(is_signed_with_new_key, interval=1)
    for token in (old_token, person.access_token):
        api.get("/v1/auth/me", token=token).expect(200)

        def is_accepted(token: str = token) -> bool:
            return api.get("/v1/ai/conversations", token=token).status == 200

        assert wait_for(is_accepted)
    person.try_refresh(old_refresh).expect(200)


@pytest.mark.exclusive
def test_the_database_password_can_be_rotated(platform: Platform) -> None:
    before = list_secrets(platform)["database"]["changed"]
    run_ops(platform.root, "secrets", "rotate", "local", "database")
    assert wait_for(lambda: list_secrets(platform)["database"]["changed"] != before, interval=1)
    assert is_healthy(platform)


def is_healthy(platform: Platform) -> bool:
    return Api(platform.api_url).get("/health").status == 200
