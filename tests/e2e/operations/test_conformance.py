"""Tests that the embedded AWS does what the stack and the functions need."""

from __future__ import annotations

from tests.e2e.support.commands import run_ops
from tests.e2e.support.platform import Platform


def test_the_embedded_aws_passes_every_check(platform: Platform) -> None:
    assert "failed" not in run_ops(platform.root, "conformance")
