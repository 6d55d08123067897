"""Tests that zips are deterministic, have pinned dependencies, and are reused if unchanged."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from modules.base.artifact import Artifact
from modules.packaging import Packager, PackagingError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    source = tmp_path / "lambdas"
    for folder in ("common", "auth", "chat"):
        (source / folder).mkdir(parents=True)
        (source / folder / "__init__.py").write_text("")
    (source / "__init__.py").write_text("")
    (source / "common" / "problems.py").write_text("NAME = 'problems'\n")
    for function in ("auth", "chat"):
        (source / function / "handler.py").write_text(f"NAME = '{function}'\n")
    (source / "auth" / "__pycache__").mkdir()
    (source / "auth" / "__pycache__" / "handler.cpython-313.pyc").write_bytes(b"x")
    (tmp_path / "Pipfile.lock").write_text(
        json.dumps({"default": {"msgspec": {"version": "==1.0", "hashes": ["sha256:0"]}}})
    )
    return tmp_path


def _package(tree: Path) -> dict[str, Artifact]:
    packager = Packager(
        "host", source=tree / "lambdas", lock=tree / "Pipfile.lock", build=tree / "build"
    )
    return packager.package_all(["auth", "chat"])


def test_a_zip_contains_only_the_function_and_the_shared_code(tree: Path) -> None:
    with zipfile.ZipFile(_package(tree)["auth"].path) as archive:
        assert sorted(archive.namelist()) == [
            "lambdas/__init__.py",
            "lambdas/auth/__init__.py",
            "lambdas/auth/handler.py",
            "lambdas/common/__init__.py",
            "lambdas/common/problems.py",
        ]


def test_equal_sources_produce_identical_zips(tree: Path) -> None:
    first = _package(tree)["auth"]
    content = first.path.read_bytes()
    first.path.unlink()
    second = _package(tree)["auth"]
    assert second == first
    assert second.path.read_bytes() == content


def test_an_unchanged_function_is_not_packaged_again(tree: Path) -> None:
    before = _package(tree)
    written = before["chat"].path.stat().st_mtime_ns
    (tree / "lambdas" / "auth" / "handler.py").write_text("NAME = 'changed'\n")
    after = _package(tree)
    assert after["auth"].digest != before["auth"].digest
    assert after["chat"] == before["chat"]
    assert after["chat"].path.stat().st_mtime_ns == written


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_and_an_interrupt_leave_no_partial_zip(
    tree: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(zipfile.ZipFile, "writestr", fail)
        with pytest.raises(type(error)):
            _package(tree)
    assert list((tree / "build" / "functions").iterdir()) == []
    assert _package(tree)["auth"].path.is_file()


def test_a_change_of_shared_code_changes_every_digest(tree: Path) -> None:
    before = _package(tree)
    (tree / "lambdas" / "common" / "problems.py").write_text("NAME = 'changed'\n")
    after = _package(tree)
    assert all(after[name].digest != before[name].digest for name in before)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("msgspec>=1", "msgspec>=1 does not pin one version"),
        ("msgspec==2.0", "differs from Pipfile.lock, which has 1.0"),
        ("leftpad==1.0", "differs from Pipfile.lock, which has no such package"),
    ],
)
def test_a_pin_that_is_not_in_the_lock_file_is_rejected(
    tree: Path, line: str, message: str
) -> None:
    (tree / "lambdas" / "auth" / "requirements.txt").write_text(line + "\n")
    with pytest.raises(PackagingError, match=message):
        _package(tree)


def test_a_failed_download_leaves_no_files(tree: Path) -> None:
    (tree / "lambdas" / "auth" / "requirements.txt").write_text("msgspec==1.0\n")
    with pytest.raises(PackagingError, match="pip could not fetch msgspec==1.0"):
        _package(tree)
    assert [
        item for item in (tree / "build" / "dependencies").iterdir() if any(item.iterdir())
    ] == []


def test_a_function_without_a_handler_is_rejected(tree: Path) -> None:
    (tree / "lambdas" / "chat" / "handler.py").unlink()
    with pytest.raises(PackagingError, match=r"chat has no handler\.py"):
        _package(tree)
