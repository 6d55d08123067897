"""Tests that a plan after the apply is empty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.review.review import review
from ops.review.rules import Verdict
from ops.root import Root
from ops.terraform.plan import read_plan
from ops.terraform.synthesis import HCL, format_hcl, synthesize
from tests.e2e.support.platform import Platform
from tests.terraform import plan, run


def assert_no_differences(result: dict[str, Any]) -> None:
    """Fails if a plan, or the review of it, contains changes."""
    changes = {item["address"]: item["change"] for item in result["resource_changes"]}
    assert {
        address: {
            name: (change["before"].get(name), value)
            for name, value in change["after"].items()
            if change["before"].get(name) != value
        }
        if change["actions"] == ["update"]
        else change["actions"]
        for address, change in changes.items()
        if change["actions"] != ["no-op"]
    } == {}
    reviewed = review(read_plan(result), "local")
    assert (reviewed.changes, reviewed.plan.drifted, reviewed.plan.outputs) == ((), (), ())
    assert (reviewed.verdict, reviewed.summary) == (Verdict.SAFE, "nothing changes")


def test_a_second_apply_would_change_nothing(platform: Platform) -> None:
    result, output = plan(
        platform.stack_directory, Root(platform.root), variables=platform.cloud.variables
    )
    assert "Warning:" not in output
    assert_no_differences(result)


@pytest.mark.nightly
def test_terraform_alone_finds_no_changes_in_the_stack_written_as_hcl(
    platform: Platform, tmp_path: Path
) -> None:
    """Plans the HCL of the stack with only Terraform, in a directory without the CDKTF program."""
    root, variables = Root(platform.root), platform.cloud.variables
    synthesize(["local"], tmp_path, {**variables, **HCL})
    format_hcl(tmp_path / "stacks" / "local", root)
    directory = (tmp_path / "stacks" / "local").rename(tmp_path / "terraform")
    assert not list(directory.glob("cdk.tf.json"))
    run(directory, root, "init", "-input=false", variables=variables)
    result, output = plan(directory, root, variables=variables)
    assert "Warning:" not in output
    assert_no_differences(result)
