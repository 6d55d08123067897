"""The HTML report of a review: its page, style, script and architecture diagram."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

SCRIPT = Path(__file__).parent / "report.js"


def script_source() -> str:
    """Returns the hash with which a Content-Security-Policy allows only the page's own script."""
    digest = hashlib.sha256(SCRIPT.read_bytes()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
