"""The files below docs/api/ that `ops api` generates, and the comparison with the last release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ops.root import PROJECT
from tools.api.asyncapi import describe_events_for_registry, describe_messages
from tools.api.breaking import find_breaking_changes
from tools.api.openapi import describe_rest_api

DIRECTORY = PROJECT / "docs" / "api"
RELEASED = "released"
"""The folder with the descriptions of the last release."""
DECLARED = "breaking-changes.md"
"""The breaking changes since the last release that are intended, one list item each."""


_NO_CHANGES = """\
# Which changes break clients of the last release

`ops api --check` fails if a change of the API breaks clients and is missing from this list. It
prints the text of each list item. `ops api --release` empties the list.
"""


def write_documents(directory: Path = DIRECTORY) -> list[Path]:
    """Writes the descriptions and the schemas of events. Returns the files."""
    events = directory / "events"
    events.mkdir(parents=True, exist_ok=True)
    documents = generate_documents()
    for stale in set(events.glob("*.json")) - {directory / name for name in documents}:
        stale.unlink()
    for name, text in documents.items():
        (directory / name).write_text(text, encoding="utf-8")
    return [directory / name for name in documents]


def generate_documents() -> dict[str, str]:
    """Returns the content of each file by its name below the directory."""
    return {
        "openapi.json": _format(describe_rest_api()),
        "asyncapi.json": _format(describe_messages()),
        **{
            f"events/{name}.json": _format(schema)
            for name, schema in describe_events_for_registry().items()
        },
    }


def find_stale(directory: Path = DIRECTORY) -> list[str]:
    """Returns the names of files that differ from what the code generates."""
    generated = generate_documents()
    stored = {f"events/{file.name}" for file in (directory / "events").glob("*.json")}
    return sorted(
        name
        for name in {*generated, *stored}
        if name not in generated
        or not (directory / name).exists()
        or (directory / name).read_text(encoding="utf-8") != generated[name]
    )


def release_documents(directory: Path = DIRECTORY) -> None:
    """Makes the written descriptions those of the last release, without declared changes."""
    (directory / RELEASED).mkdir(exist_ok=True)
    for name in ("openapi.json", "asyncapi.json"):
        (directory / RELEASED / name).write_bytes((directory / name).read_bytes())
    (directory / DECLARED).write_text(_NO_CHANGES, encoding="utf-8")


def find_undeclared_changes(directory: Path = DIRECTORY) -> tuple[list[str], list[str]]:
    """Returns the breaking changes that are not declared, and the declared ones that do not exist.

    Compares the written descriptions with those of the last release.
    """
    changes = [
        change
        for name in ("openapi.json", "asyncapi.json")
        for change in find_breaking_changes(
            _read(directory / RELEASED / name), _read(directory / name)
        )
    ]
    text = (directory / DECLARED).read_text(encoding="utf-8")
    declared = [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- ")]
    return (
        [change for change in changes if change not in declared],
        [change for change in declared if change not in changes],
    )


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _format(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
