"""Packages the code of the checkout's functions for an environment."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from ops.cloud import Cloud
from ops.errors import OperatorError


def package(cloud: Cloud, services: Sequence[str], *, compress: bool = True) -> dict[str, Path]:
    """Packages the functions of services, and returns the zip files by service.

    Uses the same packager as the synthesis of the stack. Equal code produces equal zip files.

    Args:
        compress: If False, packaging is faster but the zip files differ from the stack's.

    Raises:
        OperatorError: A function cannot be packaged.
    """
    from modules.packaging import Packager, PackagingError  # noqa: PLC0415 - not a construct

    try:
        packages = Packager(
            cloud.environment.lambdas.package_platform, compress=compress
        ).package_all(list(services))
    except PackagingError as error:
        raise OperatorError(str(error)) from error
    return {name: artifact.path for name, artifact in packages.items()}


def code_digest(package: Path) -> str:
    """Returns a zip file's SHA-256 in base64, the format of Lambda's CodeSha256."""
    return base64.b64encode(hashlib.sha256(package.read_bytes()).digest()).decode()
