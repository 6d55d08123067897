"""Masks secrets in the results of functions and in messages."""

from __future__ import annotations

import json
import re
from typing import Any

SECRET = re.compile(
    r"token(?!Type)|password|secret|ticket|signature|credential|authorization|policy|cookie",
    re.IGNORECASE,
)
"""Matches the names of values that are not shown."""
SECRET_TEXT = re.compile(
    r"(?<=X-Amz-Signature=)[^&\s\"]+|(?<=X-Amz-Security-Token=)[^&\s\"]+"
    r"|(?<=X-Amz-Credential=)[^&\s\"]+|eyJ[\w-]+\.[\w-]+\.[\w-]+"
)
"""Matches signatures in URLs, and JWTs."""
MASK = "***"


def masked(value: Any) -> Any:
    """Returns a JSON value without secrets. Parses the field `body` if it contains JSON."""
    if isinstance(value, dict):
        return {
            name: MASK
            if SECRET.search(name) and item
            else masked(parse_json(item) if name == "body" and isinstance(item, str) else item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [masked(item) for item in value]
    return SECRET_TEXT.sub(MASK, value) if isinstance(value, str) else value


def parse_json(text: str) -> Any:
    """Returns the value that a JSON text represents, or the text itself if it is not JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
