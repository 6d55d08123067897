"""Refresh tokens: `<session id>.<generation>.<key id>.<mac>`, derived and therefore never stored.

A session's token of each generation follows from the signing key, so the same one can be answered again after a lost
answer, while the table holds no more than its hash.
"""

import base64
import hashlib
import hmac

from msgspec import Struct

from lambdas.common.signing.keys import Key, KeyRing


class RefreshToken(Struct, frozen=True):
    """An authentic refresh token. Authentic does not mean unspent: the session knows that."""

    session_id: str
    generation: int
    kid: int
    text: str

    @property
    def digest(self) -> str:
        """What is stored of it."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class RefreshTokens:
    """Derives and reads refresh tokens."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def derive(
        self, session_id: str, generation: int, kid: int | None = None
    ) -> RefreshToken | None:
        """The session's token of that generation under the key `kid` (default: the newest); None if that key is gone."""
        key = self._keys.signing_key() if kid is None else self._keys.verification_key(kid)
        return None if key is None else _derive(key, session_id, generation)

    def read(self, text: str) -> RefreshToken | None:
        """The token, None when it is malformed, invented, or derived under a key that is no longer accepted."""
        session_id, generation, kid, _ = (*text.split("."), "", "", "", "")[:4]
        if not (_is_number(generation) and _is_number(kid)):
            return None
        token = self.derive(session_id, int(generation), int(kid))
        return token if token and hmac.compare_digest(token.text.encode(), text.encode()) else None


def _derive(key: Key, session_id: str, generation: int) -> RefreshToken:
    claim = f"{session_id}.{generation}.{key.kid}"
    # The prefix keeps these apart from everything else that is signed with the same key.
    mac = hmac.digest(key.secret, f"refresh-token:{claim}".encode(), hashlib.sha256)
    text = f"{claim}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
    return RefreshToken(session_id, generation, key.kid, text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9
