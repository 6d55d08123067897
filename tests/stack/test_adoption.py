"""Tests that somebody has reviewed how `ops up` adopts each type of resource of the local stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.terraform.adoption import IMPORT_IDS
from ops.terraform.lookups import LOOKUPS
from tests.stack.stacks import Stack

reviewed: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("adoption.yml").read_text())
FOUND = {type_ for type_, template in IMPORT_IDS.items() if "{id}" not in template} | LOOKUPS.keys()
"""Types whose import id follows from the configuration, or is found by a lookup."""


@pytest.fixture(scope="module")
def types(synthesized: Path) -> set[str]:
    return set(Stack("local", synthesized / "local").document["resource"])


def test_the_adoption_of_each_type_is_reviewed(types: set[str]) -> None:
    listed = [*reviewed["logged"], *reviewed["replaceable"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == types - FOUND


def test_import_ids_exist_only_for_types_of_the_stack(types: set[str]) -> None:
    assert IMPORT_IDS.keys() | LOOKUPS.keys() <= types
