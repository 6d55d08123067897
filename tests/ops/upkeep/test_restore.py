"""Tests the restore drill: comparison of the copies, their creation and their deletion."""

from __future__ import annotations

import io
import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from environments import load_environment
from ops.__main__ import app
from ops.cloud import Cloud
from ops.commands import upkeep as command
from ops.embedded.copies import remove_copy, restore_copy
from ops.errors import OperatorError
from ops.root import Root
from ops.upkeep.restore import (
    Comparison,
    _hash,
    compare,
    drill_database,
    drill_table,
    run_restore_drill,
)
from tests.ops.clouds import FakeCloud, store_state
from tests.postgres import Postgres, fill

OUTPUTS = {
    "functions": {"migration": "migration-lambda-dev"},
    "database_name": "multitask_dev",
    "database_cluster_id": "catalog-aurora-dev",
    "tables": {"profile-profiles": "profile-profiles-dev"},
}


def fingerprint(**buckets: tuple[int, str]) -> dict[str, dict[str, tuple[int, str]]]:
    return {"t": dict(buckets)}


def test_copy_with_equal_rows_has_no_differences() -> None:
    same = fingerprint(a=(1, "x"), b=(2, "y"))
    result = compare("t", same, same, same, 1.0)
    assert (result.is_equal, result.rows, result.compared, result.groups) == (True, 3, 2, 2)


@pytest.mark.parametrize(
    "copy",
    [
        fingerprint(a=(1, "x")),
        fingerprint(a=(1, "x"), b=(2, "z")),
        fingerprint(a=(1, "x"), b=(3, "y"), c=(1, "q")),
        {},
    ],
)
def test_missing_changed_and_additional_rows_are_differences(copy: Any) -> None:
    original = fingerprint(a=(1, "x"), b=(2, "y"))
    result = compare("t", original, original, copy, 1.0)
    assert not result.is_equal
    assert "DIFFERENT in" in result.line()


def test_groups_that_changed_during_the_drill_are_not_compared() -> None:
    before, after = fingerprint(a=(1, "x"), b=(2, "y")), fingerprint(a=(1, "x"), b=(2, "new"))
    assert compare("t", before, after, fingerprint(a=(1, "x"), b=(2, "old")), 1.0).is_equal
    assert compare("t", before, after, fingerprint(a=(9, "x"), b=(2, "new")), 1.0).differing == [
        "t/a"
    ]
    # If every group changed during the drill, none is compared, so the drill fails.
    assert not compare(
        "t", fingerprint(a=(1, "x")), fingerprint(a=(1, "y")), fingerprint(a=(1, "y")), 1.0
    ).is_equal


@given(st.lists(st.sampled_from(["x", "y", "z"]), min_size=1, unique=True))
def test_hash_does_not_depend_on_the_order_of_a_set(members: list[str]) -> None:
    first = _hash({"k": {"SS": members}})
    assert first == _hash({"k": {"SS": members[::-1]}})
    assert _hash({"k": {"L": [{"S": m} for m in members]}}) != first


class FakeDynamoDb:
    """Moto's DynamoDB client, with restores of tables to any time.

    Args:
        missing: The key of an item that restored tables lack.
    """

    def __init__(self, dynamodb: Any, missing: str | None = None) -> None:
        self._dynamodb, self._lost = dynamodb, missing

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._dynamodb, operation)

    def describe_continuous_backups(self, **_: Any) -> Any:
        later = datetime.now(UTC) + timedelta(days=1)
        recovery = {"PointInTimeRecoveryStatus": "ENABLED", "LatestRestorableDateTime": later}
        return {"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": recovery}}

    def restore_table_to_point_in_time(self, **arguments: Any) -> None:
        self._dynamodb.restore_table_to_point_in_time(**arguments)
        if self._lost:
            self._dynamodb.delete_item(
                TableName=arguments["TargetTableName"], Key={"user_id": {"S": self._lost}}
            )


@pytest.fixture
def table(cloud: Cloud) -> Any:
    dynamodb = cloud.client("dynamodb")
    dynamodb.create_table(
        TableName="profile-profiles-dev",
        AttributeDefinitions=[{"AttributeName": "user_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "user_id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for number in range(300):
        item = {"user_id": {"S": str(number)}, "tags": {"SS": ["a", "b"]}, "picture": {"B": b"\0"}}
        dynamodb.put_item(TableName="profile-profiles-dev", Item=item)
    return dynamodb


def drill_profiles(cloud: Cloud, dynamodb: FakeDynamoDb) -> Comparison:
    return drill_table(
        FakeCloud(cloud.environment, {}, clients={"dynamodb": dynamodb}), "profile-profiles-dev"
    )


def test_table_is_restored_compared_and_its_copy_deleted(cloud: Cloud, table: Any) -> None:
    result = drill_profiles(cloud, FakeDynamoDb(table))
    assert (result.is_equal, result.rows) == (True, 300)
    assert result.compared > 100
    assert table.list_tables()["TableNames"] == ["profile-profiles-dev"]


def test_copy_that_lacks_an_item_is_reported_and_deleted(cloud: Cloud, table: Any) -> None:
    result = drill_profiles(cloud, FakeDynamoDb(table, missing="7"))
    assert (result.is_equal, result.rows, len(result.differing)) == (False, 299, 1)
    assert table.list_tables()["TableNames"] == ["profile-profiles-dev"]


def test_table_without_point_in_time_recovery_is_rejected(cloud: Cloud, table: Any) -> None:
    with pytest.raises(OperatorError, match="profile-profiles-dev has no point-in-time recovery"):
        drill_table(cloud, "profile-profiles-dev")


class FakeRds:
    """An RDS client with one live cluster. New clusters and instances are available immediately."""

    class exceptions:  # noqa: N801 - the name in boto3
        class DBClusterNotFoundFault(Exception):  # noqa: N818
            pass

        class DBInstanceNotFoundFault(Exception):  # noqa: N818
            pass

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        live = {
            "Status": "available",
            "LatestRestorableTime": datetime.now(UTC) + timedelta(hours=1),
            "DBSubnetGroup": "subnets",
            "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-1"}],
            "DBClusterParameterGroup": "parameters",
            "ServerlessV2ScalingConfiguration": {
                "MinCapacity": 0.5,
                "MaxCapacity": 1.0,
                "SecondsUntilAutoPause": 1,
            },
        }
        self.clusters: dict[str, Any] = {"catalog-aurora-dev": live}
        self.instances: dict[str, Any] = {}

    def describe_db_clusters(self, *, DBClusterIdentifier: str) -> Any:  # noqa: N803
        if DBClusterIdentifier not in self.clusters:
            raise self.exceptions.DBClusterNotFoundFault
        return {"DBClusters": [self.clusters[DBClusterIdentifier]]}

    def describe_db_instances(self, *, DBInstanceIdentifier: str) -> Any:  # noqa: N803
        if DBInstanceIdentifier not in self.instances:
            raise self.exceptions.DBInstanceNotFoundFault
        return {"DBInstances": [self.instances[DBInstanceIdentifier]]}

    def restore_db_cluster_to_point_in_time(self, **arguments: Any) -> None:
        self.calls.append(("restore", arguments))
        self.clusters[arguments["DBClusterIdentifier"]] = {"Status": "available"}

    def create_db_instance(self, **arguments: Any) -> None:
        self.calls.append(("instance", arguments))
        self.instances[arguments["DBInstanceIdentifier"]] = {"DBInstanceStatus": "available"}

    def delete_db_instance(self, **arguments: Any) -> None:
        del self.instances[arguments["DBInstanceIdentifier"]]

    def delete_db_cluster(self, **arguments: Any) -> None:
        cluster = arguments["DBClusterIdentifier"]
        assert f"{cluster}-0" not in self.instances, "the cluster still has an instance"
        del self.clusters[cluster]


class FakeMigrationFunction:
    """A Lambda client whose migration function returns fingerprints of a database.

    Args:
        failing: True if the fingerprint of a copy fails.
    """

    def __init__(self, failing: bool) -> None:
        self._failing = failing
        self.requests: list[dict[str, Any]] = []

    def invoke(self, *, Payload: bytes, **_: Any) -> Any:  # noqa: N803
        request = json.loads(Payload)["fingerprint"]
        self.requests.append(request)
        if self._failing and request:
            failure = json.dumps({"errorMessage": "no"}).encode()
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(failure)}
        result = {"tables": {"t": {"0": [1, "x"]}}}
        return {"Payload": io.BytesIO(json.dumps(result).encode())}


@pytest.mark.parametrize("failing", [False, True])
def test_cluster_is_restored_and_its_copy_deleted(failing: bool, tmp_path: Path) -> None:
    rds, function = FakeRds(), FakeMigrationFunction(failing)
    # An interrupted drill left these copies.
    rds.clusters["catalog-aurora-dev-drill"] = {"Status": "available"}
    rds.instances["catalog-aurora-dev-drill-0"] = {"DBInstanceStatus": "available"}
    environment = load_environment("dev", variables={"DEV_ACCOUNT_ID": "123456789012"})
    cloud = FakeCloud(environment, {}, clients={"rds": rds, "lambda": function})
    if failing:
        with pytest.raises(OperatorError, match="no"):
            drill_database(cloud, Root(tmp_path), OUTPUTS)
    else:
        assert drill_database(cloud, Root(tmp_path), OUTPUTS).is_equal
        assert function.requests == [{}, {"cluster": "catalog-aurora-dev-drill"}, {}]
    assert list(rds.clusters) == ["catalog-aurora-dev"]
    assert rds.instances == {}
    (_, restored), (_, instance) = rds.calls
    assert restored["VpcSecurityGroupIds"] == ["sg-1"]
    assert restored["DeletionProtection"] is False
    assert instance["DBInstanceClass"] == "db.serverless"


def test_drill_rejects_an_unknown_table(cloud: Cloud, root: Root) -> None:
    store_state(cloud, OUTPUTS)
    with pytest.raises(OperatorError, match="dev has no table nothing: use one of profile-profile"):
        run_restore_drill(cloud, root, "nothing")


def test_restored_dump_equals_the_database_including_owners(
    postgres: Postgres, migrated: str, tmp_path: Path
) -> None:
    with postgres.database(migrated) as name:
        fill(postgres, name, 500)
        try:
            for _ in range(2):  # the second run replaces the first copy
                restore_copy(postgres.address, name, f"{name}_drill", tmp_path)
            sql = "SELECT count(*), sum(hashtextextended(l::text, 0)) FROM catalog.listings l"
            assert postgres.run(sql, f"{name}_drill") == postgres.run(sql, name)
            with closing(postgres.connect("catalog", name)) as connection:
                assert connection.run("SELECT count(*) FROM catalog.listings") == [[500]]
            with pytest.raises(OperatorError, match="pg_dump failed"):
                restore_copy(postgres.address, "nowhere", f"{name}_drill", tmp_path)
        finally:
            remove_copy(postgres.address, f"{name}_drill")
        assert (
            postgres.run("SELECT 1 FROM pg_database WHERE datname = :name", name=f"{name}_drill")
            == []
        )
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("differing", "status"), [([], 0), (["t/1"], 1)])
def test_exit_status_is_1_if_a_copy_differs(
    differing: list[str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "connect", lambda *_: None)
    monkeypatch.setattr(
        command, "run_restore_drill", lambda *_: [Comparison("table t", 3, 2, 2, differing, 1.0)]
    )
    result = CliRunner().invoke(app, ["restore-drill", "dev"])
    assert result.exit_code == status
    assert (
        "table t: 3 rows restored in 1 s, 2 of 2 groups compared by count and checksum: "
        in result.stdout
    )
