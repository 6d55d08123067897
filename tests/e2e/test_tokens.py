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

import jwt
import pytest

from tests.e2e.support import Api, Person, Platform, eventually

WRONG_KEY = "0" * 64


@dataclass(frozen=True)
class Material:
    """The parts of valid tokens."""

    claims: dict[str, Any]
    kid: str
    """The id of the newest key."""
    secret: str
    """The secret of the newest key."""
    token: str
    """The claims of a valid token."""

    def signed(self, *, kid: str | None = None, without: str = "", **changes: Any) -> str:
        """Returns a token with changed claims, signed with the newest key."""
        claims = {name: value for name, value in self.claims.items() if name != without}
        return sign({**claims, **changes}, self.kid if kid is None else kid, self.secret)


def sign(claims: dict[str, Any], kid: str | None, secret: str, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, secret, algorithm, headers={} if kid is None else {"kid": kid})


def encode(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def with_payload(token: str, claims: dict[str, Any]) -> str:
    """Returns the token with other claims and its old signature."""
    header, _, signature = token.split(".")
    return f"{header}.{encode(claims)}.{signature}"


REFUSED: dict[str, Callable[[Material], str]] = {
    "expired": lambda m: m.signed(exp=int(time.time()) - 1),
    "claims exchanged": lambda m: with_payload(m.token, {**m.claims, "roles": ["admin"]}),
    "signature cut": lambda m: m.token[:-4],
    "wrong key": lambda m: sign(m.claims, m.kid, WRONG_KEY),
    "alg none": lambda m: f"{encode({'alg': 'none', 'kid': m.kid})}.{encode(m.claims)}.",
    "alg none, signed": lambda m: ".".join(
        [encode({"alg": "none", "kid": m.kid}), encode(m.claims), m.token.rsplit(".", 1)[1]]
    ),
    "other algorithm": lambda m: sign(m.claims, m.kid, m.secret, "HS512"),
    "unknown kid": lambda m: m.signed(kid="999999"),
    "kid zero": lambda m: m.signed(kid="0"),
    "no kid": lambda m: sign(m.claims, None, m.secret),
    "kid of another form": lambda m: m.signed(kid=f"../{m.kid}"),
    "no expiry": lambda m: m.signed(without="exp"),
    "no session": lambda m: m.signed(without="sid"),
    "somebody else's session": lambda m: m.signed(sub="another"),
}


@pytest.fixture
def material(platform: Platform, person: Person) -> Material:
    kid, secret = platform.signing_key()
    return Material(person.claims, str(kid), secret, person.access_token)


def test_a_valid_token_is_accepted(material: Material, api: Api) -> None:
    """Each invalid token below differs from this valid token in one part."""
    api.get("/v1/auth/me", token=material.signed()).expect(200)
    api.get("/v1/profile", token=material.signed()).expect(200)


@pytest.mark.parametrize("kind", REFUSED)
def test_an_invalid_token_is_rejected(material: Material, api: Api, kind: str) -> None:
    token = REFUSED[kind](material)
    api.get("/v1/profile", token=token).problem(401)
    api.get("/v1/auth/me", token=token).problem(401)
    api.get("/v1/auth/me", token=material.token).expect(200)


def test_an_ended_session_is_rejected_despite_the_authorizers_cache(
    person: Person, api: Api
) -> None:
    api.get("/v1/profile", token=person.access_token).expect(200)
    api.post("/v1/auth/logout", token=person.access_token).expect(204)
    api.get("/v1/profile", token=person.access_token).problem(401, "session_ended")


def test_a_token_expires_despite_the_authorizers_cache(material: Material, api: Api) -> None:
    token = material.signed(exp=int(time.time()) + 3)
    api.get("/v1/profile", token=token).expect(200)
    time.sleep(3)
    api.get("/v1/profile", token=token).problem(401, "token_expired")


def test_the_previous_key_is_accepted_and_an_older_key_is_not(
    platform: Platform, person: Person, api: Api
) -> None:
    """Rotates the key twice. Old keys are not restored, because parameter versions only grow."""
    serials = itertools.count()

    def status(path: str, key: tuple[int, str]) -> int:
        # A unique token, so that the authorizer has no cached result for it.
        token = sign({**person.claims, "iat": next(serials)}, str(key[0]), key[1])
        return api.get(path, token=token).status

    def rotate() -> tuple[int, str]:
        value = secrets.token_hex(32)
        platform.aws("ssm").put_parameter(
            Name="/multitask/local/jwt-secret", Value=value, Overwrite=True
        )
        key = platform.signing_key()
        # A token with a newer key's id makes the function read the keys, at most every 10 s.
        assert eventually(lambda: status("/v1/profile", key) == 200, interval=1)
        assert eventually(lambda: status("/v1/auth/me", key) == 200, interval=1)
        return key

    first = platform.signing_key()
    second = rotate()
    assert second[0] == first[0] + 1
    assert (status("/v1/profile", first), status("/v1/auth/me", first)) == (200, 200)
    rotate()
    assert (status("/v1/profile", second), status("/v1/auth/me", second)) == (200, 200)
    assert (status("/v1/profile", first), status("/v1/auth/me", first)) == (401, 401)
    person.log_in()
    person.me().expect(200)
    person.refresh()
