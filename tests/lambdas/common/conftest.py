"""Fixtures of the tests of the code that all functions share."""

import pytest


@pytest.fixture(autouse=True)
def declared_types() -> None:
    """Turns off the check of declared types.

    These tests define routes and events that the platform does not have.
    """
