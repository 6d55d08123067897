"""Tests the steps of `ops up` after the apply."""

from __future__ import annotations

import re
import shutil
from types import SimpleNamespace
from typing import Any

import pytest

from environments import load_environment
from ops.cloud import Cloud
from ops.deployment.migrations import Migrated
from ops.errors import OperatorError
from ops.local.platform import Steps, changing_platform, complete, find_obstacle
from ops.root import Root, read_json, write_json

OUTPUTS = {
    "api_url": "https://api",
    "ws_url": "wss://ws",
    "site_url": "https://label.cloudfront.localhost:20000",
    "health_url": "https://api/health",
    "functions": {"migration": "m"},
}

AUTHORITY = "/authority.pem"
VARIABLES = {"AWS_CA_BUNDLE": AUTHORITY}


class Fakes:
    """Replaces the steps of `ops up` after the apply with fakes and records the calls.

    The fake health check fails if `is_healthy` is False.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.is_healthy = True

    def migrate(self, _: Cloud, function: str) -> Migrated:
        self.calls.append(f"migrate {function}")
        return Migrated([], [], [])

    def check_health(self, url: str, authority: str | None) -> None:
        assert authority == AUTHORITY
        if not self.is_healthy:
            raise OperatorError(f"{url} is not healthy")
        self.calls.append("health")

    def complete(self, root: Root, *, is_migrated: bool = False) -> dict[str, Any]:
        embedded: Any = SimpleNamespace(
            save_aws=lambda: self.calls.append("save"), plain_site_url="plain {}".format
        )
        return complete(
            root,
            embedded,
            Cloud(load_environment("local", variables={}), VARIABLES, "https://aws"),
            OUTPUTS,
            Steps(),
            migrate=None if is_migrated else self.migrate,
            publish_site=lambda *_: self.calls.append("publish"),
            store_keys=lambda _: self.calls.append("keys"),
            check_health=self.check_health,
        ).platform


def test_a_healthy_platform_is_written_to_platform_json(root: Root) -> None:
    fakes = Fakes()
    assert fakes.complete(root)["apiUrl"] == "https://api"
    assert fakes.calls == ["migrate m", "publish", "keys", "health", "save"]
    assert read_json(root.platform_file) == {
        "apiUrl": "https://api",
        "wsUrl": "wss://ws",
        "siteUrl": "https://label.cloudfront.localhost:20000",
        "plainSiteUrl": f"plain {OUTPUTS['site_url']}",
        "authority": AUTHORITY,
        "awsEndpoint": "https://aws",
        "stateBucket": "multitask-terraform-state",
        "outputs": OUTPUTS,
    }


def test_a_database_that_is_up_to_date_is_not_migrated(root: Root) -> None:
    fakes = Fakes()
    fakes.complete(root, is_migrated=True)
    assert fakes.calls == ["publish", "keys", "health", "save"]


def test_an_unhealthy_platform_is_not_written_to_platform_json(root: Root) -> None:
    fakes = Fakes()
    fakes.is_healthy = False
    with pytest.raises(OperatorError, match="not healthy"):
        fakes.complete(root)
    assert not root.platform_file.exists()
    assert "save" not in fakes.calls


def test_platform_json_of_the_previous_run_is_deleted_first(root: Root) -> None:
    write_json(root.platform_file, {})
    with changing_platform(root):
        assert not root.platform_file.exists()


@pytest.mark.parametrize(
    ("is_running", "free", "reason"),
    [
        (True, 2**30, None),
        (False, 2**30, "The embedded AWS stopped"),
        # On a full disk, the embedded AWS deletes its reserve, which frees 32 MiB.
        (True, 33 * 2**20, "The disk of .* is full: free some space and run the same command"),
    ],
)
def test_an_apply_that_cannot_succeed_is_stopped(
    root: Root,
    monkeypatch: pytest.MonkeyPatch,
    is_running: bool,
    free: int,
    reason: str | None,
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    obstacle = find_obstacle(root, lambda: is_running)
    assert obstacle is None if reason is None else re.match(reason, obstacle or "")
