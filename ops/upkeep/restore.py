"""The restore drill: restores a table and the database as copies, compares and deletes them."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.cloud import EMBEDDED, Cloud
from ops.console import Progress, report
from ops.deployment.migrations import MigrationFunction
from ops.embedded import EmbeddedCloud
from ops.embedded.copies import remove_copy, restore_copy
from ops.errors import OperatorError
from ops.functions.versions import MIGRATION
from ops.root import Root
from ops.terraform.state import outputs

SUFFIX = "drill"
"""Suffix in the names of the restored copies."""

BUCKETS = 256
"""Number of groups into which items are divided, each with a checksum.

The migration function also divides the database's rows into 256 groups.
"""

RESTORE_TIMEOUT = 3600.0
"""Maximum seconds for a restore. A small cluster or table takes about 600."""

POLL_INTERVAL = 10.0
"""Maximum seconds between two checks of a restore. The first checks are more frequent."""

Fingerprint = Mapping[str, Mapping[str, tuple[int, str]]]
"""For each table and each group of its rows: the number of rows, and the rows' checksum."""


@dataclass(frozen=True)
class Comparison:
    """The result of comparing a copy with its original.

    The copy may lack rows that are written during the drill. The original is therefore read twice,
    before and after the restored point in time. Groups of rows that changed between these two
    readings are not compared.
    """

    what: str
    rows: int
    """Number of rows or items in the copy."""
    compared: int
    """Number of groups that did not change during the drill and were compared."""
    groups: int
    """Number of all groups."""
    differing: list[str]
    """The groups that were compared and differ, each as `table/group`."""
    seconds: float
    """Duration of the restore in seconds."""

    @property
    def is_equal(self) -> bool:
        """True if all compared groups are equal.

        False if they differ, or if all groups changed during the drill.
        """
        return not self.differing and (self.compared > 0 or self.groups == 0)

    def line(self) -> str:
        """Returns the result of the comparison in one line."""
        verdict = (
            "equal"
            if self.is_equal
            else f"DIFFERENT in {', '.join(self.differing[:10])}"
            if self.differing
            else "NOT COMPARED, because every group changed during the drill"
        )
        return (
            f"{self.what}: {self.rows} rows restored in {self.seconds:.0f} s,"
            f" {self.compared} of {self.groups} groups compared by count and checksum: {verdict}"
        )


def compare(
    what: str, before: Fingerprint, after: Fingerprint, copy: Fingerprint, seconds: float
) -> Comparison:
    """Compares the fingerprint of a copy with those of its original.

    Args:
        before: The original's fingerprint from before the point in time to which the copy was
            restored.
        after: The original's fingerprint from after that time.
    """
    old, new, restored = _flat(before), _flat(after), _flat(copy)
    groups = sorted({*old, *new, *restored})
    stable = [group for group in groups if old.get(group) == new.get(group)]
    differing = ["/".join(group) for group in stable if restored.get(group) != old.get(group)]
    rows = sum(count for count, _ in restored.values())
    return Comparison(what, rows, len(stable), len(groups), differing, round(seconds, 1))


def _flat(fingerprint: Fingerprint) -> dict[tuple[str, str], tuple[int, str]]:
    return {
        (table, bucket): (count, checksum)
        for table, buckets in fingerprint.items()
        for bucket, (count, checksum) in buckets.items()
    }


def run_restore_drill(cloud: Cloud, root: Root, table: str) -> list[Comparison]:
    """Restores a table and the database, compares both with the originals and deletes the copies.

    It is safe to repeat: it first deletes the copies of an interrupted drill.

    Args:
        table: The name without the environment, for example `profile-profiles`. The table must have
            point-in-time recovery.

    Raises:
        OperatorError: A restore failed or took longer than RESTORE_TIMEOUT.
    """
    stack_outputs = outputs(cloud)
    tables = stack_outputs["tables"]
    if table not in tables:
        raise OperatorError(
            f"{cloud.environment.name} has no table {table}: use one of {', '.join(sorted(tables))}"
        )
    return [drill_table(cloud, tables[table]), drill_database(cloud, root, stack_outputs)]


def drill_table(cloud: Cloud, table: str) -> Comparison:
    """Restores a copy of one DynamoDB table, compares it with the table and deletes the copy."""
    dynamodb, copy = cloud.client("dynamodb"), f"{table}-{SUFFIX}"
    # Point-in-time recovery is checked first, so that this error leaves everything unchanged.
    if _recovery(dynamodb, table)["PointInTimeRecoveryStatus"] != "ENABLED":
        raise OperatorError(f"{table} has no point-in-time recovery: use a table that has it")
    _remove_table(dynamodb, copy)
    report(f"Reading {table}")
    before = _table_fingerprint(dynamodb, table)
    instant = _next_second()
    after = _table_fingerprint(dynamodb, table)
    begun = time.monotonic()
    try:
        _wait(
            f"{table} can be restored to {instant:%H:%M:%S}",
            lambda: _restorable(dynamodb, table, instant),
        )
        report(f"Restoring {table} as {copy}")
        dynamodb.restore_table_to_point_in_time(
            SourceTableName=table,
            TargetTableName=copy,
            RestoreDateTime=instant,
            BillingModeOverride="PAY_PER_REQUEST",
            # The copy has no indexes, because the comparison does not read them.
            GlobalSecondaryIndexOverride=[],
        )
        _wait(f"{copy} is restored", lambda: _table_status(dynamodb, copy) == "ACTIVE")
        seconds = time.monotonic() - begun
        return compare(
            f"table {table}",
            before,
            after,
            _table_fingerprint(dynamodb, copy, label=table),
            seconds,
        )
    finally:
        report(f"Deleting {copy}")
        _remove_table(dynamodb, copy)


def drill_database(cloud: Cloud, root: Root, stack_outputs: Mapping[str, Any]) -> Comparison:
    """Restores a copy of the database, compares it with the original and deletes the copy."""
    function = MigrationFunction(cloud, stack_outputs["functions"][MIGRATION])

    def fingerprint(**restored_database: str) -> Fingerprint:
        tables: Fingerprint = function.invoke({"fingerprint": restored_database})["tables"]
        return tables

    database = stack_outputs["database_name"]
    report(f"Reading {database}")
    before = fingerprint()
    instant = _next_second()
    begun = time.monotonic()
    restored = (
        _dumped_copy(root, database)
        if cloud.environment.name == EMBEDDED
        else _restored_cluster(cloud, stack_outputs["database_cluster_id"], instant)
    )
    with restored as restored_database:
        seconds = time.monotonic() - begun
        copy = fingerprint(**restored_database)
        # The original is read again, to find the groups of rows that changed since the first time.
        return compare(f"database {database}", before, fingerprint(), copy, seconds)


@contextmanager
def _dumped_copy(root: Root, database: str) -> Iterator[dict[str, str]]:
    addresses = EmbeddedCloud(root).addresses()
    if addresses is None:
        raise OperatorError("The platform is not running on this machine: start it with `make up`")
    copy = f"{database}_{SUFFIX}"
    try:
        report(f"Dumping {database} and restoring it as {copy}")
        restore_copy(addresses.database_server, database, copy, root.path)
        yield {"database": copy}
    finally:
        report(f"Deleting {copy}")
        remove_copy(addresses.database_server, copy)


@contextmanager
def _restored_cluster(cloud: Cloud, cluster: str, instant: datetime) -> Iterator[dict[str, str]]:
    """Restores a copy of the cluster, and deletes the copy after the `with` block.

    The copy has the original's subnets and security groups, so the migration function can reach it.
    """
    rds = cloud.client("rds")
    copy = f"{cluster}-{SUFFIX}"
    live = _cluster(rds, cluster)
    if live is None:
        raise OperatorError(
            f"The cluster {cluster} does not exist: deploy {cloud.environment.name} first"
        )
    _remove_cluster(rds, copy)
    _wait(
        f"{cluster} can be restored to {instant:%H:%M:%S}",
        lambda: _is_restorable(_cluster(rds, cluster), instant),
    )
    try:
        report(f"Restoring {cluster} as {copy}")
        scaling = live["ServerlessV2ScalingConfiguration"]
        rds.restore_db_cluster_to_point_in_time(
            SourceDBClusterIdentifier=cluster,
            DBClusterIdentifier=copy,
            RestoreToTime=instant,
            DBSubnetGroupName=live["DBSubnetGroup"],
            VpcSecurityGroupIds=[
                group["VpcSecurityGroupId"] for group in live["VpcSecurityGroups"]
            ],
            DBClusterParameterGroupName=live["DBClusterParameterGroup"],
            ServerlessV2ScalingConfiguration={
                key: scaling[key] for key in ("MinCapacity", "MaxCapacity")
            },
            DeletionProtection=False,
            Tags=[{"Key": "Environment", "Value": cloud.environment.name}],
        )
        _wait(
            f"{copy} is restored", lambda: (_cluster(rds, copy) or {}).get("Status") == "available"
        )
        rds.create_db_instance(
            DBInstanceIdentifier=f"{copy}-0",
            DBClusterIdentifier=copy,
            DBInstanceClass="db.serverless",
            Engine="aurora-postgresql",
            PubliclyAccessible=False,
        )
        _wait(
            f"{copy} is available",
            lambda: (_instance(rds, f"{copy}-0") or {}).get("DBInstanceStatus") == "available",
        )
        yield {"cluster": copy}
    finally:
        report(f"Deleting {copy}")
        _remove_cluster(rds, copy)


def _table_fingerprint(dynamodb: Any, table: str, label: str | None = None) -> Fingerprint:
    """Returns the number of items in each group of a table, and their checksum.

    Args:
        label: The table's name in the result (default: the name of the table).
    """
    keys = [
        key["AttributeName"]
        for key in dynamodb.describe_table(TableName=table)["Table"]["KeySchema"]
    ]
    buckets: dict[str, tuple[int, int]] = {}
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        for item in page["Items"]:
            bucket = str(_hash({key: item[key] for key in keys}) % BUCKETS)
            count, checksum = buckets.get(bucket, (0, 0))
            buckets[bucket] = (count + 1, (checksum + _hash(item)) % 2**64)
    return {
        label or table: {
            bucket: (count, str(checksum)) for bucket, (count, checksum) in buckets.items()
        }
    }


def _hash(item: Mapping[str, Any]) -> int:
    text = json.dumps(_comparable(item), sort_keys=True).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8])


def _comparable(value: Any) -> Any:
    """Returns an attribute value with sorted sets, because DynamoDB returns sets in any order."""
    if isinstance(value, Mapping):
        return {
            name: sorted(map(_comparable, inner))
            if name in {"SS", "NS", "BS"}
            else _comparable(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_comparable(inner) for inner in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _recovery(dynamodb: Any, table: str) -> Any:
    backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    return backups["PointInTimeRecoveryDescription"]


def _restorable(dynamodb: Any, table: str, instant: datetime) -> bool:
    return bool(_recovery(dynamodb, table)["LatestRestorableDateTime"] >= instant)


def _table_status(dynamodb: Any, table: str) -> str | None:
    try:
        return str(dynamodb.describe_table(TableName=table)["Table"]["TableStatus"])
    except dynamodb.exceptions.ResourceNotFoundException:
        return None


def _remove_table(dynamodb: Any, table: str) -> None:
    if _table_status(dynamodb, table) is None:
        return
    _wait(
        f"{table} can be deleted",
        lambda: _table_status(dynamodb, table) in {"ACTIVE", "DELETING", None},
    )
    if _table_status(dynamodb, table) == "ACTIVE":
        dynamodb.delete_table(TableName=table)
    _wait(f"{table} is deleted", lambda: _table_status(dynamodb, table) is None)


def _cluster(rds: Any, cluster: str) -> Any:
    try:
        return rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]
    except rds.exceptions.DBClusterNotFoundFault:
        return None


def _instance(rds: Any, instance: str) -> Any:
    try:
        return rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"][0]
    except rds.exceptions.DBInstanceNotFoundFault:
        return None


def _is_restorable(cluster: Any, instant: datetime) -> bool:
    return cluster is not None and bool(cluster["LatestRestorableTime"] >= instant)


def _remove_cluster(rds: Any, cluster: str) -> None:
    if _cluster(rds, cluster) is None:
        return
    _wait(
        f"{cluster} can be deleted",
        lambda: (_cluster(rds, cluster) or {}).get("Status") in {"available", "deleting", None},
    )
    instance = _instance(rds, f"{cluster}-0")
    if instance and instance["DBInstanceStatus"] != "deleting":
        rds.delete_db_instance(DBInstanceIdentifier=f"{cluster}-0", SkipFinalSnapshot=True)
    if (_cluster(rds, cluster) or {}).get("Status") == "available":
        rds.delete_db_cluster(DBClusterIdentifier=cluster, SkipFinalSnapshot=True)
    _wait(f"{cluster} is deleted", lambda: _cluster(rds, cluster) is None)


def _next_second() -> datetime:
    """Waits for the next full second and returns it. AWS restores to full seconds only."""
    instant = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    time.sleep((instant - datetime.now(UTC)).total_seconds())
    return instant


def _wait(what: str, done: Callable[[], bool]) -> None:
    """Waits until a condition is true.

    Raises:
        OperatorError: The condition was not true within RESTORE_TIMEOUT seconds.
    """
    begun, interval = time.monotonic(), 0.2
    with Progress() as progress:
        while not done():
            waited = time.monotonic() - begun
            if waited >= RESTORE_TIMEOUT:
                raise OperatorError(
                    f"Timed out after {RESTORE_TIMEOUT / 60:.0f} min of waiting until {what}: check"
                    " the AWS console, then repeat the drill"
                )
            progress.show(f"Waiting until {what} ({waited:.0f} s)")
            time.sleep(interval)
            interval = min(2 * interval, POLL_INTERVAL)
