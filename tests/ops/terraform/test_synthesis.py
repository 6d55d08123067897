"""Tests how a failed synthesis is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.errors import FullDiskError, OperatorError
from ops.terraform.synthesis import synthesize


def run(program: str, directory: Path) -> None:
    (directory / "main.py").write_text(program)
    synthesize(["dev"], directory / "out", {}, source=directory)


def test_a_full_disk_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(FullDiskError) as raised:
        run("import pathlib; pathlib.Path('/dev/full').write_text('text')", tmp_path)
    assert str(raised.value) == (
        "The disk is full: free some space and run the command again"
        " (OSError: [Errno 28] No space left on device)"
    )


def test_another_failure_is_reported_with_the_programs_message(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"^Synthesis failed:\ndev\.yml: log_level is wrong$"):
        run("raise SystemExit('dev.yml: log_level is wrong')", tmp_path)


def test_a_failure_leaves_no_partial_stack(tmp_path: Path) -> None:
    stacks = tmp_path / "out" / "stacks"
    for name, text in (("dev", '{"resource": {'), ("prod", "{}")):
        (stacks / name).mkdir(parents=True)
        (stacks / name / "cdk.tf.json").write_text(text)
    with pytest.raises(OperatorError):
        run("raise SystemExit('killed')", tmp_path)
    assert [file.parent.name for file in stacks.glob("*/cdk.tf.json")] == ["prod"]
