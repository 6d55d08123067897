"""Tests the report on packages whose versions changed in a lock file."""

from __future__ import annotations

from tools.lock_changes import compare, read_versions


def test_versions_of_all_groups_of_a_pipfile_lock_are_read() -> None:
    lock = {
        "_meta": {"hash": {}},
        "default": {"a": {"version": "==1"}},
        "local": {"b": {"version": "==2"}},
    }
    assert read_versions(lock) == {"a": "1", "b": "2"}


def test_versions_of_nested_npm_packages_are_read() -> None:
    packages = {"": {"version": "0"}, "node_modules/a/node_modules/@b/c": {"version": "1"}}
    assert read_versions({"packages": packages}) == {"@b/c": "1"}


def test_updated_added_and_removed_packages_are_listed() -> None:
    lines = list(compare({"a": "1", "b": "1", "c": "1"}, {"a": "2", "b": "1", "d": "1"}))
    assert lines == ["a: 1 -> 2", "c: 1 -> removed", "d: added -> 1"]
