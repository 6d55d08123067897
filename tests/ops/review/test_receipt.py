"""Tests that a plan can be applied only as it was reviewed, and only to the state it is based
on.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from ops.errors import OperatorError
from ops.review.receipt import (
    NOTHING_APPLIED,
    StateVersion,
    check_receipt,
    remove_plan,
    state_version,
    write_receipt,
)
from ops.review.review import review
from ops.terraform.plan import read_plan
from tests.ops.review.documents import document, item

STATE = StateVersion("a-lineage", 7)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    (tmp_path / "stack" / "assets").mkdir(parents=True)
    (tmp_path / "stack" / "assets" / "code.zip").write_text("reviewed")
    return tmp_path / "stack"


@pytest.fixture
def plan(tmp_path: Path, stack: Path) -> Path:
    """Writes a plan file and the receipt of its review. Returns the path of the plan file."""
    file = tmp_path / "a.tfplan"
    with zipfile.ZipFile(file, "w") as parts:
        parts.writestr("tfplan", "what to do")
        parts.writestr("tfstate", json.dumps({"lineage": STATE.lineage, "serial": STATE.serial}))
    changes = document(
        item("aws_s3_object", "auth_code_0123ABCD", None, {"source": "assets/code.zip"}),
        item("aws_sns_topic", "messaging_topic_0123ABCD", {"name": "a"}, None),
    )
    write_receipt(file, review(read_plan(changes), "dev"), stack)
    return file


def test_reviewed_plan_can_be_applied(plan: Path, stack: Path) -> None:
    receipt = check_receipt(plan, "dev", STATE, stack)
    assert receipt.verdict == "dangerous"
    assert receipt.counts == {"add": 1, "change": 0, "remove": 1}
    assert receipt.destroys == {"aws_sns_topic.messaging_topic_0123ABCD": "destroy"}


@pytest.mark.parametrize(
    "state", [StateVersion("a-lineage", 8), StateVersion("another", 7), NOTHING_APPLIED]
)
def test_stale_plan_is_rejected(plan: Path, stack: Path, state: StateVersion) -> None:
    with pytest.raises(OperatorError, match=r"stale.*ops review dev"):
        check_receipt(plan, "dev", state, stack)


def test_plan_of_another_environment_is_rejected(plan: Path, stack: Path) -> None:
    with pytest.raises(OperatorError, match="for dev, not for prod"):
        check_receipt(plan, "prod", STATE, stack)


def test_modified_plan_is_rejected(plan: Path, stack: Path) -> None:
    plan.write_bytes(plan.read_bytes() + b"more")
    with pytest.raises(OperatorError, match="modified after the review"):
        check_receipt(plan, "dev", STATE, stack)


def test_modified_code_is_rejected(plan: Path, stack: Path) -> None:
    (stack / "assets" / "code.zip").write_text("exchanged")
    with pytest.raises(OperatorError, match=r"assets/code\.zip"):
        check_receipt(plan, "dev", STATE, stack)


def test_unreviewed_plan_is_rejected(plan: Path, stack: Path) -> None:
    other = plan.with_name("other.tfplan")
    with pytest.raises(OperatorError, match="does not exist"):
        check_receipt(other, "dev", STATE, stack)
    other.write_bytes(plan.read_bytes())
    with pytest.raises(OperatorError, match="was not reviewed"):
        check_receipt(other, "dev", STATE, stack)


def test_receipt_is_removed_with_its_plan(plan: Path) -> None:
    remove_plan(plan)
    assert [path.name for path in plan.parent.iterdir()] == ["stack"]


def test_a_missing_and_an_existing_state_have_different_versions() -> None:
    assert state_version(None) == NOTHING_APPLIED
    assert state_version({"lineage": "a", "serial": 1}) == StateVersion("a", 1)
