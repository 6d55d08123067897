"""Loads AWS's service models once. By default, botocore reads them again for each session."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import botocore.loaders
import botocore.session
import pytest


@contextmanager
def shared_service_models() -> Iterator[None]:
    """Loads each service model once. Loading takes most of the time to create a client."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            botocore.session, "create_loader", functools.cache(botocore.loaders.create_loader)
        )
        yield
