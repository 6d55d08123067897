"""Tests the removal of an environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest

from environments import load_environment
from ops.cloud import Cloud
from ops.deployment.remove import TOPIC_NOTE, destroy_environment, empty_buckets, list_kept
from ops.errors import OperatorError
from ops.root import Root
from tests.ops.clouds import FakeCloud, store_state
from tests.ops.terraform.fakes import FakeTerraform
from tests.ops.traffic.releases import FakeClock, FakeTopic, make_ledger

RESOURCES: list[tuple[str, dict[str, Any]]] = [
    ("aws_s3_bucket", {"bucket": "bucket"}),
    ("aws_kms_key", {"key_id": "k", "deletion_window_in_days": 7}),
    ("aws_sns_topic", {"name": "multitask-alerts-dev", "arn": "arn:alerts"}),
]


class World:
    """A deployed environment."""

    def __init__(self, cloud: Cloud, directory: Path) -> None:
        self.calls: list[str] = []
        self.topic = FakeTopic()
        self.cloud = FakeCloud(cloud.environment, {}, clients={"sns": self.topic})
        self.terraform = FakeTerraform(directory / "stack", self.calls)
        self.terraform.counts = {"remove": 5}
        make_ledger(cloud, FakeClock())
        store_state(cloud, {}, RESOURCES)
        self.s3 = boto3.client("s3", region_name="us-east-1")
        self.s3.create_bucket(Bucket="bucket")
        self.s3.put_object(Bucket="bucket", Key="a", Body=b"x")

    def remove(self, root: Root) -> dict[str, object]:
        return destroy_environment(
            self.cloud,
            root,
            root.path,
            lambda _: self.calls.append("confirm"),
            prepare_stack=lambda *_: self.terraform,
        )

    def messages(self) -> list[tuple[str, str]]:
        """Returns the subject and the last line of each notification."""
        return [(item["Subject"], item["Message"].splitlines()[-1]) for item in self.topic.messages]


@pytest.fixture
def world(cloud: Cloud, tmp_path: Path) -> World:
    return World(cloud, tmp_path)


def test_environment_that_retains_data_is_not_removed(root: Root, tmp_path: Path) -> None:
    prod = Cloud(load_environment("prod", variables={}), {})
    with pytest.raises(
        OperatorError, match=r"prod was not removed, because its removal_policy is retain"
    ):
        destroy_environment(prod, root, tmp_path, lambda _: None)


def test_all_versions_of_all_objects_are_deleted(cloud: Cloud) -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="bucket")
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    for key in ("a+b", "c", "c"):
        s3.put_object(Bucket="bucket", Key=key, Body=b"x")
    s3.delete_object(Bucket="bucket", Key="c")
    empty_buckets(cloud, ["bucket", "already-deleted"])
    s3.delete_bucket(Bucket="bucket")


def test_removal_confirms_then_empties_buckets_then_destroys(world: World, root: Root) -> None:
    # S3 rejects the deletion of a bucket that is not empty.
    world.terraform.before_apply = lambda: world.s3.delete_bucket(Bucket="bucket") and None
    result = world.remove(root)
    assert world.calls == ["plan -destroy", "confirm", "apply"]
    assert world.terraform.plan_files() == []
    assert result["removed"] == 5
    assert world.messages() == [("dev: removal started", TOPIC_NOTE)]


def test_result_lists_the_resources_that_a_removal_keeps(world: World, root: Root) -> None:
    kept = world.remove(root)["kept"]
    assert kept == list_kept(world.cloud, [RESOURCES[1][1]])
    text = "\n".join(list_kept(world.cloud, [RESOURCES[1][1]]))
    assert "customer key k: KMS deletes it 7 days from now" in text
    assert "multitask-platform/dev/terraform.tfstate" in text


def test_failed_removal_is_published_to_the_alerts_topic(world: World, root: Root) -> None:
    def fail() -> None:
        raise OperatorError("a table is protected")

    world.terraform.before_apply = fail
    with pytest.raises(OperatorError, match="a table is protected"):
        world.remove(root)
    assert world.messages() == [
        ("dev: removal started", TOPIC_NOTE),
        ("dev: removal failed", "a table is protected"),
    ]
    assert world.terraform.plan_files() == []


def test_removed_environment_can_be_removed_again(cloud: Cloud, root: Root) -> None:
    assert destroy_environment(cloud, root, root.path, lambda _: None)["removed"] == 0
