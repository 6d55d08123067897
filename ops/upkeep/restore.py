"""The restore drill: one table and the database are restored beside the live ones, compared with them, and removed."""

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
from ops.console import Progress, say
from ops.deployment.migrations import MigrationFunction, function_name
from ops.embedded import EmbeddedCloud
from ops.embedded.copies import remove_copy, restore_copy
from ops.errors import OperatorError
from ops.root import Root

SUFFIX = "drill"
"""What the copies' names end in."""

BUCKETS = 256
"""Groups that a table's items are compared in; as many as the migration function makes of a database table's rows."""

PATIENCE = 3600.0
"""Seconds that a restore may take: a small cluster or table takes some ten minutes."""

INTERVAL = 10.0
"""Seconds between two looks at a restore, once the first few have not seen it done."""

Fingerprint = Mapping[str, Mapping[str, tuple[int, str]]]
"""By table and bucket: how many rows, and their checksum."""


@dataclass(frozen=True)
class Comparison:
    """One copy against what it is a copy of.

    What is written while the drill runs may or may not be in the copy: what differs between two looks at the original, one before the
    instant that is restored and one after it, is left out.
    """

    what: str
    rows: int
    """Rows or items of the copy."""
    compared: int
    """Groups of rows that did not change meanwhile, and were compared by count and checksum."""
    groups: int
    """All groups."""
    differing: list[str]
    """Groups that were compared and differ: `table/bucket`."""
    seconds: float
    """How long the restore took."""

    @property
    def same(self) -> bool:
        """Whether all that can be compared is equal, and there was something to compare."""
        return not self.differing and (self.compared > 0 or self.groups == 0)

    def line(self) -> str:
        """In one line."""
        verdict = (
            "equal"
            if self.same
            else f"DIFFERENT in {', '.join(self.differing[:10]) or 'everything, or all was changed meanwhile'}"
        )
        return (
            f"{self.what}: {self.rows} rows restored in {self.seconds:.0f} s,"
            f" {self.compared} of {self.groups} groups compared by count and checksum: {verdict}"
        )


def compare(
    what: str, before: Fingerprint, after: Fingerprint, copy: Fingerprint, seconds: float
) -> Comparison:
    """Holds a copy against its original, as that was before and after the instant of the copy."""
    groups = {
        (table, bucket)
        for found in (before, after, copy)
        for table, buckets in found.items()
        for bucket in buckets
    }

    def at(found: Fingerprint, group: tuple[str, str]) -> tuple[int, str] | None:
        table, bucket = group
        value = found.get(table, {}).get(bucket)
        return (value[0], value[1]) if value else None

    stable = [group for group in sorted(groups) if at(before, group) == at(after, group)]
    differing = [
        f"{table}/{bucket}"
        for table, bucket in stable
        if at(copy, (table, bucket)) != at(before, (table, bucket))
    ]
    rows = sum(count for buckets in copy.values() for count, _ in buckets.values())
    return Comparison(what, rows, len(stable), len(groups), differing, round(seconds, 1))


def drill(cloud: Cloud, root: Root, table: str) -> list[Comparison]:
    """Restores a table and the database, compares both, and removes the copies. May be repeated: what an interrupted one left is removed.

    Args:
        table: without the environment, for example `profile-profiles`; it must have point-in-time recovery.

    Raises:
        OperatorError: a restore failed or took too long.
    """
    cloud.check_account()
    return [drill_table(cloud, f"{table}-{cloud.environment.name}"), drill_database(cloud, root)]


def drill_table(cloud: Cloud, table: str) -> Comparison:
    """The drill of one DynamoDB table."""
    dynamodb, copy = cloud.client("dynamodb"), f"{table}-{SUFFIX}"
    # Fails for a table that does not exist or cannot be restored, before anything is made.
    if _recovery(dynamodb, table)["PointInTimeRecoveryStatus"] != "ENABLED":
        raise OperatorError(f"{table} has no point-in-time recovery: choose a table that has")
    _remove_table(dynamodb, copy)
    say(f"Reading {table}")
    before = _items(dynamodb, table)
    instant = _next_second()
    after = _items(dynamodb, table)
    begun = time.monotonic()
    try:
        _wait(
            f"{table} can be restored to {instant:%H:%M:%S}",
            lambda: _restorable(dynamodb, table, instant),
        )
        say(f"Restoring {table} as {copy}")
        dynamodb.restore_table_to_point_in_time(
            SourceTableName=table,
            TargetTableName=copy,
            RestoreDateTime=instant,
            BillingModeOverride="PAY_PER_REQUEST",
            GlobalSecondaryIndexOverride=[],  # nothing is read by them
        )
        _wait(f"{copy} is restored", lambda: _table_status(dynamodb, copy) == "ACTIVE")
        seconds = time.monotonic() - begun
        return compare(
            f"table {table}", before, after, _items(dynamodb, copy, named=table), seconds
        )
    finally:
        say(f"Removing {copy}")
        _remove_table(dynamodb, copy)


def drill_database(cloud: Cloud, root: Root) -> Comparison:
    """The drill of the database: of the whole cluster on AWS, by dump and restore in the embedded cloud."""
    function = MigrationFunction(cloud, function_name(cloud))

    def look(**place: str) -> Fingerprint:
        found: Fingerprint = function.invoke({"fingerprint": place})["tables"]
        return found

    database = f"multitask_{cloud.environment.name}"
    say(f"Reading {database}")
    before = look()
    instant = _next_second()
    begun = time.monotonic()
    restored = (
        _dumped_copy(root, database)
        if cloud.environment.name == EMBEDDED
        else _restored_cluster(cloud, instant)
    )
    with restored as place:
        seconds = time.monotonic() - begun
        copy = look(**place)
        # Of the embedded copy the instant is somewhere in the dump; on AWS it was before this look in any case.
        return compare(f"database {database}", before, look(), copy, seconds)


@contextmanager
def _dumped_copy(root: Root, database: str) -> Iterator[dict[str, str]]:
    addresses = EmbeddedCloud(root).addresses()
    if addresses is None:
        raise OperatorError("The platform does not run on this machine: start it with `make up`")
    copy = f"{database}_{SUFFIX}"
    try:
        say(f"Dumping {database} and restoring it as {copy}")
        restore_copy(addresses.database, database, copy, root.path)
        yield {"database": copy}
    finally:
        say(f"Removing {copy}")
        remove_copy(addresses.database, copy)


@contextmanager
def _restored_cluster(cloud: Cloud, instant: datetime) -> Iterator[dict[str, str]]:
    """The cluster, restored to an instant beside the live one, where the migration function reaches it."""
    rds = cloud.client("rds")
    cluster = f"catalog-aurora-{cloud.environment.name}"
    copy = f"{cluster}-{SUFFIX}"
    live = _cluster(rds, cluster)
    if live is None:
        raise OperatorError(f"There is no cluster {cluster}: deploy {cloud.environment.name} first")
    _remove_cluster(rds, copy)
    _wait(
        f"{cluster} can be restored to {instant:%H:%M:%S}",
        lambda: _at_least(_cluster(rds, cluster), instant),
    )
    try:
        say(f"Restoring {cluster} as {copy}")
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
            f"{copy} answers",
            lambda: (_instance(rds, f"{copy}-0") or {}).get("DBInstanceStatus") == "available",
        )
        yield {"cluster": copy}
    finally:
        say(f"Removing {copy}")
        _remove_cluster(rds, copy)


def _items(dynamodb: Any, table: str, named: str | None = None) -> Fingerprint:
    """The fingerprint of a table, under its own or another's name."""
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
        named or table: {
            bucket: (count, str(checksum)) for bucket, (count, checksum) in buckets.items()
        }
    }


def _hash(item: Mapping[str, Any]) -> int:
    text = json.dumps(_comparable(item), sort_keys=True).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8])


def _comparable(value: Any) -> Any:
    """An attribute value as JSON; members of a set come in any order."""
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
    found = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    return found["PointInTimeRecoveryDescription"]


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
        f"{table} can be removed",
        lambda: _table_status(dynamodb, table) in {"ACTIVE", "DELETING", None},
    )
    if _table_status(dynamodb, table) == "ACTIVE":
        dynamodb.delete_table(TableName=table)
    _wait(f"{table} is gone", lambda: _table_status(dynamodb, table) is None)


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


def _at_least(cluster: Any, instant: datetime) -> bool:
    return cluster is not None and bool(cluster["LatestRestorableTime"] >= instant)


def _remove_cluster(rds: Any, cluster: str) -> None:
    found = _cluster(rds, cluster)
    if found is None:
        return
    _wait(
        f"{cluster} can be removed",
        lambda: (_cluster(rds, cluster) or {}).get("Status") in {"available", "deleting", None},
    )
    instance = _instance(rds, f"{cluster}-0")
    if instance and instance["DBInstanceStatus"] != "deleting":
        rds.delete_db_instance(DBInstanceIdentifier=f"{cluster}-0", SkipFinalSnapshot=True)
    if (_cluster(rds, cluster) or {}).get("Status") == "available":
        rds.delete_db_cluster(DBClusterIdentifier=cluster, SkipFinalSnapshot=True)
    _wait(f"{cluster} is gone", lambda: _cluster(rds, cluster) is None)


def _next_second() -> datetime:
    """The next whole second, which is how finely AWS restores, once it has come."""
    instant = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    time.sleep((instant - datetime.now(UTC)).total_seconds())
    return instant


def _wait(what: str, done: Callable[[], bool]) -> None:
    """Looks until it is so.

    Raises:
        OperatorError: it has not become so for PATIENCE seconds.
    """
    begun, interval = time.monotonic(), 0.2
    with Progress() as progress:
        while not done():
            waited = time.monotonic() - begun
            if waited >= PATIENCE:
                raise OperatorError(
                    f"Waited {PATIENCE / 60:.0f} min until {what}, in vain: see the AWS console, then repeat the drill"
                )
            progress.show(f"Waiting until {what} ({waited:.0f} s)")
            time.sleep(interval)
            interval = min(2 * interval, INTERVAL)
