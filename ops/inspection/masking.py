"""Masks secrets in the data that commands and the console show."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, SupportsBytes

_SECRET_NAME = re.compile(
    r"(?:^|[_-])(?:password|passwd|secret|tokens?|tickets?|credentials?|signature|otp|authorization"
    r"|cookie|policy|api[_-]?key|private[_-]?key)(?:$|[_-])",
    re.IGNORECASE,
)
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_REFERENCE = re.compile(
    r"[_-](?:parameter|arn|name|type|table|url|id|ttl|at|seconds)$", re.IGNORECASE
)
"""Names of values that only refer to a secret, such as JWT_SECRET_PARAMETER."""
_SECRET_TEXT = re.compile(
    r"(?<=X-Amz-Signature=)[^&\s\"]+|(?<=X-Amz-Security-Token=)[^&\s\"]+"
    r"|(?<=X-Amz-Credential=)[^&\s\"]+|eyJ[\w-]+\.[\w-]+\.[\w-]+"
)
"""Matches signatures in URLs, and JWTs."""
MASK = "***"


def is_secret_name(name: str) -> bool:
    """Returns True if a value with this name is secret, for example `refreshToken`."""
    words = _WORD_START.sub("_", name)
    return bool(_SECRET_NAME.search(words)) and not _REFERENCE.search(words)


def mask_secrets(value: Any) -> Any:
    """Returns a JSON value with masked secrets. Parses the field `body` if it contains JSON.

    Converts sets to lists, numbers of DynamoDB to int or float, and bytes to their length.
    """
    result: Any = value
    if isinstance(value, Mapping):
        result = {
            str(name): MASK
            if item not in (None, "") and is_secret_name(str(name))
            else mask_secrets(
                parse_json(item) if name == "body" and isinstance(item, str) else item
            )
            for name, item in value.items()
        }
    elif isinstance(value, list | tuple):
        result = [mask_secrets(item) for item in value]
    elif isinstance(value, set | frozenset):
        result = [mask_secrets(item) for item in sorted(value, key=str)]
    elif isinstance(value, Decimal):
        result = int(value) if value == value.to_integral_value() else float(value)
    elif isinstance(value, SupportsBytes | bytearray):
        result = f"({len(bytes(value))} bytes)"
    elif not isinstance(value, bool | int | float | None):
        result = _SECRET_TEXT.sub(MASK, str(value))
    return result


def parse_json(text: str) -> Any:
    """Returns the value that a JSON text represents, or the text itself if it is not JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
