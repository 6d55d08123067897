"""The restore drill: what is compared, what is made, and that it is removed however the drill ends."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from environments import load_environment
from ops.__main__ import app
from ops.cloud import Cloud
from ops.commands import database as command
from ops.deployment.migrations import MigrationFunction
from ops.embedded.copies import remove_copy, restore_copy
from ops.errors import OperatorError
from ops.root import Root
from ops.upkeep import restore
from ops.upkeep.restore import Comparison, compare, drill_table
from tests.postgres import Postgres, fill

OUTPUTS = {
    "functions": {"migration": "migration-lambda-dev"},
    "database_name": "multitask_dev",
    "database_cluster_id": "catalog-aurora-dev",
    "tables": {"profile-profiles": "profile-profiles-dev"},
}


def found(**buckets: tuple[int, str]) -> dict[str, dict[str, tuple[int, str]]]:
    return {"t": dict(buckets)}


def test_equal_is_equal() -> None:
    same = found(a=(1, "x"), b=(2, "y"))
    result = compare("t", same, same, same, 1.0)
    assert (result.same, result.rows, result.compared, result.groups) == (True, 3, 2, 2)


@pytest.mark.parametrize(
    "copy",
    [
        found(a=(1, "x")),
        found(a=(1, "x"), b=(2, "z")),
        found(a=(1, "x"), b=(3, "y"), c=(1, "q")),
        {},
    ],
)
def test_what_is_missing_changed_or_too_much_is_different(copy: Any) -> None:
    original = found(a=(1, "x"), b=(2, "y"))
    result = compare("t", original, original, copy, 1.0)
    assert not result.same
    assert "DIFFERENT in" in result.line()


def test_what_is_written_meanwhile_is_left_out_and_nothing_else() -> None:
    before, after = found(a=(1, "x"), b=(2, "y")), found(a=(1, "x"), b=(2, "new"))
    assert compare("t", before, after, found(a=(1, "x"), b=(2, "old")), 1.0).same
    assert compare("t", before, after, found(a=(9, "x"), b=(2, "new")), 1.0).differing == ["t/a"]
    # A drill in which everything changed has proved nothing.
    assert not compare("t", found(a=(1, "x")), found(a=(1, "y")), found(a=(1, "y")), 1.0).same


@given(st.lists(st.sampled_from(["x", "y", "z"]), min_size=1, unique=True))
def test_sets_are_compared_whatever_their_order_is(members: list[str]) -> None:
    first = restore._hash({"k": {"SS": members}})
    assert first == restore._hash({"k": {"SS": members[::-1]}})
    assert restore._hash({"k": {"L": [{"S": m} for m in members]}}) != first


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "_next_second", lambda: datetime.now(UTC))


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


def test_a_table_is_restored_compared_and_removed(
    cloud: Cloud, table: Any, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    recovery = {"PointInTimeRecoveryStatus": "ENABLED", "LatestRestorableDateTime": later}
    monkeypatch.setattr(restore, "_recovery", lambda *_: recovery)
    result = drill_table(cloud, "profile-profiles-dev")
    assert (result.same, result.rows) == (True, 300)
    assert result.compared > 100
    assert table.list_tables()["TableNames"] == ["profile-profiles-dev"]


def test_a_copy_that_lacks_an_item_is_found_out_and_still_removed(
    cloud: Cloud, table: Any, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    recovery = {"PointInTimeRecoveryStatus": "ENABLED", "LatestRestorableDateTime": later}
    monkeypatch.setattr(restore, "_recovery", lambda *_: recovery)
    read = restore._items

    def lossy(dynamodb: Any, name: str, named: str | None = None) -> Any:
        if named:
            dynamodb.delete_item(TableName=name, Key={"user_id": {"S": "7"}})
        return read(dynamodb, name, named)

    monkeypatch.setattr(restore, "_items", lossy)
    result = drill_table(cloud, "profile-profiles-dev")
    assert (result.same, result.rows, len(result.differing)) == (False, 299, 1)
    assert table.list_tables()["TableNames"] == ["profile-profiles-dev"]


def test_a_table_without_recovery_is_refused(cloud: Cloud, table: Any) -> None:
    with pytest.raises(OperatorError, match="profile-profiles-dev has no point-in-time recovery"):
        drill_table(cloud, "profile-profiles-dev")


class Rds:
    """RDS with one live cluster; what is made is available at once."""

    class exceptions:  # noqa: N801 - as boto3 has it
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

    def delete_db_instance(self, *, DBInstanceIdentifier: str, SkipFinalSnapshot: bool) -> None:  # noqa: N803
        del self.instances[DBInstanceIdentifier]

    def delete_db_cluster(self, *, DBClusterIdentifier: str, SkipFinalSnapshot: bool) -> None:  # noqa: N803
        assert f"{DBClusterIdentifier}-0" not in self.instances, "instances go first"
        del self.clusters[DBClusterIdentifier]


def aws(rds: Rds, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setattr(Cloud, "client", lambda *_, **__: rds)
    return Cloud(load_environment("dev", variables={"DEV_ACCOUNT_ID": "123456789012"}), {})


@pytest.mark.parametrize("failing", [False, True])
def test_on_aws_the_cluster_is_restored_beside_the_live_one_and_removed(
    failing: bool, monkeypatch: pytest.MonkeyPatch, impatient: None, tmp_path: Any
) -> None:
    rds, orders = Rds(), []
    # What an interrupted drill has left.
    rds.clusters["catalog-aurora-dev-drill"] = {"Status": "available"}
    rds.instances["catalog-aurora-dev-drill-0"] = {"DBInstanceStatus": "available"}

    def invoke(_function: Any, order: dict[str, Any]) -> Any:
        orders.append(order["fingerprint"])
        if failing and order["fingerprint"]:
            raise OperatorError("no")
        return {"tables": {"t": {"0": [1, "x"]}}}

    monkeypatch.setattr(MigrationFunction, "invoke", invoke)
    cloud = aws(rds, monkeypatch)
    if failing:
        with pytest.raises(OperatorError, match="no"):
            restore.drill_database(cloud, Root(tmp_path), OUTPUTS)
    else:
        assert restore.drill_database(cloud, Root(tmp_path), OUTPUTS).same
        assert orders == [{}, {"cluster": "catalog-aurora-dev-drill"}, {}]
    assert list(rds.clusters) == ["catalog-aurora-dev"]
    assert rds.instances == {}
    (_, restored), (_, instance) = rds.calls
    assert restored["VpcSecurityGroupIds"] == ["sg-1"]
    assert restored["DeletionProtection"] is False
    assert instance["DBInstanceClass"] == "db.serverless"


def test_a_dump_restored_is_the_database_with_its_owners(
    postgres: Postgres, migrated: str, tmp_path: Any
) -> None:
    with postgres.database(migrated) as name:
        fill(postgres, name, 500)
        try:
            for _ in range(2):  # what was left is replaced
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
def test_the_exit_status_says_whether_they_are_equal(
    differing: list[str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "connect", lambda *_: None)
    monkeypatch.setattr(
        command, "drill", lambda *_: [Comparison("table t", 3, 2, 2, differing, 1.0)]
    )
    result = CliRunner().invoke(app, ["restore-drill", "dev"])
    assert result.exit_code == status
    assert (
        "table t: 3 rows restored in 1 s, 2 of 2 groups compared by count and checksum: "
        in result.stdout
    )
