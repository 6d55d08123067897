"""Tests that no folder of the program has more modules than a reader can survey."""

from __future__ import annotations

from collections import Counter

import pytest

from ops.root import PROJECT

MODULES = 20
"""Maximum number of modules in one folder."""


@pytest.mark.parametrize("package", ["environments", "modules", "lambdas", "ops", "tools", "bench"])
def test_no_folder_has_more_than_20_modules(package: str) -> None:
    files = [
        file
        for file in (PROJECT / package).rglob("*.py")
        if not {".venv", "node_modules"} & set(file.parts)
    ]
    counts = Counter(file.parent.relative_to(PROJECT) for file in files)
    assert counts
    assert {str(folder): count for folder, count in counts.items() if count > MODULES} == {}
