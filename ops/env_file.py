"""What the local platform is told about language models: by the process's environment, or by the git-ignored `.env`."""

from __future__ import annotations

import os
from collections.abc import Iterable

from dotenv import dotenv_values

from ops.root import PROJECT

FILE = PROJECT / ".env"

KEYS = {"gemini-api-key": "GEMINI_API_KEY", "openai-api-key": "OPENAI_API_KEY"}
"""The variable that a secret's value is taken from, by the secret's name."""

ADDRESSES = (
    "GEMINI_BASE_URL",
    "GEMINI_MODEL",
    "OPENAI_BASE_URL",
    "OPENAI_MODEL",
    "OPENAI_REASONING_EFFORT",
)
"""What environments/local.yml refers to."""


def provider_addresses() -> dict[str, str]:
    """Those of the addresses and models that are given."""
    return _given(ADDRESSES)


def provider_keys() -> dict[str, str]:
    """Those of the keys that are given, by the secret's name."""
    given = _given(KEYS.values())
    return {name: given[variable] for name, variable in KEYS.items() if variable in given}


def _given(names: Iterable[str]) -> dict[str, str]:
    """The variables of these names that have a value. The process's environment wins over the file, also where it is empty."""
    values = {**dotenv_values(FILE, interpolate=False), **os.environ}
    return {name: value for name in names if (value := values.get(name))}
