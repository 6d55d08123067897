"""Tests the JSON Schema of the environment files. Editors use it to check these files."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from jsonschema_rs import Draft202012Validator

from environments import environment_names, example_names, find_file
from environments.loader import DIRECTORY
from tools.environment_file import docstrings, files, schema


def test_the_generated_files_are_current() -> None:
    for path, text in files().items():
        assert path.read_text(encoding="utf-8") == text, "run `python -m tools.environment_file`"


@pytest.mark.parametrize("name", [*environment_names(), *example_names()])
def test_every_environment_file_names_and_matches_the_schema(name: str) -> None:
    file = find_file(name)
    text = file.read_text(encoding="utf-8")
    comment, _, path = text.splitlines()[0].partition("=")
    assert comment == "# yaml-language-server: $schema"
    assert (file.parent / path).resolve() == DIRECTORY / "schema.json"
    errors = Draft202012Validator(schema()).iter_errors(yaml.safe_load(text))
    assert [error.message for error in errors] == []


@pytest.mark.parametrize(
    "change",
    [
        {"log_levle": "info"},
        {"log_level": "loud"},
        {"rds": {"min_capacity": 0.3, "max_capacity": 1}},
        {"monitoring": {"log_retention_days": 8}},
        {"cors_origins": ["ftp://example.com"]},
        {"name": "dev"},
    ],
)
def test_the_schema_rejects_what_the_model_rejects(change: dict[str, Any]) -> None:
    document = yaml.safe_load((DIRECTORY / "dev.yml").read_text(encoding="utf-8"))
    assert list(Draft202012Validator(schema()).iter_errors({**document, **change}))


def test_every_key_has_a_description() -> None:
    document = schema()
    for section in (document, *document["$defs"].values()):
        for key, value in section.get("properties", {}).items():
            assert value["description"], key
    assert set(docstrings()) >= set(document["$defs"])
    assert json.dumps(document)
