"""Signs access tokens."""

from __future__ import annotations

from typing import Any

import jwt


def sign_token(
    claims: dict[str, Any], kid: str | None, secret: str, algorithm: str = "HS256"
) -> str:
    """Returns a token with these claims.

    The token's header contains `kid`, the id of the signing key. If `kid` is None, the header
    contains no key id.
    """
    return jwt.encode(claims, secret, algorithm, headers={} if kid is None else {"kid": kid})
