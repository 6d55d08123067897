"""Tests that the authorizer and the auth service reject invalid access tokens."""

from __future__ import annotations

import base64
import itertools
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.support.api_client import Api
from tests.e2e.support.platform import Platform
from tests.e2e.support.tokens import sign_token
from tests.e2e.support.users import Person
from tests.waiting import wait_for

WRONG_KEY = "0" * 64


@dataclass(frozen=True)
class TokenParts:
    """The parts of a valid token."""

    claims: dict[str, Any]
    kid: str
    """The id of the newest key."""
    secret: str
    """The secret of the newest key."""
    token: str
    """A valid token that contains `claims`."""

    def sign(self, *, kid: str | None = None, omitted_claim: str = "", **changes: Any) -> str:
        """Returns a token with changed claims, signed with the newest key."""
        claims = {name: value for name, value in self.claims.items() if name != omitted_claim}
        return sign_token({**claims, **changes}, self.kid if kid is None else kid, self.secret)


def encode_part(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def replace_payload(token: str, claims: dict[str, Any]) -> str:
    """Returns the token with other claims and its old signature."""
    header, _, signature = token.split(".")
    return f"{header}.{encode_part(claims)}.{signature}"


INVALID_TOKENS: dict[str, Callable[[TokenParts], str]] = {
    "expired": lambda parts: parts.sign(exp=int(time.time()) - 1),
    "changed claims": lambda parts: replace_payload(
        parts.token, {**parts.claims, "roles": ["admin"]}
    ),
    "shortened signature": lambda parts: parts.token[:-4],
    "wrong key": lambda parts: sign_token(parts.claims, parts.kid, WRONG_KEY),
    "alg none": lambda parts: (
        f"{encode_part({'alg': 'none', 'kid': parts.kid})}.{encode_part(parts.claims)}."
    ),
    "alg none, signed": lambda parts: ".".join(
        [
            encode_part({"alg": "none", "kid": parts.kid}),
            encode_part(parts.claims),
            parts.token.rsplit(".", 1)[1],
        ]
    ),
    "other algorithm": lambda parts: sign_token(parts.claims, parts.kid, parts.secret, "HS512"),
    "unknown kid": lambda parts: parts.sign(kid="999999"),
    "kid zero": lambda parts: parts.sign(kid="0"),
    "no kid": lambda parts: sign_token(parts.claims, None, parts.secret),
    "kid that is not a number": lambda parts: parts.sign(kid=f"../{parts.kid}"),
    "no expiry": lambda parts: parts.sign(omitted_claim="exp"),
    "no session": lambda parts: parts.sign(omitted_claim="sid"),
    "session of another user": lambda parts: parts.sign(sub="another"),
}


@pytest.fixture(scope="module")
def parts(platform: Platform) -> TokenParts:
    """Returns the parts of a valid token. No test ends the session of this token."""
    platform.reset_rate_limits()
    person = Person.sign_up(platform, Api(platform.api_url))
    kid, secret = platform.read_signing_key()
    return TokenParts(person.claims, str(kid), secret, person.access_token)


def test_a_valid_token_is_accepted(parts: TokenParts, api: Api) -> None:
    """Shows that the token is valid before INVALID_TOKENS changes one part of it."""
    api.get("/v1/auth/me", token=parts.sign()).expect(200)
    api.get("/v1/profile", token=parts.sign()).expect(200)


@pytest.mark.parametrize("kind", INVALID_TOKENS)
def test_an_invalid_token_is_rejected(parts: TokenParts, api: Api, kind: str) -> None:
    token = INVALID_TOKENS[kind](parts)
    api.get("/v1/profile", token=token).expect_problem(401)
    api.get("/v1/auth/me", token=token).expect_problem(401)
    api.get("/v1/auth/me", token=parts.token).expect(200)


def test_an_ended_session_is_rejected_despite_the_authorizers_cache(
    person: Person, api: Api
) -> None:
    api.get("/v1/profile", token=person.access_token).expect(200)
    api.post("/v1/auth/logout", token=person.access_token).expect(204)
    api.get("/v1/profile", token=person.access_token).expect_problem(401, "session_ended")


def test_an_expired_token_is_rejected_despite_the_authorizers_cache(
    parts: TokenParts, api: Api
) -> None:
    token = parts.sign(exp=int(time.time()) + 3)
    api.get("/v1/profile", token=token).expect(200)
    time.sleep(3)
    api.get("/v1/profile", token=token).expect_problem(401, "token_expired")


@pytest.mark.exclusive
def test_the_previous_key_is_accepted_and_an_older_key_is_not(
    platform: Platform, person: Person, api: Api
) -> None:
    """Rotates the key twice.

    Does not restore the old keys, because a key's id is the version of the parameter, which can
    only increase.
    """
    serials = itertools.count()

    def get_status(path: str, key: tuple[int, str]) -> int:
        # A new `iat` makes each token unique, so API Gateway has no cached authorizer result.
        token = sign_token({**person.claims, "iat": next(serials)}, str(key[0]), key[1])
        return api.get(path, token=token).status

    def rotate() -> tuple[int, str]:
        value = secrets.token_hex(32)
        platform.aws("ssm").put_parameter(
            Name="/multitask/local/jwt-secret", Value=value, Overwrite=True
        )
        key = platform.read_signing_key()
        # When a Lambda function first receives a token with the key id that follows its newest key
        # id, it reads the keys again. If it received that id before the rotation, it reads the keys
        # at most every 10 s.
        assert wait_for(lambda: get_status("/v1/profile", key) == 200, interval=1)
        assert wait_for(lambda: get_status("/v1/auth/me", key) == 200, interval=1)
        return key

    first = platform.read_signing_key()
    second = rotate()
    assert second[0] == first[0] + 1
    assert (get_status("/v1/profile", first), get_status("/v1/auth/me", first)) == (200, 200)
    rotate()
    assert (get_status("/v1/profile", second), get_status("/v1/auth/me", second)) == (200, 200)
    assert (get_status("/v1/profile", first), get_status("/v1/auth/me", first)) == (401, 401)
    person.log_in()
    person.get_me().expect(200)
    person.refresh()
