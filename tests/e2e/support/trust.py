"""Makes the HTTP and WebSocket clients of this process trust a platform's authority."""

from __future__ import annotations

import os

VARIABLE = "SSL_CERT_FILE"
"""The environment variable that replaces the trusted authorities of OpenSSL."""
_SYSTEM = os.environ.get(VARIABLE)


def trust(authority: str) -> None:
    os.environ[VARIABLE] = authority


def without_trust() -> dict[str, str]:
    """Returns the environment for commands, which must find the authority themselves."""
    variables = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return variables if _SYSTEM is None else {**variables, VARIABLE: _SYSTEM}
