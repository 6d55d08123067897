"""Access tokens: JWTs signed by the auth service and verified by the authorizer."""

from typing import Any

import jwt
from msgspec import UNSET, Struct, ValidationError, convert

from lambdas.common.caller import Caller
from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.problems import Problem
from lambdas.common.signing.keys import KeyRing
from lambdas.common.web.http import Request

ALGORITHM = "HS256"


class InvalidTokenError(Exception):
    """The token is malformed, forged, expired, or signed with a key that is no longer accepted."""


class _Claims(Struct, frozen=True):
    sub: str
    sid: str
    roles: frozenset[str]
    cap: frozenset[str]
    iat: int
    exp: int


class TokenIssuer:
    """Signs access tokens with the newest key."""

    def __init__(self, keys: KeyRing, clock: Clock = SYSTEM_CLOCK) -> None:
        self._keys = keys
        self._clock = clock

    def issue(
        self,
        user_id: str,
        session_id: str,
        *,
        lifetime: int,
        roles: frozenset[str],
        capabilities: frozenset[str],
    ) -> str:
        """Returns an access token that expires after `lifetime` seconds."""
        key = self._keys.signing_key()
        now = int(self._clock())
        claims = {
            "sub": user_id,
            "sid": session_id,
            "roles": sorted(roles),
            "cap": sorted(capabilities),
            "iat": now,
            "exp": now + lifetime,
        }
        return jwt.encode(claims, key.secret, ALGORITHM, headers={"kid": str(key.kid)})


class TokenVerifier:
    """Verifies access tokens: signature, algorithm, claims and expiry, but not the session."""

    def __init__(self, keys: KeyRing, clock: Clock = SYSTEM_CLOCK) -> None:
        self._keys = keys
        self._clock = clock

    def verify(self, token: str) -> Caller:
        """Returns the caller that the token identifies. Raises InvalidTokenError."""
        try:
            key = self._keys.verification_key(_key_id(jwt.get_unverified_header(token)))
            if key is None:
                raise InvalidTokenError("signed with an unknown key")
            # PyJWT uses the system clock. Expiry is checked below against the injected clock.
            options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
            payload = jwt.decode(token, key.secret, algorithms=[ALGORITHM], options=options)
            claims = convert(payload, _Claims)
        except (jwt.InvalidTokenError, ValidationError, ValueError, RecursionError) as error:
            raise InvalidTokenError("malformed or forged") from error
        if claims.exp <= self._clock():
            raise InvalidTokenError("expired")
        return Caller(claims.sub, claims.sid, claims.roles, claims.cap, claims.exp)

    def identify(self, request: Request) -> Caller:
        """Returns the caller of a request that no authorizer checked. Raises Problem 401."""
        try:
            return self.verify(bearer_token(request.header("Authorization")))
        except InvalidTokenError:
            raise Problem.unauthorized() from None


def bearer_token(authorization: str | None) -> str:
    """Returns the token of an Authorization header that has the form `Bearer <token>`.

    Raises InvalidTokenError if the header is missing or has another form.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise InvalidTokenError("no bearer token")
    return token.strip()


def _key_id(header: dict[str, Any]) -> int:
    kid = header.get("kid", UNSET)
    # int() would also accept "+1", "1_0" and digits of other scripts, which no issued token
    # contains.
    if not isinstance(kid, str) or not (kid.isascii() and kid.isdigit()) or len(kid) > 9:
        raise InvalidTokenError("missing or malformed key id")
    return int(kid)
