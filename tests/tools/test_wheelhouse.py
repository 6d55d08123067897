"""Tests that a rollback's packages install without an index, and only with the locked hashes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from environments.resource_names import bucket_name
from ops.root import PROJECT
from tools.wheelhouse import install, package_set_key, read_requirements

WHEEL = "example-1.0-py3-none-any.whl"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Returns a directory with one wheel that contains the module `example`."""
    directory = tmp_path / "wheels"
    directory.mkdir()
    with zipfile.ZipFile(directory / WHEEL, "w") as wheel:
        wheel.writestr("example.py", "VALUE = 42\n")
        wheel.writestr("example-1.0.dist-info/METADATA", "Name: example\nVersion: 1.0\n")
        wheel.writestr(
            "example-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: x\n"
        )
        wheel.writestr("example-1.0.dist-info/RECORD", "")
    return directory


def write_lock(file: Path, content: bytes) -> Path:
    entry = {"version": "==1.0", "hashes": [f"sha256:{hashlib.sha256(content).hexdigest()}"]}
    other = {"version": "==2", "hashes": ["sha256:0"], "markers": "sys_platform == 'win32'"}
    file.write_text(json.dumps({"default": {"example": entry, "other": other}, "local": {"x": {}}}))
    return file


def test_packages_with_the_locked_hash_are_installed(wheels: Path, tmp_path: Path) -> None:
    lock = write_lock(tmp_path / "Pipfile.lock", (wheels / WHEEL).read_bytes())
    install(wheels, tmp_path / "venv", read_requirements(lock))
    python = str(tmp_path / "venv" / "bin" / "python")
    command = [python, "-c", "import example; print(example.VALUE)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "42\n"


def test_packages_with_another_hash_are_rejected(wheels: Path, tmp_path: Path) -> None:
    lock = write_lock(tmp_path / "Pipfile.lock", b"the wheel that was locked")
    with pytest.raises(subprocess.CalledProcessError):
        install(wheels, tmp_path / "venv", read_requirements(lock))
    assert not list((tmp_path / "venv").rglob("example*"))


def test_different_sets_of_packages_have_different_keys(tmp_path: Path) -> None:
    first, second = (
        package_set_key(read_requirements(write_lock(tmp_path / "lock", text)))
        for text in (b"1", b"2")
    )
    assert first != second


def test_the_workflows_use_the_environments_artifact_bucket() -> None:
    bucket = bucket_name("platform", "artifacts", "$TARGET", "$BUCKET_SUFFIX")
    for name in ("deploy-environment", "rollback"):
        text = (PROJECT / ".github" / "workflows" / f"{name}.yml").read_text()
        assert f'"s3://{bucket}/wheelhouse/$key/"' in text
