"""Tests that cached stacks are synthesized again only after their sources have changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from ops.errors import OperatorError
from ops.terraform.stack_cache import read_cached_stack


class Synthesis:
    """Writes a stack with one resource, and counts the syntheses."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, environments: list[str], out: Path, _variables: Mapping[str, str]) -> None:
        self.runs += 1
        for name in environments:
            stack = out / "stacks" / name
            stack.mkdir(parents=True)
            document = {"resource": {"aws_sqs_queue": {"queue": {"name": f"{name}-{self.runs}"}}}}
            (stack / "cdk.tf.json").write_text(json.dumps(document))


def test_a_stack_is_synthesized_once_and_again_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthesis, announced = Synthesis(), list[str]()

    def read(name: str = "prod") -> str:
        stack = read_cached_stack(
            name, announced.append, directory=tmp_path / "stacks", synthesize=synthesis
        )
        return str(stack.resources["aws_sqs_queue.queue"].block["name"])

    assert [read(), read()] == ["prod-1", "prod-1"]
    # Each environment has a separate stack.
    assert read("dev") == "dev-2"
    # The environment file refers to ALERT_EMAIL, so a new value makes the cached stack stale.
    monkeypatch.setenv("ALERT_EMAIL", "alerts@example.com")
    assert [read(), read()] == ["prod-3", "prod-3"]
    assert len(announced) == synthesis.runs == 3


def test_the_error_for_an_unknown_environment_names_it(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"absent\.yml: no such environment"):
        read_cached_stack("absent", print, directory=tmp_path, synthesize=Synthesis())
