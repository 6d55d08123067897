"""Removing an environment, one function's code, live development: what is refused, and what is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import boto3
import pytest

from environments import load_environment
from ops.cloud import Cloud
from ops.deployment import remove as removal
from ops.deployment.remove import TOPIC_NOTE, destroy_environment, empty_buckets, list_kept
from ops.errors import OperatorError
from ops.local import dev as development
from ops.local.dev import LAMBDAS, Planning, classify_changes, plan_lines, syntax_error
from ops.root import PROJECT, Root
from ops.terraform.runner import Apply, Plan
from ops.traffic.code_update import deploy_function_code
from ops.traffic.notify import News
from tests.ops.traffic.releases import FakeClock, make_ledger


@pytest.fixture
def prod() -> Cloud:
    return Cloud(load_environment("prod", variables={}), {})


def test_prod_is_not_removed(prod: Cloud, root: Root, tmp_path: Path) -> None:
    with pytest.raises(
        OperatorError, match=r"prod has removal_policy: retain, so it was not removed"
    ):
        destroy_environment(prod, root, tmp_path, lambda _: None)


def test_prod_gets_code_by_a_release_alone(prod: Cloud) -> None:
    with pytest.raises(OperatorError, match="`ops release prod auth`"):
        deploy_function_code(prod, "auth")


def test_a_bucket_is_emptied_with_every_version_of_every_object(cloud: Cloud) -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="bucket")
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    for key in ("a+b", "c", "c"):
        s3.put_object(Bucket="bucket", Key=key, Body=b"x")
    s3.delete_object(Bucket="bucket", Key="c")
    empty_buckets(cloud, ["bucket", "gone-already"])
    s3.delete_bucket(Bucket="bucket")


def test_a_removal_asks_empties_destroys_and_says_what_is_kept(
    cloud: Cloud, root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def apply(_: Plan) -> Apply:
        done.append("destroy")
        return Apply(counts={"remove": 5})

    def plan(file: Path, options: Sequence[str]) -> Plan:
        done.append(" ".join(options))
        return Plan(file, {"remove": 5}, {})

    stack = SimpleNamespace(plan=plan, apply=apply, directory=tmp_path)
    found = {
        "aws_s3_bucket": [{"bucket": "b"}],
        "aws_kms_key": [{"key_id": "k", "deletion_window_in_days": 7}],
        "aws_sns_topic": [{"name": "multitask-alerts-dev", "arn": "arn:alerts"}],
    }
    monkeypatch.setattr(removal, "resource_count", lambda _: len(found))
    monkeypatch.setattr(removal, "Notifier", Topic)
    Topic.told = []
    monkeypatch.setattr(removal, "prepare_stack", lambda *_: stack)
    monkeypatch.setattr(removal, "attributes", lambda _, kind: found[kind])
    monkeypatch.setattr(
        removal, "empty_buckets", lambda _, buckets: done.append(f"empty {buckets[0]}")
    )
    ledger = make_ledger(cloud, FakeClock())
    monkeypatch.setattr(removal, "Ledger", lambda _: ledger)
    result = destroy_environment(cloud, root, tmp_path, lambda _: done.append("confirm"))
    assert done == ["-destroy", "confirm", "empty b", "destroy"]
    assert result["removed"] == 5
    assert any("customer key k: KMS deletes it 7 days from now" in line for line in result["kept"])
    assert any("multitask-platform/dev/terraform.tfstate" in line for line in list_kept(cloud, []))
    assert Topic.told == [("arn:alerts", "started", TOPIC_NOTE)]

    def fail(_: Plan) -> Apply:
        raise OperatorError("a table is protected")

    Topic.told = []
    stack.apply = fail
    with pytest.raises(OperatorError, match="a table is protected"):
        destroy_environment(cloud, root, tmp_path, lambda _: None)
    assert [(state, line) for _, state, line in Topic.told] == [
        ("started", TOPIC_NOTE),
        ("failed", "a table is protected"),
    ]
    found.clear()
    assert destroy_environment(cloud, root, tmp_path, lambda _: None)["removed"] == 0


class Topic:
    """A notifier that remembers topic, state and last line."""

    told: ClassVar[list[tuple[str | None, str, str]]] = []

    def __init__(self, _: Cloud, topic: str | None, __: str) -> None:
        self.topic = topic

    def publish(self, state: str, news: News) -> None:
        self.told.append((self.topic, state, news.lines[-1]))


def test_saved_files_are_sorted_by_what_has_to_be_done() -> None:
    saved = [
        LAMBDAS / "auth" / "logic.py",
        PROJECT / "modules" / "auth.py",
        LAMBDAS / "chat" / ".logic.py.swp",
    ]
    changed = classify_changes(saved)
    assert (changed.functions, changed.infrastructure) == (frozenset({"auth"}), True)
    assert classify_changes([LAMBDAS / "common" / "http.py"]).functions == {"common"}
    assert not classify_changes([LAMBDAS / "auth" / "__pycache__" / "x.py"]).functions


def test_code_that_cannot_be_read_is_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(development, "LAMBDAS", tmp_path)
    monkeypatch.setattr(development, "PROJECT", tmp_path)
    (tmp_path / "auth").mkdir()
    file = tmp_path / "auth" / "logic.py"
    file.write_text("x = 1\n")
    assert syntax_error("auth") is None
    file.write_text("def :\n")
    assert (syntax_error("auth") or "").startswith("auth/logic.py:1: ")


class Runs:
    """Runs of Terraform that end when the test says."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def end(self) -> None:
        self.waiting.pop(0)()


def test_a_plan_is_applied_on_the_key_and_what_is_saved_meanwhile_is_planned_once(
    root: Root, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done: list[str] = []
    update = {"actions": ["update"], "before": {"days": 7}, "after": {"days": 30}}
    shown = {"resource_changes": [{"address": "g.x", "type": "g", "change": update}]}
    stack = SimpleNamespace(
        plan=lambda *_: done.append("plan"), show=lambda _: shown, directory=tmp_path
    )
    monkeypatch.setattr(development, "connect", lambda *_: None)
    monkeypatch.setattr(development, "prepare_stack", lambda *_: stack)
    applied = SimpleNamespace(seconds={"apply": 1.0})

    def bring_up(_: Root) -> Any:
        done.append("apply")
        return applied

    monkeypatch.setattr(development, "start_platform", bring_up)
    runs = Runs()
    planning = Planning(root, runs.waiting.append)
    planning.apply()
    assert runs.waiting == []  # there is nothing to apply yet
    planning.begin()
    planning.begin()
    planning.begin()
    runs.end()
    runs.end()
    assert (done, runs.waiting) == (["plan", "plan"], [])
    planning.apply()
    runs.end()
    assert done[-1] == "apply"


def test_a_plan_shows_what_really_changes() -> None:
    def item(
        kind: str, actions: list[str], before: Any = None, after: Any = None
    ) -> dict[str, Any]:
        return {
            "address": f"{kind}.x",
            "type": kind,
            "change": {"actions": actions, "before": before, "after": after},
        }

    plan = {
        "resource_changes": [
            item("a", ["no-op"]),
            item("b", ["create"]),
            item("c", ["delete", "create"]),
            item("d", ["update"], {"x": 1, "y": 2}, {"x": 1, "y": 3}),
            item("aws_cloudwatch_metric_alarm", ["update"], {"period": 0}, {"period": 300}),
        ]
    }
    assert plan_lines(plan) == ["  create b.x", "  replace c.x", "  update d.x: y"]
