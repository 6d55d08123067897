"""Tests that lock files contain no index addresses."""

from __future__ import annotations

import json
import subprocess
from importlib import metadata
from pathlib import Path
from typing import cast

import pytest
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ops.root import PROJECT
from tools.lockfiles import remove_index_addresses

INSTALLED = {
    Path("Pipfile.lock"),
    Path("tools/checkov/Pipfile.lock"),
    Path("tools/docs/Pipfile.lock"),
}
"""Lock files whose packages `make test` installs."""


def _tracked(*patterns: str) -> list[Path]:
    command = ["git", "ls-files", *patterns]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return [Path(line) for line in result.stdout.splitlines()]


def test_pipfile_lock_keeps_only_versions_and_hashes() -> None:
    entry = {"hashes": ["sha256:1"], "version": "==1", "index": "pypi"}
    lock = {
        "_meta": {"sources": [{"url": "https://index"}]},
        "default": {"a": entry},
        "develop": {"b": dict(entry)},
        "local": {"c": dict(entry)},
    }
    kept = {"hashes": ["sha256:1"], "version": "==1"}
    assert remove_index_addresses(lock) == {
        "_meta": {"sources": []},
        "default": {"a": kept},
        "develop": {"b": kept},
        "local": {"c": kept},
    }


def test_resolved_addresses_are_removed_from_a_package_lock() -> None:
    lock = {
        "packages": {
            "node_modules/a": {
                "version": "1",
                "integrity": "sha512-1",
                "resolved": "https://registry/a",
            }
        }
    }
    assert remove_index_addresses(lock) == {
        "packages": {"node_modules/a": {"version": "1", "integrity": "sha512-1"}}
    }


@pytest.mark.parametrize("path", _tracked("*Pipfile.lock", "*package-lock.json"), ids=str)
def test_lock_files_of_the_project_have_no_addresses(path: Path) -> None:
    lock = json.loads((PROJECT / path).read_text())
    assert remove_index_addresses(json.loads(json.dumps(lock))) == lock


@pytest.mark.parametrize("python", ["3.11.0", "3.11.2", "3.12.0", "3.13.0", "3.14.0"])
@pytest.mark.parametrize("path", _tracked("*Pipfile.lock"), ids=str)
def test_the_lock_contains_all_packages_that_each_supported_python_needs(
    path: Path, python: str
) -> None:
    """Some packages have more dependencies on Python 3.11.2, which is the version of Debian 12."""
    lock = json.loads((PROJECT / path).read_text())
    environment = {
        **cast("dict[str, str]", default_environment()),
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
    }
    entries = {
        canonicalize_name(name): entry
        for group, packages in lock.items()
        if group != "_meta"
        for name, entry in packages.items()
    }
    locked = {
        name
        for name, entry in entries.items()
        if "markers" not in entry or Marker(entry["markers"]).evaluate(environment)
    }
    folder = PROJECT / path.parent / ".venv" / "lib"
    site_packages = [str(site) for site in folder.glob("python*/site-packages")]
    if not site_packages and path not in INSTALLED:
        pytest.skip("make test does not install this environment")
    assert site_packages
    missing = [
        f"{name} needs {requirement}"
        for distribution in metadata.distributions(path=site_packages)
        if (name := canonicalize_name(distribution.name)) in entries
        for requirement in map(Requirement, distribution.requires or [])
        if any(
            requirement.marker is None
            or requirement.marker.evaluate({**environment, "extra": extra})
            for extra in ["", *entries[name].get("extras", [])]
        )
        if canonicalize_name(requirement.name) not in locked
    ]
    assert missing == []
