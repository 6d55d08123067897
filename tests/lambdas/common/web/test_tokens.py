"""Access tokens: only what we signed, as we sign it, with a key that is still accepted."""

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
    who = verifier(keys, clock).verify(token)
    assert (who.user_id, who.session_id, who.roles, who.capabilities) == (
        "u",
        "s",
        frozenset({"user"}),
        frozenset(),
    )
    assert who.expires_at == NOW + 900
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT", "kid": "1"}


def test_the_helper_signs_what_is_accepted() -> (
    None
):  # so that each refusal below is for its own reason
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
def test_anything_else_is_refused(token: str) -> None:
    with pytest.raises(InvalidTokenError):
        verifier().verify(token)


@settings(max_examples=60)
@given(st.data())
def test_a_token_with_one_changed_character_is_refused(data: st.DataObject) -> None:
    token = sign(CLAIMS)
    # The last character of the signature has two spare bits: only what decodes to other bytes is another token.
    at = data.draw(st.integers(0, len(token) - 2))
    other = data.draw(
        st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.").filter(
            lambda c: c != token[at]
        )
    )
    with pytest.raises(InvalidTokenError):
        verifier().verify(token[:at] + other + token[at + 1 :])


@given(st.text())
def test_no_text_makes_it_fail_in_another_way(text: str) -> None:
    with pytest.raises(InvalidTokenError):
        verifier().verify(text)


def test_previous_key_is_accepted_and_the_one_before_is_not(clock: FakeClock) -> None:
    keys = FakeKeys()
    token = issue(keys, clock)
    keys.newest = 2
    assert verifier(keys, clock).verify(token).user_id == "u"
    keys.newest = 3
    with pytest.raises(InvalidTokenError):
        verifier(keys, clock).verify(token)


def test_a_key_rotated_meanwhile_is_found_without_waiting(clock: FakeClock) -> None:
    keys = FakeKeys()
    verify = verifier(keys, clock).verify
    verify(sign(CLAIMS))
    keys.newest = 2
    clock.advance(REFRESH_INTERVAL)
    assert verify(issue(keys, clock)).user_id == "u"
    assert verify(sign(CLAIMS)).user_id == "u"


def test_a_key_rotated_just_after_a_look_up_is_found_at_once(clock: FakeClock) -> None:
    keys = FakeKeys()
    verify = verifier(keys, clock).verify
    verify(sign(CLAIMS))
    for newest in (2, 3):
        keys.newest = newest
        assert verify(issue(keys, clock)).user_id == "u"


def test_the_next_key_id_forged_costs_one_look_up_in_an_interval(clock: FakeClock) -> None:
    keys = FakeKeys()
    verify = verifier(keys, clock).verify
    verify(sign(CLAIMS))
    for reads in (2, 3):
        for _ in range(10):
            with pytest.raises(InvalidTokenError):
                verify(sign(CLAIMS, kid="2"))
        assert keys.reads == reads
        clock.advance(REFRESH_INTERVAL)


def test_forged_key_ids_do_not_make_each_request_a_look_up(clock: FakeClock) -> None:
    keys = FakeKeys(newest=5)
    verify = verifier(keys, clock).verify
    for kid in range(50):
        with pytest.raises(InvalidTokenError):
            verify(sign(CLAIMS, secret=b"x" * 32, kid=str(kid)))
    assert keys.reads == 3  # the newest, the one before it, and once what would be its successor


def test_signing_follows_a_rotation_within_the_maximum_age(clock: FakeClock) -> None:
    keys = FakeKeys()
    ring = KeyRing(keys, clock)
    assert ring.signing_key().kid == 1
    keys.newest = 2
    assert ring.signing_key().kid == 1
    clock.advance(MAX_AGE)
    assert ring.signing_key().kid == 2


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "abc"])
def test_not_a_bearer_token(header: str | None) -> None:
    with pytest.raises(InvalidTokenError):
        bearer_token(header)


def test_the_scheme_has_no_case() -> None:
    assert bearer_token("bearer abc") == "abc"


def test_identify_answers_401_with_a_challenge() -> None:
    request = Request(rest_event("GET", "/v1/auth/me", headers={"Authorization": "Bearer x"}))
    with pytest.raises(Problem) as refused:
        verifier().identify(request)
    assert refused.value.status == 401
    assert refused.value.headers["WWW-Authenticate"] == "Bearer"
