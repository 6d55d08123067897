"""Tests that a plan after the apply is empty, except for what the embedded AWS misreports."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from ops.root import Root
from ops.terraform.outside_changes import EMULATED
from ops.terraform.synthesis import HCL, format_hcl, synthesize
from tests.e2e.support.platform import Platform
from tests.terraform import plan, run

UNTIL_NEXT_APPLY = "aws_vpc_security_group_egress_rule"
"""Attributes that a second apply corrects. They differ only on a platform that was applied once."""


def list_differences(change: dict[str, Any]) -> set[str]:
    """Returns the attributes that a change modifies."""
    before, after = change["before"] or {}, change["after"] or {}
    unknown = {name for name, value in (change["after_unknown"] or {}).items() if value}
    return {
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    } | unknown


def select(attributes: Iterable[tuple[str, str]], platform: Platform) -> set[tuple[str, str]]:
    """Returns the attributes that a plan on this platform is expected to contain."""
    return {
        (type_, name) for type_, name in attributes if platform.is_own or type_ != UNTIL_NEXT_APPLY
    }


def assert_no_differences(platform: Platform, result: dict[str, Any]) -> None:
    """Fails if a plan contains changes other than those that the embedded AWS causes."""
    changes = [
        item for item in result["resource_changes"] if item["change"]["actions"] != ["no-op"]
    ]
    assert not [item for item in changes if item["change"]["actions"] != ["update"]]
    differing = {
        (item["type"], attribute)
        for item in changes
        for attribute in list_differences(item["change"])
    }
    # The sets must be equal, because EMULATED must not contain an attribute that is now correct.
    assert select(differing, platform) == select(EMULATED, platform)
    outputs = {
        name for name, change in result["output_changes"].items() if change["actions"] != ["no-op"]
    }
    assert not outputs


def test_a_second_apply_would_change_nothing(platform: Platform) -> None:
    result, _ = plan(
        platform.stack_directory, Root(platform.root), variables=platform.cloud.variables
    )
    assert_no_differences(platform, result)


@pytest.mark.nightly
def test_terraform_alone_finds_no_changes_in_the_stack_written_as_hcl(
    platform: Platform, tmp_path: Path
) -> None:
    """Plans a copy of the HCL outside of the checkout, as a user without the program would."""
    root, variables = Root(platform.root), platform.cloud.variables
    synthesize(["local"], tmp_path, {**variables, **HCL})
    format_hcl(tmp_path / "stacks" / "local", root)
    directory = (tmp_path / "stacks" / "local").rename(tmp_path / "terraform")
    assert not list(directory.glob("cdk.tf.json"))
    run(directory, root, "init", "-input=false", variables=variables)
    result, output = plan(directory, root, variables=variables)
    assert "Warning:" not in output
    assert_no_differences(platform, result)
