"""Tests that the embedded AWS supports what the stack and the functions need."""

from __future__ import annotations

import json

from tests.e2e.support.commands import run_ops
from tests.e2e.support.platform import Platform


def test_the_embedded_aws_passes_every_check(platform: Platform) -> None:
    results = json.loads(run_ops(platform.root, "conformance", "--json"))
    assert [result for result in results if result["error"]] == []
    assert len(results) > 50
