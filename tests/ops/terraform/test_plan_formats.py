"""Tests plans of Terraform 1.14 and later, and of OpenTofu, in the format that their source code
defines.

Terraform: `internal/command/jsonplan` (plan.go, resource.go, action_invocations.go). OpenTofu has
the same files, without deferred changes and actions. The programs differ in the position of
`forget` in the actions of a change.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from ops.review.review import Review, review
from ops.review.rules import Verdict
from ops.terraform.addresses import parse_address
from ops.terraform.plan import Action, read_plan
from ops.terraform.plan_values import UNKNOWN
from tests.ops.review.documents import Block

BEFORE, AFTER = {"bucket": "a", "force_destroy": False}, {"bucket": "b", "force_destroy": False}
REASONS = (
    *("unknown", "instance_count_unknown", "resource_config_unknown", "provider_config_unknown"),
    *("deferred_prereq", "absent_prereq"),
)
EVENTS = ("BeforeCreate", "AfterCreate", "BeforeUpdate", "AfterUpdate")


def change(*actions: str, before: Any = BEFORE, after: Any = AFTER, **fields: Any) -> Block:
    """Returns a `Change`. For a `before` or `after` that does not exist, Terraform writes null."""
    return {
        "actions": list(actions),
        "before": before,
        "after": after,
        "after_unknown": {},
        "before_sensitive": {} if before else False,
        "after_sensitive": {} if after else False,
        **fields,
    }


def resource_change(changed: Block, **fields: Any) -> Block:
    return {
        "address": "aws_s3_bucket.a",
        "mode": "managed",
        "type": "aws_s3_bucket",
        "name": "a",
        "provider_name": "registry.terraform.io/hashicorp/aws",
        "change": changed,
        **fields,
    }


def invocation(**trigger: Any) -> Block:
    return {
        "address": 'action.aws_lambda_invoke.clear["a.b"]',
        "type": "aws_lambda_invoke",
        "name": "clear",
        "config_values": {"function_name": "f"},
        "config_sensitive": {},
        "config_unknown": {"payload": True},
        "provider_name": "registry.terraform.io/hashicorp/aws",
        **trigger,
    }


def lifecycle(event: str) -> Block:
    trigger = {
        "triggering_resource_address": "aws_s3_bucket.a",
        "action_trigger_event": event,
        "action_trigger_block_index": 0,
        "actions_list_index": 0,
        "on_failure": "fail",
    }
    return {"lifecycle_action_trigger": trigger}


def terraform(*changes: Block, **fields: Any) -> Block:
    return {
        "format_version": "1.2",
        "terraform_version": "1.14.0",
        "variables": {"name": {"value": "a"}},
        "planned_values": {"root_module": {}},
        "resource_changes": list(changes),
        "prior_state": {"format_version": "1.0", "values": {"root_module": {}}},
        "configuration": {"root_module": {}},
        "relevant_attributes": [{"resource": "aws_s3_bucket.a", "attribute": ["bucket"]}],
        "checks": [],
        "timestamp": "2026-11-01T00:00:00Z",
        "applyable": True,
        "complete": True,
        "errored": False,
        **fields,
    }


def opentofu(*changes: Block) -> Block:
    document = terraform(*changes, terraform_version="1.12.0")
    for name in ("applyable", "complete"):
        del document[name]
    return document


def reviewed(document: Block) -> Review:
    return review(read_plan(document), "dev")


@pytest.mark.parametrize("write", [terraform, opentofu])
@pytest.mark.parametrize(
    ("changed", "action", "verdict"),
    [
        (change("no-op", after=BEFORE), None, Verdict.SAFE),
        (change("create", before=None), Action.CREATE, Verdict.SAFE),
        (change("update"), Action.UPDATE, Verdict.REVIEW),
        (change("delete", after=None), Action.DESTROY, Verdict.IRREVERSIBLE),
        (change("delete", "create"), Action.REPLACE, Verdict.IRREVERSIBLE),
        (change("create", "delete"), Action.REPLACE, Verdict.IRREVERSIBLE),
        (change("forget", after=None), Action.FORGET, Verdict.REVIEW),
        (change("create", "forget"), Action.SUPERSEDE, Verdict.DANGEROUS),
        (change("forget", "create"), Action.SUPERSEDE, Verdict.DANGEROUS),
    ],
    ids=lambda value: "-".join(value["actions"]) if isinstance(value, dict) else "",
)
def test_every_list_of_actions_has_a_verdict(
    write: Any, changed: Block, action: Action | None, verdict: Verdict
) -> None:
    result = reviewed(write(resource_change(changed, action_reason="a_reason_of_the_future")))
    assert [item.change.action for item in result.changes] == ([action] if action else [])
    assert result.verdict is verdict


def test_data_and_ephemeral_resources_do_not_count_as_changes() -> None:
    read = change("read", before=None)
    opened = change("Open", before=None)
    document = terraform(
        resource_change(read, mode="data", action_reason="read_because_dependency_pending"),
        resource_change(opened, mode="ephemeral"),
    )
    assert read_plan(document).resources == ()


@pytest.mark.parametrize("reason", [*REASONS, "a_reason_of_the_future"])
def test_deferred_change_is_named_with_its_reason(reason: str) -> None:
    unknown_index = resource_change(
        change("create", before=None, after=None, after_unknown=True, importing={"unknown": True}),
        address="module.shop[*].aws_s3_bucket.a[*]",
        module_address="module.shop[*]",
        index_unknown=True,
    )
    deferral = {"reason": reason, "resource_change": unknown_index}
    result = reviewed(terraform(deferred_changes=[deferral], complete=False))
    [deferred] = result.plan.deferred
    assert (deferred.reason, deferred.change.address) == (reason, unknown_index["address"])
    assert deferred.change.imported == "(known after apply)"
    assert result.verdict is Verdict.REVIEW


def test_plan_may_contain_only_deferred_changes_or_actions() -> None:
    deferral = {"reason": "unknown", "resource_change": resource_change(change("update"))}
    action = {"reason": "unknown", "action_invocation": invocation()}
    for contents in ({"deferred_changes": [deferral]}, {"deferred_action_invocations": [action]}):
        assert reviewed({"format_version": "1.2", **contents}).verdict is Verdict.REVIEW


def test_unknown_index_is_part_of_an_address() -> None:
    address = parse_address('module.shop[*].aws_s3_bucket.a["x"]')
    assert (address.module, address.type, address.key) == (
        "module.shop[*]",
        "aws_s3_bucket",
        '["x"]',
    )
    assert parse_address("aws_s3_bucket.a[*]").key == "[*]"


@pytest.mark.parametrize(
    "trigger",
    [
        {"invoke_action_trigger": {}},
        {"invoke_action_trigger": {"calling_resource_address": "aws_s3_bucket.a"}},
        *(lifecycle(event) for event in EVENTS),
    ],
    ids=["invoked", "invoked by a resource", *EVENTS],
)
def test_invoked_action_is_dangerous_for_every_trigger(trigger: Block) -> None:
    result = reviewed(terraform(action_invocations=[invocation(**trigger)]))
    assert result.verdict is Verdict.DANGEROUS
    assert result.summary == "dangerous: 1 action invoked"
    [invoked] = result.plan.invocations
    assert invoked.address == 'action.aws_lambda_invoke.clear["a.b"]'


@pytest.mark.parametrize("reason", REASONS)
def test_deferred_action_is_named_with_its_reason(reason: str) -> None:
    deferral = {"reason": reason, "action_invocation": invocation(**lifecycle("AfterCreate"))}
    result = reviewed(terraform(deferred_action_invocations=[deferral]))
    assert [item.deferred for item in result.plan.invocations] == [reason]
    assert result.verdict is Verdict.REVIEW


@pytest.mark.parametrize(
    ("importing", "text"),
    [
        ({"id": "b"}, "b"),
        ({"identity": {"bucket": "b", "region": None}}, "bucket=b"),
        ({"unknown": True}, "(known after apply)"),
        ({}, "(known after apply)"),
    ],
)
def test_import_is_shown_by_id_or_identity(importing: Block, text: str) -> None:
    identity = {"bucket": "b", "account_id": "123456789012"}
    imported = change(
        "no-op",
        after=BEFORE,
        importing=importing,
        generated_config='resource "aws_s3_bucket" "a" {}',
        before_identity=identity,
        after_identity=identity,
    )
    [item] = reviewed(terraform(resource_change(imported))).changes
    assert (item.change.action, item.change.imported) == (Action.IMPORT, text)


def test_sensitivity_of_a_whole_resource_hides_all_its_values() -> None:
    hidden = change("update", before_sensitive=True, after_sensitive=False)
    result = reviewed(terraform(resource_change(hidden)))
    assert result.changes[0].change.differences
    assert "force_destroy" in repr(result)
    assert '"b"' not in json.dumps([str(item) for item in result.changes[0].change.after.values()])
    unknown = change("update", after_unknown=True)
    [item] = reviewed(terraform(resource_change(unknown))).changes
    assert set(item.change.after.values()) == {UNKNOWN}


def test_paths_that_force_a_replacement_may_be_missing_or_contain_an_index() -> None:
    requested = change("delete", "create", replace_paths=[["rule", 0, "name"], ["bucket"]])
    [item] = reviewed(
        terraform(resource_change(requested, action_reason="replace_because_cannot_update"))
    ).changes
    assert item.change.forced_by == ("rule.name", "bucket")
    tainted = change("create", "delete")
    [item] = reviewed(
        terraform(resource_change(tainted, action_reason="replace_because_tainted"))
    ).changes
    assert item.change.forced_by == ()


def test_failed_plan_of_terraform_or_opentofu_is_refused() -> None:
    for write in (terraform, opentofu):
        with pytest.raises(Exception, match="planning failed"):
            read_plan({**write(), "errored": True, "applyable": False, "complete": False})
