"""Writes the generated files below docs/api/, and compares them with those of the last release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ops.root import PROJECT
from tools.api.asyncapi import describe_events_for_registry, describe_messages
from tools.api.breaking import find_breaking_changes
from tools.api.openapi import describe_rest_api
from tools.api.pages import render_pages

DIRECTORY = PROJECT / "docs" / "api"
RELEASED = "released"
"""The folder with the descriptions of the last release."""
GENERATED = ("events/*.json", "reference/*.md")
"""Patterns of files in docs/api. Each file that matches a pattern is generated."""
DECLARED = "breaking-changes.md"
"""The file that lists the intended breaking changes since the last release, one item each."""


_NO_CHANGES = """\
# Which changes break clients of the last release

`ops api --check` fails if a change of the API breaks clients and is missing from this list. It
prints the list item to add for each such change. `ops api --release` empties the list.
"""


def write_documents(directory: Path = DIRECTORY) -> list[Path]:
    """Writes the descriptions, the schemas of events and the reference pages. Returns the files."""
    documents = {directory / name: text for name, text in generate_documents().items()}
    for stale in _list_stored(directory) - documents.keys():
        stale.unlink()
    for file, text in documents.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return list(documents)


def generate_documents() -> dict[str, str]:
    """Returns the content of each file by its name below the directory."""
    openapi, asyncapi = describe_rest_api(), describe_messages()
    pages = render_pages(openapi, asyncapi)
    return {
        "openapi.json": _format(openapi),
        "asyncapi.json": _format(asyncapi),
        **{f"reference/{name}": text for name, text in pages.items()},
        **{
            f"events/{name}.json": _format(schema)
            for name, schema in describe_events_for_registry().items()
        },
    }


def find_stale(directory: Path = DIRECTORY) -> list[str]:
    """Returns the names of files that differ from what the code generates."""
    generated = generate_documents()
    stored = {file.relative_to(directory).as_posix() for file in _list_stored(directory)}
    return sorted(
        name
        for name in {*generated, *stored}
        if name not in generated
        or not (directory / name).exists()
        or (directory / name).read_text(encoding="utf-8") != generated[name]
    )


def _list_stored(directory: Path) -> set[Path]:
    return {file for pattern in GENERATED for file in directory.glob(pattern)}


def release_documents(directory: Path = DIRECTORY) -> None:
    """Saves the descriptions as those of the last release, and empties breaking-changes.md."""
    (directory / RELEASED).mkdir(exist_ok=True)
    for name in ("openapi.json", "asyncapi.json"):
        (directory / RELEASED / name).write_bytes((directory / name).read_bytes())
    (directory / DECLARED).write_text(_NO_CHANGES, encoding="utf-8")


def find_undeclared_changes(directory: Path = DIRECTORY) -> tuple[list[str], list[str]]:
    """Returns the undeclared breaking changes, and the declared changes that do not exist.

    Compares the descriptions in docs/api with those of the last release. Breaking changes are
    declared in breaking-changes.md.
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
