"""Tests which changes since the last apply make `ops up` repeat it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from environments import load_environment
from ops.local.last_apply import LastApply
from ops.root import Root, write_json
from tests.ops.clouds import FakeCloud


class World:
    """A project, a stack and Terraform's state, which the tests change."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.project = root.path / "project"
        self.stack = root.path / "stack"
        self.write("project/lambdas/auth/handler.py")
        self.write("project/Pipfile.lock")
        self.write("stack/cdk.tf.json")
        self.state = '"1"'
        s3 = SimpleNamespace(head_object=lambda **_: {"ETag": self.state})
        self.cloud = FakeCloud(
            load_environment("local", variables={}), {}, "http://aws", clients={"s3": s3}
        )

    def write(self, file: str, text: str = "") -> None:
        path = self.root.path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def last_apply(self) -> LastApply:
        return LastApply(self.root, self.stack, self.project)

    def is_current(self) -> bool:
        return self.last_apply().is_current(self.cloud)


@pytest.fixture
def world(root: Root) -> World:
    result = World(root)
    result.last_apply().record(result.cloud)
    return result


def test_the_last_apply_is_current_if_nothing_changed(world: World) -> None:
    world.write("project/lambdas/__pycache__/handler.pyc")
    assert world.is_current()


CHANGES: dict[str, Callable[[World], object]] = {
    "source": lambda world: world.write("project/lambdas/auth/handler.py", "changed"),
    "new source": lambda world: world.write("project/modules/new.py"),
    "lock file": lambda world: world.write("project/Pipfile.lock", "changed"),
    "stack": lambda world: world.write("stack/cdk.tf.json", "changed"),
    "new resources": lambda world: world.write("stack/more.tf.json"),
    "state": lambda world: setattr(world, "state", '"2"'),
    "endpoint": lambda world: setattr(
        world, "cloud", replace(world.cloud, endpoint="http://other")
    ),
    "environment": lambda world: setattr(
        world,
        "cloud",
        replace(
            world.cloud,
            environment=load_environment("local", variables={"OPENAI_MODEL": "other"}),
        ),
    ),
    "new database": lambda world: world.write("database/global/pg_control", "other identifier"),
    "damaged record": lambda world: world.write("applied.json", '{"version'),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_apply_is_repeated_after_a_change(world: World, name: str) -> None:
    CHANGES[name](world)
    assert not world.is_current()


def test_a_source_that_changes_during_the_apply_is_applied_by_the_next_one(world: World) -> None:
    running = world.last_apply()
    world.write("project/lambdas/auth/handler.py", "changed")
    running.record(world.cloud)
    assert not world.is_current()


def test_the_first_apply_is_not_skipped(root: Root) -> None:
    write_json(root.path / "fit.json", {})
    assert not World(root).is_current()
