"""Tests that `ops up` computes or looks up the import id of each resource type of the local stack.

The only exceptions are the types in adoption.yml, which explains how `ops up` adopts them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.terraform.adoption import IMPORT_IDS
from ops.terraform.lookups import LOOKUPS
from tests.stack.stacks import Stack

reviewed: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("adoption.yml").read_text())
TYPES_WITH_IMPORT_ID = {
    type_ for type_, template in IMPORT_IDS.items() if "{id}" not in template
} | LOOKUPS.keys()
"""Types whose import id `ops up` computes from the configuration, or looks up."""


@pytest.fixture(scope="module")
def types(synthesized: Path) -> set[str]:
    return set(Stack("local", synthesized / "local").document["resource"])


def test_adoption_yml_lists_exactly_the_types_without_an_import_id(types: set[str]) -> None:
    listed = [*reviewed["logged"], *reviewed["replaceable"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == types - TYPES_WITH_IMPORT_ID


def test_import_ids_and_lookups_exist_only_for_types_of_the_stack(types: set[str]) -> None:
    assert IMPORT_IDS.keys() | LOOKUPS.keys() <= types
