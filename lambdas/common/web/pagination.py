"""Pagination of lists by `limit` and cursors. A cursor is signed and valid for one query only."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from lambdas.common.problems import Problem
from lambdas.common.signing.keys import Key, KeyRing

T = TypeVar("T")

# Bytes. A signature of 128 bits cannot be guessed, and keeps URLs short.
_MAC_SIZE = 16


class PageQuery(Struct, frozen=True, kw_only=True, rename="camel"):
    """A list's query parameters. Subclasses add filters.

    A cursor is only valid with the filters of the request that returned it.
    """

    limit: Annotated[
        int, Meta(ge=1, le=100, description="must be a whole number from 1 to 100")
    ] = 20
    cursor: (
        Annotated[str, Meta(description="must be the nextCursor of a page of the same list")] | None
    ) = None


class Page(Struct, Generic[T], frozen=True, kw_only=True, rename="camel"):
    """The items of a list. `next_cursor` selects the next page. It is null on the last page."""

    items: Sequence[T]
    next_cursor: str | None


class Cursors:
    """Creates and verifies cursors.

    Cursors are signed, not encrypted: a position must not contain data hidden from the caller.
    """

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def page(
        self, items: Sequence[T], query: PageQuery, scope: str, position: Any | None
    ) -> Page[T]:
        """Returns a list's response body.

        `position` is the start of the next page (any JSON value), or None on the last page.
        """
        cursor = None if position is None else self._encode(position, query, scope)
        return Page(items=items, next_cursor=cursor)

    def position(self, query: PageQuery, scope: str) -> Any | None:
        """Returns the position where the page starts, or None for the first page.

        `scope` names the list (route and caller). Raises Problem 400 if the cursor was changed,
        belongs to another list or other filters, or its key has been rotated twice since.
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
            "The cursor is not valid for this list. Start again without it.", "invalid_cursor"
        )
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            mac, payload = raw[:_MAC_SIZE], raw[_MAC_SIZE:]
            kid, position = msgspec.json.decode(payload, type=tuple[int, Any])
        except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
            raise invalid from None
        # The last base64 character has unused bits, so altered cursors could decode to equal bytes.
        if base64.urlsafe_b64encode(raw).decode().rstrip("=") != cursor:
            raise invalid
        key = self._keys.verification_key(kid)
        if key is None or not hmac.compare_digest(mac, _mac(key, payload, query, scope)):
            raise invalid
        return position


def _mac(key: Key, payload: bytes, query: PageQuery, scope: str) -> bytes:
    filters = {k: v for k, v in msgspec.to_builtins(query).items() if k not in {"limit", "cursor"}}
    # A JSON array separates the values unambiguously.
    bound = msgspec.json.encode((scope, filters, payload), order="deterministic")
    return hmac.digest(key.secret, bound, hashlib.sha256)[:_MAC_SIZE]
