"""Tests that the reference of the constructs is complete and matches the code."""

from __future__ import annotations

import re

import pytest

from ops.root import PROJECT
from tools.module_reference import PAGES, ConstructClass, constructs, pages

TEXTS = pages()


def test_the_pages_match_the_constructs() -> None:
    stored = {str(path.relative_to(PAGES)): path.read_text() for path in PAGES.rglob("*.md")}
    assert stored == TEXTS, "run: python -m tools.module_reference"


def test_the_pages_name_every_type_of_resource_of_the_stacks() -> None:
    text = (PROJECT / "tools" / "aws_schemas" / "types.yml").read_text()
    types = set(re.findall(r"^(aws_\w+):", text, re.MULTILINE))
    created_by_functions = {"aws_lambda_event_source_mapping", "aws_ssm_parameter"}
    named = set(re.findall(r"`((?:data\.)?aws_\w+)`", "".join(TEXTS.values())))
    assert types
    assert types - named == created_by_functions


@pytest.mark.parametrize("item", constructs(), ids=lambda item: item.name)
def test_every_construct_describes_its_arguments(item: ConstructClass) -> None:
    described = {name: text for name, _, _, text in item.arguments()}
    assert [name for name, text in described.items() if not text] == []
