"""Reads language model settings from the process environment or the git-ignored `.env`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from dotenv import dotenv_values

from ops.root import PROJECT

FILE = PROJECT / ".env"

KEYS = {"gemini-api-key": "GEMINI_API_KEY", "openai-api-key": "OPENAI_API_KEY"}
"""Environment variables of the API keys, by the name of the secret that stores the key."""

SETTINGS = (
    "GEMINI_BASE_URL",
    "GEMINI_MODEL",
    "OPENAI_BASE_URL",
    "OPENAI_MODEL",
    "OPENAI_REASONING_EFFORT",
)
"""Variables with the endpoints and models of AI providers, which environments/local.yml uses."""


def provider_settings(file: Path = FILE) -> dict[str, str]:
    """Returns the endpoints and models of AI providers, by the name of the variable that sets
    them.
    """
    return _non_empty_values(SETTINGS, file)


def provider_keys(file: Path = FILE) -> dict[str, str]:
    """Returns the API keys of AI providers from the environment variables and the file.

    The keys of the result are the names of the secrets that store the API keys.
    """
    values = _non_empty_values(KEYS.values(), file)
    return {name: values[variable] for name, variable in KEYS.items() if variable in values}


def _non_empty_values(names: Iterable[str], file: Path) -> dict[str, str]:
    """Returns the variables that have a value.

    A variable of the process overrides the file's variable, even if the process's value is empty.
    """
    values = {**dotenv_values(file, interpolate=False), **os.environ}
    return {name: value for name in names if (value := values.get(name))}
