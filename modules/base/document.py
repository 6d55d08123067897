"""JSON as the value of an attribute."""

from __future__ import annotations

import json


def json_document(value: object) -> str:
    """JSON whose strings may hold references.

    On several lines: CDKTF writes such a text to HCL as it is, while in one line it forgets to escape the quotes beside a reference.
    """
    return json.dumps(value, indent=1)
