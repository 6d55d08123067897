"""Writes each S3 object to the disk before the client receives the response."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ministack.services import s3

_errors: ContextVar[list[OSError] | None] = ContextVar("errors", default=None)
"""The errors of writes that failed during the current call."""


def persist_before_acknowledging() -> None:
    """Makes a call fail if the object cannot be written, for example because the disk is full.

    ministack would only log the error, return success, and lose the object when it stops.
    """
    handle: Callable[..., Awaitable[Any]] = s3.handle_request

    async def handle_and_check(*arguments: Any, **options: Any) -> Any:
        errors: list[OSError] = []
        token = _errors.set(errors)
        try:
            response = await handle(*arguments, **options)
        finally:
            _errors.reset(token)
        if errors:
            raise errors[0]
        return response

    s3.handle_request = handle_and_check
    s3._atomic_write = write_atomically


def write_atomically(path: str, data: Any, *, text: bool = False) -> None:
    """Replaces a file. After a kill or power failure, it has its old or its new content."""
    partial = Path(f"{path}.tmp")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w" if text else "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        errors = _errors.get()
        if errors is not None:
            errors.append(error)
        raise
