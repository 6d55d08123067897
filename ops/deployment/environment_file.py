"""Creates an environment file from an existing one, and compares two environments."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environments import EnvironmentFileError, environment_names, find_file, load_environment
from environments.loader import DIRECTORY
from ops.cloud import EMBEDDED
from ops.errors import OperatorError
from ops.root import write_text
from ops.terraform.stack_document import Synthesized, read_synthesized
from ops.terraform.synthesis import synthesize

NAME = re.compile(r"[a-z][a-z0-9]{1,14}")
"""Matches the names that the environment model accepts."""


@dataclass(frozen=True)
class Difference:
    """A setting, or the number of resources of a type, that differs between two environments.

    The value of an environment is None if it lacks the setting or has no resource of the type.
    """

    key: str
    first: Any
    second: Any


@dataclass(frozen=True)
class Comparison:
    """The differences between two environments."""

    settings: list[Difference]
    resources: list[Difference]
    """The resource types of which the two environments have different numbers of resources."""


def create_environment(name: str, like: str, directory: Path = DIRECTORY) -> Path:
    """Writes a new environment file with the comments and settings of another one.

    Replaces the old name in domains, in origins and in the name of the environment variable that
    contains the account ID, for example DEV_ACCOUNT_ID.

    Raises:
        OperatorError: The name is invalid or in use, or `like` cannot be copied.
    """
    if not NAME.fullmatch(name):
        raise OperatorError(
            f"{name!r} is not a name for an environment: use 2 to 15 lowercase letters and digits,"
            " starting with a letter"
        )
    file = directory / f"{name}.yml"
    source = find_file(like, directory)
    if file.exists():
        raise OperatorError(f"{file} exists: choose another name, or edit that file")
    if like == EMBEDDED or not source.exists():
        known = ", ".join(known for known in environment_names(directory) if known != EMBEDDED)
        raise OperatorError(f"{like} cannot be copied: use --like with one of {known}")
    text = source.read_text(encoding="utf-8")
    text = re.sub(rf"\b{like.upper()}_ACCOUNT_ID\b", f"{name.upper()}_ACCOUNT_ID", text)
    text = text.replace("$schema=../schema.json", "$schema=schema.json", 1)
    write_text(file, "".join(_renamed(text, like, name)))
    try:
        load_environment(name, directory=directory)
    except EnvironmentFileError as error:
        file.unlink()
        raise OperatorError(f"The copy of {source} would be invalid:\n{error}") from error
    return file


def _renamed(text: str, old: str, new: str) -> Iterator[str]:
    """Yields the lines of an environment file, with the new name in origins and domains."""
    in_domains = False
    for line in text.splitlines(keepends=True):
        if not line.startswith((" ", "#")):
            in_domains = line.startswith("domains:")
        key, colon, value = line.partition(": ")
        if in_domains and colon and "." in value:
            yield f"{key}: {_domain(value, old, new)}"
        elif line.startswith("cors_origins:"):
            yield re.sub(r"(https://)([\w.-]+)", lambda m: m[1] + _domain(m[2], old, new), line)
        else:
            yield line


def _domain(domain: str, old: str, new: str) -> str:
    """Returns a domain name of the new environment.

    Replaces the old environment's name in the domain. In a domain without this name, such as
    production's, appends the new name to the first label: `api.example.com` becomes
    `api-qa.example.com`. If the domain has only two labels, adds a label: `qa.example.com`.
    """
    renamed = re.sub(rf"\b{old}\b", new, domain)
    if renamed != domain:
        return renamed
    first, _, rest = domain.partition(".")
    return f"{first}-{new}.{rest}" if "." in rest else f"{new}.{domain}"


def compare_environments(first: str, second: str) -> Comparison:
    """Compares two environments' settings and the resources of their synthesized stacks.

    Raises:
        OperatorError: A file is invalid, or the stacks cannot be synthesized.
    """
    try:
        values = [dict(_flat(load_environment(name).model_dump())) for name in (first, second)]
    except EnvironmentFileError as error:
        raise OperatorError(str(error)) from error
    with tempfile.TemporaryDirectory() as directory:
        synthesize([first, second], Path(directory), {})
        counts = [
            _count_types(read_synthesized(Path(directory) / "stacks" / name))
            for name in (first, second)
        ]
    return Comparison(_differences(*values), _differences(*counts))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _count_types(stack: Synthesized) -> dict[str, int]:
    return dict(Counter(resource.type for resource in stack.resources.values()))


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(key, first.get(key), second.get(key))
        for key in dict.fromkeys([*first, *second])
        if first.get(key) != second.get(key)
    ]
