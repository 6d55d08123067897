"""Compares the errors and differences of an emulator with the reviewed findings in findings.yml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.stack.emulators.emulated_apply import ApplyResult

Findings = Mapping[str, Any]
FINDINGS: Findings = yaml.safe_load(Path(__file__).with_name("findings.yml").read_text())
DOCUMENTATION = "https://docs.aws.amazon.com/"


def compare(result: ApplyResult, reviewed: Findings) -> list[str]:
    """Returns a message for each deviation between an emulator's results and findings.yml.

    A deviation is an error or a difference that findings.yml does not list, or a listed one that no
    longer occurs.
    """
    listed: Mapping[str, Findings] = reviewed["errors"]
    problems = [
        f"this error is not in findings.yml, correct its cause or add it: {type_}: {message}"
        for type_, messages in result.errors.items()
        for message in sorted(messages)
        if not _is_listed(listed.get(type_), message)
    ]
    problems += [
        f"no longer fails, delete it from errors: {type_}"
        for type_, entry in listed.items()
        if not any(_is_listed(entry, message) for message in result.errors.get(type_, ()))
    ]
    problems += [
        f"this difference is not in findings.yml, correct its cause or add it: {example}"
        for name, example in result.differences.items()
        if name not in reviewed["differences"]
    ]
    problems += [
        f"no longer differs, delete it from differences: {name}"
        for name in reviewed["differences"]
        if name not in result.differences
    ]
    return problems


def _is_listed(entry: Findings | None, message: str) -> bool:
    return entry is not None and entry["message"] in message


def list_entries(findings: Findings) -> Iterator[tuple[str, Findings]]:
    """Yields each entry of findings.yml with its name, `emulator.section.name`."""
    for emulator, sections in findings.items():
        for section, entries in sections.items():
            for name, entry in entries.items():
                yield f"{emulator}.{section}.{name}", entry
