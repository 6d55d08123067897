"""Tests the data of each view of the console, on moto."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from ops.cloud import Cloud
from ops.inspection.masking import MASK
from ops.root import Root
from ops.terraform.policies import statements
from ops.web_console.cache import CONNECTION, read_connections
from ops.web_console.functions import describe_permission
from tests.ops.clouds import FakeCloud
from tests.ops.web_console.client import ConsoleClient
from tests.ops.web_console.conftest import open_console, open_unconnected_console

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


@pytest.fixture
def tables(deployed: Cloud) -> Any:
    dynamodb: Any = boto3.resource("dynamodb", region_name="us-east-1")
    for name, hash_key, range_key in (
        ("chat-messages-dev", "message_id", None),
        ("platform-authors-dev", "item_id", None),
        ("platform-releases-dev", "service", "released_at"),
    ):
        keys = [(hash_key, "HASH")] + ([(range_key, "RANGE")] if range_key else [])
        indexed = name == "chat-messages-dev"
        attributes = [key for key, _ in keys] + (["room_id"] if indexed else [])
        index = {
            "IndexName": "room-messages-index",
            "KeySchema": [{"AttributeName": "room_id", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
        dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
            AttributeDefinitions=[
                {"AttributeName": key, "AttributeType": "S"} for key in attributes
            ],
            **({"GlobalSecondaryIndexes": [index]} if indexed else {}),
        )
    dynamodb.meta.client.update_time_to_live(
        TableName="chat-messages-dev",
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"},
    )
    messages = dynamodb.Table("chat-messages-dev")
    for number in range(60):
        messages.put_item(
            Item={"message_id": f"m{number}", "room_id": f"r{number % 2}", "ttl": 2_000_000_000,
                  "text": "<b>hello</b>", "access_token": "not-for-the-console"}
        )  # fmt: skip
    dynamodb.Table("platform-authors-dev").put_item(Item={"item_id": "p1", "author_id": "ada"})
    return dynamodb


def test_a_table_has_its_keys_indexes_and_ttl_attribute(
    console: ConsoleClient, tables: Any
) -> None:
    table = next(item for item in console.get("/api/tables").json if item["key"] == "chat-messages")
    assert table["keys"] == ["message_id"]
    assert table["indexes"] == {"room-messages-index": ["room_id"]}
    assert table["ttl"] == "ttl"


def test_items_are_read_by_key_and_by_index(console: ConsoleClient, tables: Any) -> None:
    path = "/api/tables/chat-messages"
    first = console.get(path).json
    assert len(first["rows"]) == 50
    assert first["isComplete"] is False
    by_key = console.get(f"{path}?hash_value=m7").json
    assert [row["message_id"] for row in by_key["rows"]] == ["m7"]
    by_index = console.get(f"{path}?index=room-messages-index&hash_value=r1").json
    assert {row["room_id"] for row in by_index["rows"]} == {"r1"}
    assert len(by_index["rows"]) == 30
    wrong = console.get(f"{path}?index=none&hash_value=r1")
    assert (wrong.status, "room-messages-index" in wrong.json["problem"]) == (502, True)


def test_secret_attributes_and_the_authors_of_anonymous_posts_are_hidden(
    console: ConsoleClient, tables: Any
) -> None:
    [row] = console.get("/api/tables/chat-messages?hash_value=m1").json["rows"]
    assert row["access_token"] == MASK
    assert row["text"] == "<b>hello</b>"
    [author] = console.get("/api/tables/platform-authors").json["rows"]
    assert author == {"item_id": "p1", "author_id": MASK}


@pytest.fixture
def bucket(deployed: Cloud) -> Any:
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="avatars-dev")
    s3.put_object(Bucket="avatars-dev", Key="users/ada.png", Body=PNG)
    s3.put_object(Bucket="avatars-dev", Key="page.html", Body=b"<script>alert(1)</script>")
    return s3


def test_buckets_are_listed_without_the_state_bucket(console: ConsoleClient, bucket: Any) -> None:
    assert console.get("/api/buckets").json == {"avatars": "avatars-dev"}
    listed = console.get("/api/buckets/avatars").json
    assert listed["folders"] == ["users/"]
    assert [item["key"] for item in listed["objects"]] == ["page.html"]
    assert console.get("/api/buckets/state").status == 502


def test_only_pictures_are_previewed(console: ConsoleClient, bucket: Any) -> None:
    picture = console.get("/api/buckets/avatars/preview?key=users/ada.png")
    assert (picture.status, picture.headers["content-type"]) == (200, "image/png")
    assert console.get("/api/buckets/avatars/preview?key=page.html").status == 502


@pytest.mark.parametrize(("format_", "status"), [(b"WEBP", 200), (b"WAVE", 502)])
def test_riff_files_are_previewed_only_if_they_are_webp_pictures(
    console: ConsoleClient, bucket: Any, format_: bytes, status: int
) -> None:
    bucket.put_object(Bucket="avatars-dev", Key="file", Body=b"RIFF\n\0\0\0" + format_)
    assert console.get("/api/buckets/avatars/preview?key=file").status == status


def test_connections_that_expire_during_the_listing_are_omitted() -> None:
    results = {
        "SCAN": ["0", [f"{CONNECTION}open", f"{CONNECTION}expired"]],
        "SMEMBERS": [],
    }

    def run(command: str, *arguments: str) -> Any:
        if command == "TTL":
            return 100 if arguments[0].endswith("open") else -2
        return results[command]

    assert [item["connection"] for item in read_connections(run)] == ["open"]


def test_a_download_redirects_to_a_presigned_url(console: ConsoleClient, bucket: Any) -> None:
    response = console.get("/api/buckets/avatars/download?key=page.html")
    assert response.status == 307
    location = response.headers["location"]
    assert "X-Amz-Signature" in location or "Signature=" in location
    assert "attachment" in location


def test_permissions_are_shown_as_sentences() -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["dynamodb:PutItem", "dynamodb:Query"],
             "Resource": ["arn:aws:dynamodb:us-east-1:1:table/chat-messages-dev"]},
            {"Effect": "Allow", "Action": "cloudwatch:PutMetricData", "Resource": "*",
             "Condition": {"StringEquals": {"cloudwatch:namespace": "Multitask"}}},
            {"Effect": "Deny", "NotAction": "s3:GetObject",
             "Resource": "arn:aws:s3:::avatars-dev/*"},
        ],
    }  # fmt: skip
    lines = [
        line
        for statement in statements(json.dumps(policy))
        for line in describe_permission(statement)
    ]
    assert lines == [
        "may PutItem, Query on chat-messages-dev",
        "may PutMetricData on every resource, depending on cloudwatch:namespace",
        "must not do everything except GetObject on avatars-dev/*",
    ]


class Broken:
    """An AWS client whose calls fail because the service refuses the connection."""

    def __getattr__(self, _: str) -> Any:
        def fail(**_: object) -> None:
            raise ConnectionRefusedError("the service does not run")

        return fail


def test_a_failed_service_causes_a_problem_only_in_its_own_view(
    deployed: FakeCloud, root: Root, bucket: Any
) -> None:
    broken = FakeCloud(deployed.environment, deployed.variables, clients={"dynamodb": Broken()})
    console = open_console(broken, root)
    response = console.get("/api/tables")
    assert (response.status, response.json) == (502, {"problem": "the service does not run"})
    assert console.get("/api/buckets").status == 200
    assert console.get("/api/status").json["problem"] is None


def test_an_unreachable_environment_is_shown_as_a_problem_instead_of_an_error_page(
    root: Root,
) -> None:
    console = open_unconnected_console(root)
    status = console.get("/api/status")
    assert status.status == 200
    assert status.json["problem"] == "AWS rejected the current credentials: log in"
    assert console.get("/api/functions").json["problem"] == status.json["problem"]
    assert console.get("/").status == 200
