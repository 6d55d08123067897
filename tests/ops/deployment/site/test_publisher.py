"""Tests the publication and the rollback of a built front end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import md5
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ops.cloud import Cloud
from ops.deployment.site.files import IMMUTABLE, REVALIDATE, Site, read_site
from ops.deployment.site.publisher import CONTENTS, SAVED, SITES, Published, Publisher
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
SCRIPT, STYLE = "assets/index-DiwrgTda.js", "assets/index-C38fXH4l.css"
Content = Mapping[str, str]
FIRST: Content = {"index.html": "first", "about/index.html": "about", SCRIPT: "1", STYLE: "a {}"}
SECOND: Content = {"index.html": "second", "assets/index-Bx9aZk0q.js": "2", STYLE: "a {}"}
SERVED = {"config.json", *FIRST}


class RecordingS3:
    """An S3 client that records its writes and deletions, and can fail once."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3
        self.puts: list[str] = []
        self.copies: list[str] = []
        self.failing: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def put_object(self, **arguments: Any) -> Any:
        self._fail(arguments["Key"])
        self.puts.append(arguments["Key"])
        return self._s3.put_object(**arguments)

    def copy_object(self, **arguments: Any) -> Any:
        self._fail(arguments["Key"])
        self.copies.append(arguments["Key"])
        return self._s3.copy_object(**arguments)

    def _fail(self, key: str) -> None:
        if key == self.failing:
            self.failing = None
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "wait"}}, "PutObject")


class World:
    def __init__(self, cloud: Cloud, directory: Path) -> None:
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="front")
        self.s3 = RecordingS3(client)
        self.invalidated: list[list[str]] = []
        self.clock = FakeClock()
        cloud = FakeCloud(cloud.environment, {}, clients={"cloudfront": self, "s3": self.s3})
        self.publisher = Publisher(cloud, OUTPUTS, make_ledger(cloud, self.clock))
        self.directory = directory

    def create_invalidation(self, *, DistributionId: str, InvalidationBatch: Any) -> None:  # noqa: N803
        assert DistributionId == "D"
        self.invalidated.append(InvalidationBatch["Paths"]["Items"])

    def publish(self, content: Content, source: str = "") -> Published:
        self.clock.now += 1
        return self.publisher.publish(self.build(content), source)

    def build(self, content: Content) -> Site:
        directory = self.directory / str(abs(hash(tuple(content.items()))))
        for name, text in content.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text)
        return read_site(directory)

    def roll_back(self) -> Published:
        self.clock.now += 1
        return self.publisher.roll_back()

    def head(self, key: str) -> tuple[str, str]:
        response = self.s3.head_object(Bucket="front", Key=key)
        return response["CacheControl"], response["ContentType"]

    @property
    def content(self) -> dict[str, str]:
        """The served files with their content."""
        keys = [key for key in self.keys if not key.startswith(SAVED)]
        objects = {key: self.s3.get_object(Bucket="front", Key=key) for key in keys}
        return {key: item["Body"].read().decode() for key, item in objects.items()}

    @property
    def keys(self) -> list[str]:
        response = self.s3.list_objects_v2(Bucket="front")
        return [item["Key"] for item in response.get("Contents", [])]


@pytest.fixture
def world(cloud: Cloud, tmp_path: Path) -> World:
    return World(cloud, tmp_path)


def test_files_keep_their_names_and_only_hashed_ones_are_immutable(world: World) -> None:
    result = world.publish(FIRST)
    assert result.published == sorted(SERVED)
    assert {name: world.content[name] for name in FIRST} == FIRST
    assert world.head(SCRIPT) == (IMMUTABLE, "text/javascript; charset=utf-8")
    assert world.head("index.html") == (REVALIDATE, "text/html; charset=utf-8")
    assert world.head("config.json") == (REVALIDATE, "application/json")


def test_config_json_is_generated_and_the_one_of_the_build_is_ignored(world: World) -> None:
    result = world.publish({**FIRST, "config.json": "of the build"})
    assert json.loads(world.content["config.json"]) == {
        "environment": "dev",
        "apiUrl": "https://api.example.com",
        "wsUrl": "wss://ws.example.com",
        "healthUrl": "https://api.example.com/health",
    }
    assert result.digest == world.publish(FIRST).digest


def test_assets_are_uploaded_before_pages_and_the_index_last(world: World) -> None:
    world.publish(FIRST)
    world.s3.puts.clear()
    world.s3.copies.clear()
    other_page = {"about/index.html": "about again", "robots.txt": "all"}
    world.publish({**SECOND, **other_page})
    assert world.s3.puts[0] in {"assets/index-Bx9aZk0q.js"} | {
        key for key in world.s3.puts if key.startswith(CONTENTS)
    }
    assert "assets/index-Bx9aZk0q.js" in world.s3.puts
    assert world.s3.copies == ["robots.txt", "about/index.html", "index.html"]


class MemoryS3:
    """A fake of the S3 operations that a publication uses, fast enough for 2,000 files."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: list[str] = []

    def get_paginator(self, operation: str) -> MemoryS3:
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> list[Any]:  # noqa: N803
        return [
            {"Contents": [{"Key": key, "ETag": f'"{md5(body).hexdigest()}"'}]}  # noqa: S324
            for key, body in self.objects.items()
            if key.startswith(Prefix)
        ]

    def put_object(self, *, Key: str, Body: Any, **_: Any) -> None:  # noqa: N803
        self.objects[Key] = Body if isinstance(Body, bytes) else Body.read()
        self.uploads.append(Key)

    def copy_object(self, *, Key: str, CopySource: Any, **_: Any) -> None:  # noqa: N803
        self.objects[Key] = self.objects[CopySource["Key"]]

    def get_object(self, *, Key: str, Bucket: str) -> Any:  # noqa: N803
        return {"Body": BytesIO(self.objects[Key])}

    def delete_objects(self, *, Bucket: str, Delete: Any) -> Any:  # noqa: N803
        for item in Delete["Objects"]:
            del self.objects[item["Key"]]
        return {}


def test_only_the_20_changed_files_of_2000_are_uploaded(cloud: Cloud, tmp_path: Path) -> None:
    s3, clock = MemoryS3(), FakeClock()
    fake = FakeCloud(cloud.environment, {}, clients={"s3": s3})
    publisher = Publisher(fake, OUTPUTS, make_ledger(fake, clock))
    (tmp_path / "index.html").write_text("index")
    (tmp_path / "assets").mkdir()
    for number in range(1499):
        (tmp_path / f"assets/chunk-{number:08d}f.js").write_text(str(number))
    for number in range(500):
        (tmp_path / f"page{number}.html").write_text(str(number))
    assert len(publisher.publish(read_site(tmp_path)).published) == 2001
    assert len(s3.uploads) == 2002, "expected the 2,000 files, config.json and the manifest"
    s3.uploads.clear()
    for number in range(10):
        (tmp_path / f"page{number}.html").write_text(f"changed {number}")
        (tmp_path / f"assets/chunk-{number:08d}f.js").unlink()
        (tmp_path / f"assets/chunk-{number:08d}e.js").write_text(f"changed {number}")
    clock.now += 1
    result = publisher.publish(read_site(tmp_path))
    manifest = [key for key in s3.uploads if key.endswith(".json")]
    assert (len(s3.uploads) - len(manifest), len(manifest)) == (20, 1)
    assert (len(result.published), result.unchanged) == (20, 1980)
    s3.uploads.clear()
    assert publisher.publish(read_site(tmp_path)).published == s3.uploads == []


def test_a_removed_page_disappears_and_its_assets_stay_for_a_rollback(world: World) -> None:
    world.publish(FIRST)
    result = world.publish(SECOND)
    assert result.removed == ["about/index.html"]
    assert world.content.keys() == {"config.json", SCRIPT, *SECOND}


def test_each_rollback_restores_all_files_of_the_next_older_site(world: World) -> None:
    third: Content = {"index.html": "third", "robots.txt": "none"}
    for content in (FIRST, SECOND, third):
        world.publish(content)
    world.roll_back()
    assert world.content["index.html"] == "second"
    assert "robots.txt" not in world.content
    world.s3.puts.clear()
    result = world.roll_back()
    assert {name: world.content[name] for name in FIRST} == FIRST
    assert result.published == ["about/index.html", "index.html"]
    assert world.s3.puts == []
    with pytest.raises(OperatorError, match="no earlier site"):
        world.roll_back()


def test_a_site_that_was_rolled_back_and_published_again_can_be_restored(world: World) -> None:
    world.publish(FIRST)
    world.publish(SECOND)
    world.roll_back()
    world.publish(SECOND)
    world.publish({"index.html": "third"})
    world.roll_back()
    assert world.content["index.html"] == "second"


def test_only_files_of_the_newest_sites_are_kept(world: World) -> None:
    for number in range(SITES + 3):
        world.publish({"index.html": str(number), f"assets/index-{number:08d}a.js": str(number)})
    assert sum(key.startswith("assets/") for key in world.keys) == SITES
    assert sum(key.startswith(CONTENTS) for key in world.keys) == SITES
    assert sum(key.startswith(SAVED) for key in world.keys) == 2 * SITES


@pytest.mark.parametrize("failing", [SCRIPT, "about/index.html", "index.html"])
def test_the_old_site_is_served_until_an_interrupted_publication_is_repeated(
    world: World, failing: str
) -> None:
    before: Content = {"index.html": "before", "about/index.html": "about before"}
    world.publish(before)
    world.s3.failing = failing
    with pytest.raises(ClientError, match="SlowDown"):
        world.publish(FIRST)
    assert world.content["index.html"] == "before"
    world.s3.puts.clear()
    world.publish(FIRST)
    assert {name: world.content[name] for name in FIRST} == FIRST
    if failing != SCRIPT:
        assert world.s3.puts == []
    world.roll_back()
    assert {name: world.content[name] for name in before} == before


def test_a_rollback_after_an_interrupted_publication_restores_the_previous_site(
    world: World,
) -> None:
    world.publish(FIRST)
    world.s3.failing = "index.html"
    with pytest.raises(ClientError, match="SlowDown"):
        world.publish({**SECOND, "about/index.html": "new"})
    assert world.content["about/index.html"] == "new"
    world.roll_back()
    assert {name: world.content[name] for name in FIRST} == FIRST


def test_files_changed_by_other_programs_are_published_again(world: World) -> None:
    world.publish(FIRST)
    world.s3.put_object(Bucket="front", Key=SCRIPT, Body=b"changed")
    world.s3.put_object(Bucket="front", Key="index.html", Body=b"changed")
    assert world.publish(FIRST).published == [SCRIPT, "index.html"]
    assert {name: world.content[name] for name in FIRST} == FIRST
    assert world.head(SCRIPT)[0] == IMMUTABLE


def test_only_content_that_changed_under_an_immutable_name_is_invalidated(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.publish(FIRST)
    world.publish(SECOND)
    assert world.invalidated == []
    world.publish({**SECOND, STYLE: "b {}"})
    assert world.invalidated == [[f"/{STYLE}"]]
    assert f"{STYLE} has new content" in capsys.readouterr().err
    assert (world.content[STYLE], world.head(STYLE)[0]) == ("b {}", REVALIDATE)
    world.roll_back()
    assert (world.content[STYLE], world.head(STYLE)[0]) == ("a {}", REVALIDATE)


def test_a_rollback_without_the_saved_files_changes_nothing(world: World) -> None:
    world.publish(FIRST)
    world.publish(SECOND)
    for key in world.keys:
        if key.startswith(CONTENTS):
            world.s3.delete_object(Bucket="front", Key=key)
    with pytest.raises(OperatorError, match="lacks the saved content of about/index.html"):
        world.roll_back()
    assert world.content["index.html"] == "second"


def test_a_rollback_restores_the_recorded_source_directory_of_the_site(world: World) -> None:
    assert world.publisher.source == ""
    world.publish(FIRST)
    world.publish(SECOND, "/home/ann/dist")
    assert world.publisher.source == "/home/ann/dist"
    world.roll_back()
    assert world.publisher.source == ""
