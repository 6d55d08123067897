"""The format of ids in requests."""

import re
from typing import Annotated

from msgspec import Meta

# The services' ids have 32 to 36 characters. DynamoDB limits sort keys to 1,024 bytes, and
# partition keys to 2,048.
_FORMAT = r"[A-Za-z0-9_-]{1,64}"

Id = Annotated[
    str,
    Meta(
        pattern=rf"^{_FORMAT}\Z",
        description="must be an id of 1 to 64 letters, digits, hyphens and underscores",
        examples=["0f8fad5bd9cb469fa16570867728950e"],
    ),
]
"""An id in a body, a query, a response or a frame. The router checks the ids in paths."""


def is_id(text: str) -> bool:
    """Returns True if the text has the format of an id."""
    return re.fullmatch(_FORMAT, text) is not None
