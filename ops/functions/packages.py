"""The checkout's functions, packaged for an environment."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from ops.cloud import Cloud
from ops.errors import OperatorError


def package(cloud: Cloud, services: Sequence[str], *, compress: bool = True) -> dict[str, Path]:
    """Packages functions as the stack does, so that equal code is an equal zip.

    Args:
        compress: False is faster, and makes another zip than the stack's.

    Raises:
        OperatorError: one cannot be packaged.
    """
    from modules.packaging import Packager, PackagingError  # noqa: PLC0415 - the one part of modules/ that is no construct

    try:
        made = Packager(cloud.environment.lambdas.package_platform, compress=compress).package_all(
            list(services)
        )
    except PackagingError as error:
        raise OperatorError(str(error)) from error
    return {name: artifact.path for name, artifact in made.items()}


def artifact(package: Path) -> str:
    """A zip's SHA-256 as Lambda tells it (CodeSha256)."""
    return base64.b64encode(hashlib.sha256(package.read_bytes()).digest()).decode()
