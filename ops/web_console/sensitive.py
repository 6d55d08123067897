"""Replaces secret and private values before they leave the server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import Binary

from ops.inspection.masking import MASK, SECRET_TEXT

_SECRET_NAME = re.compile(
    r"(?:^|_|-)(?:password|passwd|secret|token|tokens|ticket|credential|credentials|signature|otp"
    r"|authorization|cookie|api[_-]?key|private[_-]?key)(?:$|_|-)",
    re.IGNORECASE,
)
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_REFERENCE = re.compile(
    r"(?:_|-)(?:parameter|arn|name|table|url|id|ttl|at|seconds)$", re.IGNORECASE
)
"""Names of values that only refer to a secret, such as JWT_SECRET_PARAMETER."""
PRIVATE_TABLES = ("platform-authors", "platform-idempotency", "chat-tickets")
"""Tables that contain private data: authors of anonymous posts, stored responses and tickets.

The console shows only their keys.
"""


def is_secret_name(name: str) -> bool:
    """Returns True if a value with this name is secret, for example `refreshToken`."""
    words = _WORD_START.sub("_", name)
    return bool(_SECRET_NAME.search(words)) and not _REFERENCE.search(words)


def hide(value: Any, name: str = "") -> Any:
    """Returns a JSON value without secrets: those with a secret's name, tokens and signatures.

    Converts sets to lists, numbers of DynamoDB to int or float, and bytes to their length.
    """
    result: Any = value
    if name and value not in (None, "") and is_secret_name(name):
        result = MASK
    elif isinstance(value, Mapping):
        result = {str(key): hide(item, str(key)) for key, item in value.items()}
    elif isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        result = [hide(item) for item in items]
    elif isinstance(value, Decimal):
        result = int(value) if value == value.to_integral_value() else float(value)
    elif isinstance(value, bytes | bytearray | Binary):
        content: Any = value
        result = f"({len(bytes(content))} bytes)"
    elif not isinstance(value, bool | int | float | None):
        result = SECRET_TEXT.sub(MASK, str(value))
    return result
