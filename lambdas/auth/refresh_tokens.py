"""Refresh tokens of the form `<session id>.<generation>.<key id>.<mac>`.

A token is derived from the session, the generation and the signing key. The service can therefore
return the same token again after a lost response, although the table contains only its hash.
"""

import base64
import hashlib
import hmac

from msgspec import Struct

from lambdas.common.signing.keys import Key, KeyRing


class RefreshToken(Struct, frozen=True):
    """A refresh token with a valid signature. The session records whether it was already used."""

    session_id: str
    generation: int
    kid: int
    text: str

    @property
    def digest(self) -> str:
        """The hash of the token, which the sessions table stores."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class RefreshTokens:
    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def derive(
        self, session_id: str, generation: int, kid: int | None = None
    ) -> RefreshToken | None:
        """Returns the session's token of this generation, or None if the key no longer exists.

        `kid` is the id of the signing key, by default the newest key's.
        """
        key = self._keys.signing_key() if kid is None else self._keys.verification_key(kid)
        return None if key is None else _derive(key, session_id, generation)

    def read(self, text: str) -> RefreshToken | None:
        """Returns the token, or None if it is malformed or forged, or its key is not accepted."""
        session_id, generation, kid, _ = (*text.split("."), "", "", "", "")[:4]
        if not (_is_number(generation) and _is_number(kid)):
            return None
        token = self.derive(session_id, int(generation), int(kid))
        return token if token and hmac.compare_digest(token.text.encode(), text.encode()) else None


def _derive(key: Key, session_id: str, generation: int) -> RefreshToken:
    claim = f"{session_id}.{generation}.{key.kid}"
    # The prefix `refresh-token:` distinguishes the signature from others made with the same key.
    mac = hmac.digest(key.secret, f"refresh-token:{claim}".encode(), hashlib.sha256)
    text = f"{claim}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
    return RefreshToken(session_id, generation, key.kid, text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9
