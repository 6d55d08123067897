"""Tests access tokens: only unchanged tokens signed with an accepted key are valid."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.common.problems import Problem
from lambdas.common.signing.keys import MAX_AGE, REFRESH_INTERVAL, KeyRing
from lambdas.common.web.http import Request
from lambdas.common.web.tokens import (
    InvalidTokenError,
    TokenIssuer,
    TokenVerifier,
    bearer_token,
)
from tests.lambdas.support import NOW, FakeClock, FakeKeys, rest_event

CLAIMS = {
    "sub": "u",
    "sid": "s",
    "roles": ["user"],
    "cap": [],
    "iat": int(NOW),
    "exp": int(NOW) + 900,
}
SECRET = f"{1:032d}".encode()


def issue(keys: FakeKeys, clock: FakeClock) -> str:
    issuer = TokenIssuer(KeyRing(keys, clock), clock)
    return issuer.issue("u", "s", lifetime=900, roles=frozenset({"user"}), capabilities=frozenset())


def verifier(keys: FakeKeys | None = None, clock: FakeClock | None = None) -> TokenVerifier:
    clock = clock or FakeClock()
    return TokenVerifier(KeyRing(keys or FakeKeys(), clock), clock)


def sign(
    claims: Mapping[str, Any], *, secret: Any = SECRET, algorithm: str = "HS256", kid: object = "1"
) -> str:
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(dict(claims), secret, algorithm, headers=headers)


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any], signature: str = "") -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in (header, claims)
    ]
    return ".".join([*parts, signature])


def test_issued_token_is_verified(clock: FakeClock) -> None:
    keys = FakeKeys()
    token = issue(keys, clock)
    identified = verifier(keys, clock).verify(token)
    assert (
        identified.user_id,
        identified.session_id,
        identified.roles,
        identified.capabilities,
    ) == (
        "u",
        "s",
        frozenset({"user"}),
        frozenset(),
    )
    assert identified.expires_at == NOW + 900
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT", "kid": "1"}


def test_the_sign_helper_creates_valid_tokens() -> None:
    # If the helper created only invalid tokens, the tests of invalid tokens below would always
    # pass.
    assert verifier().verify(sign(CLAIMS)).user_id == "u"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        sign(CLAIMS, secret=b"x" * 32),
        sign(CLAIMS, algorithm="HS384", secret=SECRET * 2),
        unsigned({"alg": "none", "typ": "JWT", "kid": "1"}, CLAIMS),
        unsigned({"alg": "HS256", "typ": "JWT", "kid": "1"}, CLAIMS),
        unsigned({"alg": "none", "kid": "1"}, CLAIMS, sign(CLAIMS).rpartition(".")[2]),
        *(sign(CLAIMS, kid=kid) for kid in (None, "0", "2", "01x", "+1", "", "9" * 30, "../1")),
        *(sign({k: v for k, v in CLAIMS.items() if k != missing}) for missing in CLAIMS),
        sign({**CLAIMS, "roles": "admin"}),
        sign({**CLAIMS, "exp": str(int(NOW) + 900)}),
        sign({**CLAIMS, "exp": True}),
        sign({**CLAIMS, "aud": "another-service"}),
        sign({**CLAIMS, "exp": int(NOW)}),
    ],
)
def test_invalid_tokens_are_rejected(token: str) -> None:
    with pytest.raises(InvalidTokenError):
        verifier().verify(token)


@settings(max_examples=60)
@given(st.data())
def test_a_token_with_one_changed_character_is_rejected(data: st.DataObject) -> None:
    token = sign(CLAIMS)
    # The last character of a signature has two unused bits, so two characters can represent equal
    # bytes.
    at = data.draw(st.integers(0, len(token) - 2))
    replacement = data.draw(
        st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.").filter(
            lambda c: c != token[at]
        )
    )
    with pytest.raises(InvalidTokenError):
        verifier().verify(token[:at] + replacement + token[at + 1 :])


@given(st.text())
def test_any_text_raises_only_invalid_token_error(text: str) -> None:
    with pytest.raises(InvalidTokenError):
        verifier().verify(text)


def test_only_the_newest_and_the_previous_key_are_accepted(clock: FakeClock) -> None:
    keys = FakeKeys()
    token = issue(keys, clock)
    keys.newest = 2
    assert verifier(keys, clock).verify(token).user_id == "u"
    keys.newest = 3
    with pytest.raises(InvalidTokenError):
        verifier(keys, clock).verify(token)


def test_a_new_key_is_read_after_the_refresh_interval(clock: FakeClock) -> None:
    keys = FakeKeys()
    verify = verifier(keys, clock).verify
    verify(sign(CLAIMS))
    keys.newest = 2
    clock.advance(REFRESH_INTERVAL)
    assert verify(issue(keys, clock)).user_id == "u"
    assert verify(sign(CLAIMS)).user_id == "u"


def test_a_new_key_is_read_immediately_if_a_token_names_it(clock: FakeClock) -> None:
    keys = FakeKeys()
    verify = verifier(keys, clock).verify
    verify(sign(CLAIMS))
    for newest in (2, 3):
        keys.newest = newest
        assert verify(issue(keys, clock)).user_id == "u"


def test_tokens_with_the_next_key_id_cause_at_most_one_read_per_interval(clock: FakeClock) -> None:
    keys = FakeKeys()
    verify = verifier(keys, clock).verify
    verify(sign(CLAIMS))
    for reads in (2, 3):
        for _ in range(10):
            with pytest.raises(InvalidTokenError):
                verify(sign(CLAIMS, kid="2"))
        assert keys.reads == reads
        clock.advance(REFRESH_INTERVAL)


def test_forged_key_ids_do_not_cause_a_read_per_request(clock: FakeClock) -> None:
    keys = FakeKeys(newest=5)
    verify = verifier(keys, clock).verify
    for kid in range(50):
        with pytest.raises(InvalidTokenError):
            verify(sign(CLAIMS, secret=b"x" * 32, kid=str(kid)))
    assert keys.reads == 3  # the newest key, the previous key, and key 6, which does not exist


def test_a_new_key_is_used_for_signing_when_the_cached_key_reaches_its_maximum_age(
    clock: FakeClock,
) -> None:
    keys = FakeKeys()
    ring = KeyRing(keys, clock)
    assert ring.signing_key().kid == 1
    keys.newest = 2
    assert ring.signing_key().kid == 1
    clock.advance(MAX_AGE)
    assert ring.signing_key().kid == 2


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "abc"])
def test_a_header_without_bearer_token_is_rejected(header: str | None) -> None:
    with pytest.raises(InvalidTokenError):
        bearer_token(header)


def test_the_scheme_is_case_insensitive() -> None:
    assert bearer_token("bearer abc") == "abc"


def test_identify_raises_401_with_the_header_www_authenticate() -> None:
    request = Request(rest_event("GET", "/v1/auth/me", headers={"Authorization": "Bearer x"}))
    with pytest.raises(Problem) as raised:
        verifier().identify(request)
    assert raised.value.status == 401
    assert raised.value.headers["WWW-Authenticate"] == "Bearer"
