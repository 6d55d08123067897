"""Pages of lists: `limit`, and cursors that are opaque, signed and bound to their query."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from lambdas.common.problems import Problem
from lambdas.common.signing.keys import Key, KeyRing

_MAC_SIZE = 16  # bytes: 128 bits are beyond guessing, and a cursor is part of an address


class PageQuery(Struct, frozen=True, kw_only=True, rename="camel"):
    """A list's query parameters. A list with filters adds them in a subclass; all of them bind its cursors."""

    limit: Annotated[
        int, Meta(ge=1, le=100, description="must be a whole number from 1 to 100")
    ] = 20
    cursor: str | None = None


class Cursors:
    """Makes and reads cursors.

    A cursor's content can be read by whoever decodes it, so a position must hold nothing that the caller may not see.
    """

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def page(
        self, items: Sequence[Any], query: PageQuery, scope: str, position: Any | None
    ) -> dict[str, Any]:
        """A list's answer. `position` is where the next page starts (any JSON value), None when there is none."""
        cursor = None if position is None else self._encode(position, query, scope)
        return {"items": items, "nextCursor": cursor}

    def position(self, query: PageQuery, scope: str) -> Any | None:
        """Where the page starts, None for the first.

        `scope` names the list (route and caller). Raises Problem 400 for a cursor that was changed, belongs to another
        list or other filters, or was signed with a key that has since been replaced twice.
        """
        return None if query.cursor is None else self._decode(query.cursor, query, scope)

    def _encode(self, position: Any, query: PageQuery, scope: str) -> str:
        key = self._keys.signing_key()
        payload = msgspec.json.encode((key.kid, position))
        return (
            base64.urlsafe_b64encode(_mac(key, payload, query, scope) + payload)
            .decode()
            .rstrip("=")
        )

    def _decode(self, cursor: str, query: PageQuery, scope: str) -> Any:
        invalid = Problem.bad_request(
            "The cursor is not valid for this list: start again without it.", "invalid_cursor"
        )
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            mac, payload = raw[:_MAC_SIZE], raw[_MAC_SIZE:]
            kid, position = msgspec.json.decode(payload, type=tuple[int, Any])
        except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
            raise invalid from None
        # The last character has spare bits: without the comparison some changed cursors would decode to the same bytes.
        if base64.urlsafe_b64encode(raw).decode().rstrip("=") != cursor:
            raise invalid
        key = self._keys.verification_key(kid)
        if key is None or not hmac.compare_digest(mac, _mac(key, payload, query, scope)):
            raise invalid
        return position


def _mac(key: Key, payload: bytes, query: PageQuery, scope: str) -> bytes:
    filters = {k: v for k, v in msgspec.to_builtins(query).items() if k not in {"limit", "cursor"}}
    # One JSON array separates the parts unambiguously.
    bound = msgspec.json.encode((scope, filters, payload), order="deterministic")
    return hmac.digest(key.secret, bound, hashlib.sha256)[:_MAC_SIZE]
