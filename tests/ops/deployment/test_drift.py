"""Tests reports on drift: changes made outside Terraform."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.cloud import Cloud
from ops.deployment.drift import compare_with_state, targets
from ops.root import Root
from ops.terraform.outside_changes import OWNED, OutsideChange, outside_changes
from tests.ops.clouds import store_state
from tests.ops.terraform.fakes import FakeTerraform


def test_drift_check_plans_without_a_lock_and_deletes_the_plan(
    cloud: Cloud, root: Root, tmp_path: Path
) -> None:
    calls: list[str] = []
    terraform = FakeTerraform(tmp_path / "stack", calls)
    terraform.plan_document = drift_in("aws_sqs_queue", {"name": "q"}, None, ("delete",))
    store_state(cloud, {"api_url": "https://api"})
    drift = compare_with_state(cloud, root, tmp_path, prepare_stack=lambda *_: terraform)
    assert drift == [OutsideChange("aws_sqs_queue.x", "gone", [])]
    assert (calls, terraform.plan_files()) == (["plan -refresh-only -lock=false"], [])


def change(kind: str, actions: list[str], before: Any, after: Any = None) -> dict[str, Any]:
    return {
        "address": f"{kind}.x",
        "type": kind,
        "change": {"actions": actions, "before": before, "after": after},
    }


def drift_in(
    kind: str, before: Any, after: Any, actions: tuple[str, ...] = ("update",)
) -> dict[str, Any]:
    return {
        "resource_drift": [change(kind, list(actions), before, after)],
        "configuration": {
            "root_module": {
                "resources": [{"address": f"{kind}.x", "expressions": dict.fromkeys(before)}]
            }
        },
    }


def test_changed_attribute_is_reported_without_its_value() -> None:
    drift = outside_changes(
        drift_in(
            "aws_sqs_queue", {"delay_seconds": 0, "name": "q"}, {"delay_seconds": 9, "name": "q"}
        )
    )
    assert drift == [OutsideChange("aws_sqs_queue.x", "changed", ["delay_seconds"])]


def test_deleted_resource_is_reported() -> None:
    plan = drift_in("aws_sqs_queue", {"name": "q"}, None, ("delete",))
    assert outside_changes(plan) == [OutsideChange("aws_sqs_queue.x", "gone", [])]


@pytest.mark.parametrize(("kind", "name"), sorted(OWNED))
def test_attributes_that_releases_rotation_or_autoscaling_change_are_not_drift(
    kind: str, name: str
) -> None:
    assert outside_changes(drift_in(kind, {name: "1"}, {name: "2"})) == []


def test_empty_values_that_a_service_fills_in_are_not_drift() -> None:
    before = {"rule": [{"kind": "AES256", "key": None}], "policy": "", "tags": {"a": "b"}}
    after = {"rule": [{"kind": "AES256", "key": "made"}], "policy": "filled", "tags": {"a": "b"}}
    assert outside_changes(drift_in("aws_sqs_queue", before, after)) == []
    assert outside_changes(
        drift_in("aws_sqs_queue", before, {**after, "tags": {"a": "b", "by": "hand"}})
    )
    assert outside_changes(
        drift_in("aws_sqs_queue", before, {**after, "rule": [{"kind": "aws:kms", "key": None}]})
    )


def test_attributes_missing_in_the_configuration_are_drift_only_if_they_grant_access() -> None:
    opened = drift_in("aws_security_group", {}, {})
    opened["resource_drift"][0]["change"] |= {
        "before": {"ingress": [{"port": 5432}], "owner_id": "1"},
        "after": {"ingress": [{"port": 5432}, {"port": 22}], "owner_id": "2"},
    }
    assert outside_changes(opened) == [
        OutsideChange("aws_security_group.x", "changed", ["ingress"])
    ]


def test_parameters_are_not_refreshed_because_that_would_read_secrets() -> None:
    state = {
        "resources": [
            {"mode": "managed", "type": "aws_ssm_parameter", "name": "jwt_secret"},
            {"mode": "managed", "type": "aws_sqs_queue", "name": "work"},
            {"mode": "data", "type": "aws_region", "name": "current"},
        ]
    }
    assert targets(state) == ["-target=aws_sqs_queue.work"]
