"""Tests how the difference between two plans from an empty state becomes a plan."""

from __future__ import annotations

import pytest

from ops.errors import OperatorError
from ops.review.offline import difference, plan_offline
from ops.review.review import Review, review
from ops.root import Root
from ops.terraform.plan import Action, read_plan
from ops.terraform.plan_values import UNKNOWN
from tests.ops.review.documents import Block, document, item

TABLE = {"name": "notes-items-dev", "read_capacity": None}
ASSIGNED = {"id": True, "arn": True}


def created(
    label: str, values: Block, unknown: Block = ASSIGNED, arguments: Block | None = None
) -> Block:
    """Returns a resource in a plan from an empty state."""
    resource = item("aws_dynamodb_table", label, None, values, after_unknown=unknown)
    return {**resource, "arguments": arguments or values}


def compare(before: list[Block], after: list[Block]) -> Review:
    plans = ({**document(), "resource_changes": items} for items in (before, after))
    return review(read_plan(difference(*plans)), "dev")


def actions(result: Review) -> dict[str, Action]:
    return {str(judged.change.name): judged.change.action for judged in result.changes}


def test_equal_plans_change_nothing() -> None:
    items = [created("a", TABLE), created("b", {"name": "b", "tags": {"x": "y"}})]
    assert compare(items, items).summary == "nothing changes"


def test_resources_are_created_and_deleted() -> None:
    result = compare([created("old", TABLE)], [created("new", TABLE)])
    assert actions(result) == {"old": Action.DESTROY, "new": Action.CREATE}
    [deleted] = [judged.change for judged in result.changes if judged.change.name == "old"]
    assert deleted.before["name"] == "notes-items-dev"


def test_a_changed_resource_has_only_its_changed_values() -> None:
    before = {**TABLE, "deletion_protection_enabled": True}
    result = compare(
        [created("a", before)], [created("a", {**before, "deletion_protection_enabled": False})]
    )
    assert actions(result) == {"a": Action.UPDATE}
    [judged] = result.changes
    assert [difference.path for difference in judged.change.differences] == [
        "deletion_protection_enabled"
    ]


def test_a_value_unknown_in_both_plans_counts_as_changed_if_its_argument_changes() -> None:
    """A policy that refers to a table is unknown until AWS has assigned the table's ARN."""
    unknown = {**ASSIGNED, "policy": True}
    before = created("a", TABLE, unknown, {**TABLE, "policy": "${aws_dynamodb_table.a.arn}"})
    after = created("a", TABLE, unknown, {**TABLE, "policy": "${aws_dynamodb_table.b.arn}"})
    assert actions(compare([before], [before])) == {}
    [judged] = compare([before], [after]).changes
    assert judged.change.after["policy"] is UNKNOWN


def test_a_value_that_becomes_unknown_is_a_change() -> None:
    before = created("a", {**TABLE, "stream_arn": "arn"})
    after = created("a", TABLE, {**ASSIGNED, "stream_arn": True}, before["arguments"])
    [judged] = compare([before], [after]).changes
    assert judged.change.after["stream_arn"] is UNKNOWN


def test_only_changed_outputs_are_listed() -> None:
    def plan(**values: str) -> Block:
        changes = {name: {"actions": ["create"], "after": value} for name, value in values.items()}
        return {**document(), "resource_changes": [], "output_changes": changes}

    result = read_plan(
        difference(plan(same="a", changed="b", old="c"), plan(same="a", changed="d"))
    )
    assert result.outputs == ("changed", "old")


def test_an_unknown_commit_is_an_error(root: Root) -> None:
    with pytest.raises(OperatorError, match="'nothing' is not a commit of this checkout"):
        plan_offline("dev", root, "nothing")
