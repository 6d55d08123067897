"""Tests how `up` recovers after each way in which the previous run can end."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from environments import load_environment
from ops.cloud import Cloud
from ops.deployment.migrations import Migrated
from ops.embedded.cloud import StartedCloud
from ops.errors import InterruptedRunError, OperatorError
from ops.local import platform
from ops.local.platform import start_platform
from ops.root import Root, read_json
from ops.terraform.runner import Apply, TerraformError, TerraformKilledError

OUTPUTS = {
    "api_url": "http://api",
    "ws_url": "ws://ws",
    "site_url": "http://site",
    "health_url": "http://api/health",
    "functions": {"migration": "m"},
}


class World:
    """Fakes the parts that `up` calls. `ends` has each apply's error, or None for success."""

    def __init__(self) -> None:
        self.ends: list[Exception | None] = []
        self.applies = 0
        self.resets = 0
        self.saves = 0
        self.killed = False
        self.healthy = True
        self.supplied: list[dict[str, str]] = []
        self.code: list[int] = []
        self.migrated: list[str] = []

    def apply(self) -> Apply:
        self.applies += 1
        end = self.ends.pop(0) if self.ends else None
        if end:
            raise end
        return Apply(counts={"add": 1}, outputs=OUTPUTS)

    def reset(self) -> None:
        self.resets += 1

    def save(self) -> None:
        self.saves += 1

    def migrate(self, _: Cloud, function: str) -> Migrated:
        self.migrated.append(function)
        return Migrated([], [], [])

    def wait_until_healthy(self, url: str) -> None:
        if not self.healthy:
            raise OperatorError(f"{url} is not healthy")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    embedded = SimpleNamespace(
        start=lambda: StartedCloud(None, world.killed),  # type: ignore[arg-type]
        reset_aws=world.reset,
        is_aws_running=lambda: True,
        save_aws=world.save,
    )
    stack = SimpleNamespace(init=lambda: True, apply=world.apply)
    cloud = Cloud(load_environment("local", variables={}), {}, "http://aws")
    monkeypatch.setattr(Cloud, "operator", "ann")
    replaced: dict[str, Any] = {
        "EmbeddedCloud": lambda _: embedded,
        "Terraform": lambda *_, **__: stack,
        "connect": lambda *_: cloud,
        "terraform": lambda _: None,
        "node_variables": dict,
        "bootstrap_account": lambda *_, **__: [],
        "synthesize": lambda *_: None,
        "remove_stale_lock": lambda *_: None,
        "publish": lambda *_: [],
        "Ledger": lambda _: SimpleNamespace(locked=lambda *_: nullcontext()),
        "Releaser": lambda *_: SimpleNamespace(
            settle=lambda: None, serve_checkout=lambda: world.code.append(1)
        ),
        "run_migrations": world.migrate,
        "Secrets": lambda _: None,
        "provider_keys": lambda: {"gemini-api-key": "given"},
        "supply_provider_keys": lambda _, keys: world.supplied.append(keys),
        "wait_until_healthy": world.wait_until_healthy,
    }
    for name, value in replaced.items():
        monkeypatch.setattr(platform, name, value)
    return world


def end(root: Root, world: World, error: Exception) -> None:
    world.ends = [error]
    with pytest.raises(type(error)):
        start_platform(root)


def test_a_healthy_platform_is_written_down(root: Root, world: World) -> None:
    assert start_platform(root).platform["apiUrl"] == "http://api"
    assert (world.migrated, world.saves) == (["m"], 1)
    assert read_json(root.platform_file) == {
        "apiUrl": "http://api",
        "wsUrl": "ws://ws",
        "siteUrl": "http://site",
        "awsEndpoint": "http://aws",
        "stateBucket": "multitask-terraform-state",
        "outputs": OUTPUTS,
    }


def test_given_keys_are_stored_each_time(root: Root, world: World) -> None:
    start_platform(root)
    start_platform(root)
    assert world.supplied == [{"gemini-api-key": "given"}] * 2


def test_an_unhealthy_platform_is_not(root: Root, world: World) -> None:
    start_platform(root)
    world.healthy = False
    with pytest.raises(OperatorError, match="not healthy"):
        start_platform(root)
    assert not root.platform_file.exists()


@pytest.mark.parametrize("error", [TerraformError("mistake"), InterruptedRunError("stopped")])
def test_an_apply_that_stored_its_state_is_simply_continued(
    root: Root, world: World, error: Exception
) -> None:
    end(root, world, error)
    end(root, world, TerraformError("the next mistake"))
    assert world.resets == 0
    start_platform(root)
    assert world.resets == 0


def test_after_a_killed_first_apply_the_aws_is_made_anew(root: Root, world: World) -> None:
    end(root, world, TerraformKilledError("killed"))
    start_platform(root)
    assert (world.resets, world.applies) == (1, 2)


@pytest.mark.parametrize("applied", [False, True])
def test_a_state_that_was_not_stored_goes_with_the_aws_it_tells_of(
    root: Root, world: World, applied: bool
) -> None:
    directory = root.cdktf_out / "stacks/local"
    directory.mkdir(parents=True)
    if applied:
        start_platform(root)
    end(root, world, TerraformKilledError("killed"))
    for name in ("errored.tfstate", "errored-1.tfstate", "cdk.tf.json"):
        (directory / name).touch()
    world.ends = [TerraformError("already exists")] if applied else []
    start_platform(root)
    assert world.resets == 1
    assert [file.name for file in directory.iterdir()] == ["cdk.tf.json"]


def test_a_state_that_was_not_stored_is_kept_with_its_aws(root: Root, world: World) -> None:
    left = root.cdktf_out / "stacks/local/errored.tfstate"
    left.parent.mkdir(parents=True)
    left.touch()
    start_platform(root)
    assert left.exists()


def test_data_is_kept_where_the_apply_after_a_kill_succeeds(root: Root, world: World) -> None:
    start_platform(root)
    end(root, world, TerraformKilledError("killed"))
    start_platform(root)
    assert world.resets == 0


def test_the_aws_is_made_anew_where_the_apply_after_a_kill_fails(root: Root, world: World) -> None:
    start_platform(root)
    end(root, world, TerraformKilledError("killed"))
    world.ends = [TerraformError("already exists")]
    start_platform(root)
    assert world.resets == 1


def test_the_same_for_a_killed_aws(root: Root, world: World) -> None:
    start_platform(root)
    world.killed = True
    world.ends = [TerraformError("no such thing")]
    start_platform(root)
    assert world.resets == 1


def test_a_mistake_in_the_stack_is_told_even_after_a_kill(root: Root, world: World) -> None:
    start_platform(root)
    end(root, world, TerraformKilledError("killed"))
    world.ends = [TerraformError("mistake"), TerraformError("mistake")]
    with pytest.raises(TerraformError, match="mistake"):
        start_platform(root)
    assert world.resets == 1


def test_a_killed_run_that_is_killed_again_stays_in_doubt(root: Root, world: World) -> None:
    start_platform(root)
    end(root, world, TerraformKilledError("killed"))
    end(root, world, TerraformKilledError("killed again"))
    world.ends = [TerraformError("already exists")]
    start_platform(root)
    assert world.resets == 1


def test_an_interrupt_in_doubt_leaves_the_doubt(root: Root, world: World) -> None:
    start_platform(root)
    end(root, world, TerraformKilledError("killed"))
    end(root, world, InterruptedRunError("stopped"))
    world.ends = [TerraformError("already exists")]
    start_platform(root)
    assert world.resets == 1
