"""Tests the migration function: events, results and the record in DynamoDB."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from environments.resource_names import DATABASE_MASTER
from lambdas.common.storage.dynamodb import unpack
from lambdas.migration import handler as module
from lambdas.migration.files import MigrationError, read_migrations
from tests.lambdas.support import REGION
from tests.postgres import Postgres, fill

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

IDS = [migration.id for migration in read_migrations()]


class Context:
    """A Lambda context at the start of an invocation."""

    def get_remaining_time_in_millis(self) -> int:
        return 300_000


def run(event: dict[str, Any], context: Context, environ: dict[str, str]) -> Any:
    """Invokes the function, and returns the result as Lambda serializes it."""
    return json.loads(json.dumps(module.run(event, context, environ)))


@pytest.fixture
def name(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as name:
        yield name


@pytest.fixture
def environ(postgres: Postgres, name: str, table: Callable[..., str]) -> dict[str, str]:
    secret = json.dumps({"username": DATABASE_MASTER, "password": "unused"})
    arn = boto3.client("secretsmanager", region_name=REGION).create_secret(
        Name="rds", SecretString=secret
    )["ARN"]
    return {
        "STAGE": "local",
        "REGION": REGION,
        "RDS_ENDPOINT": postgres.address,
        "RDS_DATABASE": name,
        "RDS_SECRET_ARN": arn,
        "RDS_TLS": "false",
        "MIGRATION_STATE_TABLE": table("migration_id"),
    }


@pytest.fixture
def items(dynamodb: DynamoDBClient) -> Callable[[], dict[str, dict[str, Any]]]:
    """Returns a function that reads the record of migrations in DynamoDB: items by migration id."""

    def read() -> dict[str, dict[str, Any]]:
        stored = [unpack(item) for item in dynamodb.scan(TableName="migration_id-table")["Items"]]
        return {item["migration_id"]: item for item in stored}

    return read


def test_a_plan_returns_pending_migrations_and_records_nothing(
    environ: dict[str, str], items: Callable[[], dict[str, dict[str, Any]]]
) -> None:
    assert run({"plan": True}, Context(), environ) == {"applied": [], "pending": IDS, "unknown": []}
    assert items() == {}


def test_a_run_records_checksum_duration_and_caller(
    environ: dict[str, str], items: Callable[[], dict[str, dict[str, Any]]]
) -> None:
    first = run({"by": "arn:aws:iam::1:user/ada", "limit": 1}, Context(), environ)
    assert first == {"applied": IDS[:1], "pending": IDS[1:], "unknown": []}
    scheduled = run({"source": "aws.events", "detail": {}}, Context(), environ)
    assert scheduled == {"applied": IDS[1:], "pending": [], "unknown": []}
    records = items()
    assert sorted(records) == IDS
    assert records[IDS[0]]["applied_by"] == "arn:aws:iam::1:user/ada"
    assert records[IDS[1]]["applied_by"] == "aws.events"
    for migration in read_migrations():
        item = records[migration.id]
        assert (item["status"], item["checksum"]) == ("applied", migration.checksum)
        assert item["duration_ms"] >= 0
        assert item["applied_at"].endswith("Z")


def test_records_missing_in_dynamodb_are_written_again(
    environ: dict[str, str],
    items: Callable[[], dict[str, dict[str, Any]]],
    dynamodb: DynamoDBClient,
) -> None:
    run({}, Context(), environ)
    before = items()
    for migration_id in IDS:
        dynamodb.delete_item(
            TableName="migration_id-table", Key={"migration_id": {"S": migration_id}}
        )
    run({}, Context(), environ)
    assert items() == before


def test_a_failure_is_raised_and_recorded_with_file_and_line(
    environ: dict[str, str],
    items: Callable[[], dict[str, dict[str, Any]]],
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "0001_a.sql").write_text("SELECT 1;\nSELECT nonsense;")
    monkeypatch.setattr(module, "read_migrations", lambda: read_migrations(tmp_path))
    with pytest.raises(
        MigrationError, match=r'0001_a\.sql, line 2: column "nonsense" does not exist'
    ):
        run({"by": "ada"}, Context(), environ)
    item = items()["0001_a"]
    assert (item["status"], item["failed_by"]) == ("failed", "ada")
    assert "line 2" in item["reason"]


def test_fingerprints_differ_only_where_rows_differ(
    environ: dict[str, str], postgres: Postgres, name: str
) -> None:
    run({}, Context(), environ)
    fill(postgres, name, 1000)
    original = run({"fingerprint": {}}, Context(), environ)["tables"]
    assert sum(count for count, _ in original["catalog.listings"].values()) == 1000
    assert len(original["catalog.listings"]) > 200
    with postgres.database(name) as copy:
        assert run({"fingerprint": {"database": copy}}, Context(), environ)["tables"] == original
        postgres.run(
            "UPDATE catalog.listings SET title = 'x' WHERE listing_id = md5('1')::uuid", copy
        )
        changed = run({"fingerprint": {"database": copy}}, Context(), environ)["tables"]
    different = [
        key
        for key in changed["catalog.listings"]
        if changed["catalog.listings"][key] != original["catalog.listings"][key]
    ]
    assert len(different) == 1
    assert {**changed, "catalog.listings": {}} == {**original, "catalog.listings": {}}


def test_a_copied_cluster_must_be_in_the_account_and_region_of_the_live_one(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints: list[str] = []

    def connect(endpoint: str, *_: object, **__: object) -> None:
        endpoints.append(endpoint)
        raise ConnectionRefusedError

    monkeypatch.setattr(module, "connect", connect)
    live = {
        **environ,
        "RDS_ENDPOINT": "catalog-aurora-dev.cluster-abc.us-east-1.rds.amazonaws.com:5432",
    }
    for cluster in ("catalog-aurora-dev-drill", "catalog-aurora-dev-drill.evil.example:1"):
        with pytest.raises(ConnectionRefusedError):
            run({"fingerprint": {"cluster": cluster}}, Context(), live)
    assert set(endpoints) == {
        "catalog-aurora-dev-drill.cluster-abc.us-east-1.rds.amazonaws.com:5432"
    }
