"""Configures this process and its children to trust a platform's certificate authority."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path

VARIABLE = "SSL_CERT_FILE"
"""Environment variable: path of the certificate authorities that OpenSSL and Go trust."""
_SYSTEM = os.environ.get(VARIABLE)
_ROOTS = ssl.get_default_verify_paths().cafile
"""Path of the system's certificate authorities, or None if they are only in a directory."""
_bundle = tempfile.NamedTemporaryFile(suffix=".pem")  # noqa: SIM115 - deleted when Python exits


def trust(authority: str) -> None:
    """Makes this process and its children trust a certificate authority and those of the system.

    Commands such as Terraform need the system's authorities to connect to public hosts.

    Args:
        authority: Path of the PEM file of the certificate authority.
    """
    roots = Path(_ROOTS).read_text() if _ROOTS else ""
    Path(_bundle.name).write_text(f"{roots}\n{Path(authority).read_text()}")
    os.environ[VARIABLE] = _bundle.name


def without_trust() -> dict[str, str]:
    """Returns this process's environment variables, with the original value of SSL_CERT_FILE.

    A command with these variables trusts the platform's certificate authority only if the command
    configures this itself.
    """
    variables = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return variables if _SYSTEM is None else {**variables, VARIABLE: _SYSTEM}
