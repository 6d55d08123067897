"""Publication and rollback of the static site."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from ops.cloud import Cloud
from ops.deployment.site import ASSETS, IMMUTABLE, WEB, Publisher, build
from ops.errors import OperatorError
from tests.ops.clouds import FakeCloud
from tests.ops.traffic.releases import FakeClock, make_ledger

OUTPUTS: dict[str, Any] = {
    "frontend_bucket": "front",
    "api_url": "https://api.example.com",
    "ws_url": "wss://ws.example.com",
    "health_url": "https://api.example.com/health",
    "site_distribution_id": "D",
}


class World:
    def __init__(self, cloud: Cloud, directory: Path) -> None:
        self.s3 = boto3.client("s3", region_name="us-east-1")
        self.s3.create_bucket(Bucket="front")
        self.invalidated: list[list[str]] = []
        self.clock = FakeClock()
        cloud = FakeCloud(cloud.environment, {}, clients={"cloudfront": self})
        self.publisher = Publisher(cloud, OUTPUTS, make_ledger(cloud, self.clock))
        self.directory = directory
        (directory / "index.html").write_text(
            '<link href="style.css"><a href="https://example.com">x</a>'
        )
        (directory / "style.css").write_text("body {}")

    def create_invalidation(self, *, DistributionId: str, InvalidationBatch: Any) -> None:  # noqa: N803
        assert DistributionId == "D"
        self.invalidated.append(InvalidationBatch["Paths"]["Items"])

    def publish(self, style: str) -> list[str]:
        self.clock.now += 1
        (self.directory / "style.css").write_text(style)
        return self.publisher.publish(build("dev", OUTPUTS, self.directory))

    def roll_back(self) -> str:
        self.clock.now += 1
        return self.publisher.roll_back()

    @property
    def page(self) -> str:
        return self.s3.get_object(Bucket="front", Key="index.html")["Body"].read().decode()

    def keys(self, prefix: str) -> list[str]:
        response = self.s3.list_objects_v2(Bucket="front", Prefix=prefix)
        return [item["Key"] for item in response.get("Contents", [])]


@pytest.fixture
def world(cloud: Cloud, tmp_path: Path) -> World:
    return World(cloud, tmp_path)


def test_assets_are_immutable_and_the_page_is_revalidated(world: World) -> None:
    [asset, *entries] = world.publish("a {}")
    assert entries == ["config.json", "index.html"]
    assert asset.startswith(f"{ASSETS}style.")
    assert f'href="{asset}"' in world.page
    assert 'href="https://example.com"' in world.page
    stored = world.s3.head_object(Bucket="front", Key=asset)
    assert (stored["CacheControl"], stored["ContentType"]) == (IMMUTABLE, "text/css")
    assert world.s3.head_object(Bucket="front", Key="index.html")["CacheControl"] == "no-cache"
    assert world.invalidated == [["/config.json", "/index.html", "/"]]


def test_only_changed_files_are_uploaded(world: World) -> None:
    world.publish("a {}")
    assert world.publish("a {}") == []
    assert len(world.invalidated) == 1
    [asset, page] = world.publish("b {}")
    assert (asset.startswith(ASSETS), page) == (True, "index.html")
    assert len(world.keys(ASSETS)) == 2


def test_each_rollback_restores_the_next_older_site(world: World) -> None:
    for style in ("a {}", "b {}", "c {}"):
        world.publish(style)
    pages = [
        build("dev", OUTPUTS, write(world.directory, style)).page.decode()
        for style in ("a {}", "b {}")
    ]
    world.roll_back()
    assert world.page == pages[1]
    world.roll_back()
    assert world.page == pages[0]
    assert world.invalidated[-1] == ["/index.html", "/"]
    with pytest.raises(OperatorError, match="no earlier site"):
        world.roll_back()


def write(directory: Path, style: str) -> Path:
    (directory / "style.css").write_text(style)
    return directory


def test_files_of_old_sites_are_deleted(world: World) -> None:
    for number in range(8):
        world.publish(f"a {{ order: {number} }}")
    assert len(world.keys(ASSETS)) == len(world.keys("sites/")) == 5


def test_page_that_refers_to_a_missing_file_is_rejected(world: World) -> None:
    (world.directory / "style.css").unlink()
    with pytest.raises(OperatorError, match="refers to style.css, which is missing"):
        build("dev", OUTPUTS, world.directory)


def test_configuration_has_the_urls_of_the_platform() -> None:
    assert json.loads(build("dev", OUTPUTS).config) == {
        "environment": "dev",
        "apiUrl": "https://api.example.com",
        "wsUrl": "wss://ws.example.com",
        "healthUrl": "https://api.example.com/health",
    }


def test_page_contains_no_inline_code() -> None:
    text = (WEB / "index.html").read_text()
    assert "<style" not in text
    assert " style=" not in text
    assert " onclick=" not in text
    assert text.count("<script") == text.count("<script src=") == 1
