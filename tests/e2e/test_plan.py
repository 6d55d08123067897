"""Tests that a plan after the apply is empty, except for what the embedded AWS misreports."""

from __future__ import annotations

from typing import Any

from ops.root import Root
from ops.terraform.outside_changes import EMULATED
from tests.e2e.support import Platform
from tests.terraform import plan

UNTIL_NEXT_APPLY = "aws_vpc_security_group_egress_rule"
"""Attributes that a second apply corrects. They differ only on a platform that was applied once."""


def differences(change: dict[str, Any]) -> set[str]:
    """Returns the attributes that a change modifies."""
    before, after = change["before"] or {}, change["after"] or {}
    unknown = {name for name, value in (change["after_unknown"] or {}).items() if value}
    return {
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    } | unknown


def test_a_second_apply_would_change_nothing(platform: Platform) -> None:
    shown = plan(platform.directory, Root(platform.root), variables=platform.cloud.variables)
    changes = [item for item in shown["resource_changes"] if item["change"]["actions"] != ["no-op"]]
    assert {tuple(item["change"]["actions"]) for item in changes} <= {("update",)}
    found = {
        (item["type"], attribute) for item in changes for attribute in differences(item["change"])
    }
    # The sets must be equal, so that EMULATED contains no gap that no longer exists.
    misreported = {gap for gap in EMULATED if platform.own or gap[0] != UNTIL_NEXT_APPLY}
    assert {gap for gap in found if platform.own or gap[0] != UNTIL_NEXT_APPLY} == misreported
    outputs = {
        name for name, change in shown["output_changes"].items() if change["actions"] != ["no-op"]
    }
    assert not outputs
