"""Lock files without index addresses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.lockfiles import without_addresses


def test_pipfile_lock_keeps_only_versions_and_hashes() -> None:
    entry = {"hashes": ["sha256:1"], "version": "==1", "index": "pypi"}
    lock = {
        "_meta": {"sources": [{"url": "https://index"}]},
        "default": {"a": entry},
        "develop": {"b": dict(entry)},
    }
    kept = {"hashes": ["sha256:1"], "version": "==1"}
    assert without_addresses(lock) == {
        "_meta": {"sources": []},
        "default": {"a": kept},
        "develop": {"b": kept},
    }


def test_package_lock_loses_its_resolved_addresses() -> None:
    lock = {
        "packages": {
            "node_modules/a": {
                "version": "1",
                "integrity": "sha512-1",
                "resolved": "https://registry/a",
            }
        }
    }
    assert without_addresses(lock) == {
        "packages": {"node_modules/a": {"version": "1", "integrity": "sha512-1"}}
    }


@pytest.mark.parametrize("name", ["Pipfile.lock", "package-lock.json"])
def test_lock_files_of_the_project_have_no_addresses(name: str) -> None:
    lock = json.loads((Path(__file__).parents[2] / name).read_text())
    assert without_addresses(json.loads(json.dumps(lock))) == lock
