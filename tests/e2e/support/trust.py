"""Makes the HTTP and WebSocket clients of this process trust a platform's authority."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path

VARIABLE = "SSL_CERT_FILE"
"""The environment variable that names the file of authorities that OpenSSL and Go trust."""
_SYSTEM = os.environ.get(VARIABLE)
_ROOTS = ssl.get_default_verify_paths().cafile
"""The system's authorities, or None if they are only in a directory."""
_bundle = tempfile.NamedTemporaryFile(suffix=".pem")  # noqa: SIM115 - deleted when Python exits


def trust(authority: str) -> None:
    """Makes this process and its children trust `authority` and the system's authorities.

    Commands such as Terraform need the system's authorities to connect to public hosts.
    """
    roots = Path(_ROOTS).read_text() if _ROOTS else ""
    Path(_bundle.name).write_text(f"{roots}\n{Path(authority).read_text()}")
    os.environ[VARIABLE] = _bundle.name


def without_trust() -> dict[str, str]:
    """Returns the environment variables without the platform's authority.

    A command with these variables trusts the authority only if it configures this itself.
    """
    variables = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return variables if _SYSTEM is None else {**variables, VARIABLE: _SYSTEM}
