"""Charges of databases, caches, buckets, secrets, user pools and keys."""

from __future__ import annotations

from collections.abc import Iterator

from ops.cost.charges.base import Line, Month, UnpricedError, charged
from ops.cost.prices import load_prices
from ops.cost.things import Thing


@charged("aws_dynamodb_table", "reads", "writes", "storage_gb", "stream_reads")
def table(thing: Thing, month: Month) -> Iterator[Line]:
    """Yields request units or capacity, storage, point-in-time recovery and stream reads."""
    if thing.value("table_class", "STANDARD") != "STANDARD":
        raise UnpricedError(f"table class {thing.value('table_class')}")
    if thing.value("billing_mode", "PROVISIONED") == "PAY_PER_REQUEST":
        yield Line("dynamodb.writes", month.used["writes"])
        yield Line("dynamodb.reads", month.used["reads"])
    else:
        for attribute, price in (
            ("write_capacity", "dynamodb.write_capacity"),
            ("read_capacity", "dynamodb.read_capacity"),
        ):
            units = [
                *thing.values_at(attribute),
                *thing.values_at(f"global_secondary_index.{attribute}"),
            ]
            yield Line(price, month.hours * sum(units), fixed=True)
    yield Line("dynamodb.storage", month.used["storage_gb"])
    if thing.value("point_in_time_recovery.enabled"):
        yield Line("dynamodb.point_in_time_recovery", month.used["storage_gb"])
    if thing.value("stream_enabled"):
        yield Line("dynamodb.stream_reads", month.used["stream_reads"])


@charged("aws_rds_cluster", "storage_gb", "io", "backup_gb")
def cluster(thing: Thing, month: Month) -> Iterator[Line]:
    """Yields storage, I/O, backups, and the secret in which RDS stores the master password."""
    if not str(thing.value("engine")).startswith("aurora"):
        raise UnpricedError(f"engine {thing.value('engine')}")
    if thing.value("storage_type"):
        raise UnpricedError(f"storage {thing.value('storage_type')}")
    yield Line("aurora.storage", month.used["storage_gb"])
    yield Line("aurora.io", month.used["io"])
    yield Line("aurora.backup", month.used["backup_gb"])
    if thing.value("manage_master_user_password"):
        yield Line("secrets.secret", 1, fixed=True)


@charged("aws_rds_cluster_instance", "acu")
def instance(thing: Thing, month: Month) -> Iterator[Line]:
    """Yields the cluster's minimum capacity as fixed, and the usage above it up to the maximum."""
    if thing.value("instance_class") != "db.serverless":
        raise UnpricedError(f"instance class {thing.value('instance_class')}")
    cluster = month.things.named(
        "aws_rds_cluster", "cluster_identifier", thing.value("cluster_identifier")
    )
    least = cluster.value("serverlessv2_scaling_configuration.min_capacity") if cluster else None
    most = cluster.value("serverlessv2_scaling_configuration.max_capacity") if cluster else None
    if least is None or most is None:
        raise UnpricedError("the capacity of its cluster is unknown")
    yield Line("aurora.capacity", month.hours * least, fixed=True)
    yield Line("aurora.capacity", month.hours * max(0.0, min(month.used["acu"], most) - least))


@charged("aws_elasticache_replication_group", "backup_gb")
def cache(thing: Thing, month: Month) -> Iterator[Line]:
    """Yields node hours and snapshots."""
    price = f"elasticache.{thing.value('node_type')}"
    if price not in load_prices().prices:
        raise UnpricedError(f"no price for {thing.value('node_type')}")
    shards = thing.value("num_node_groups")
    nodes = thing.value("num_cache_clusters") or (shards or 1) * (
        1 + thing.value("replicas_per_node_group", 0)
    )
    yield Line(price, month.hours * nodes, fixed=True)
    if thing.value("snapshot_retention_limit", 0):
        yield Line("elasticache.backup", month.used["backup_gb"])


@charged("aws_s3_bucket", "storage_gb", "writes", "reads")
def bucket(thing: Thing, month: Month) -> Iterator[Line]:  # noqa: ARG001 - usage only
    """Yields requests, and storage at the price of S3 Standard, the most expensive class used."""
    yield Line("s3.storage", month.used["storage_gb"])
    yield Line("s3.writes", month.used["writes"])
    yield Line("s3.reads", month.used["reads"])


@charged("aws_secretsmanager_secret", "requests")
def secret(thing: Thing, month: Month) -> Iterator[Line]:  # noqa: ARG001 - one price
    """Yields the secret and its requests."""
    yield Line("secrets.secret", 1, fixed=True)
    yield Line("secrets.requests", month.used["requests"])


@charged("aws_ssm_parameter")
def parameter(thing: Thing, month: Month) -> Iterator[Line]:  # noqa: ARG001 - one price
    """Yields nothing, since standard parameters are free."""
    if thing.value("tier", "Standard") not in ("Standard", ""):
        raise UnpricedError(f"parameter tier {thing.value('tier')}")
    yield from ()


@charged("aws_cognito_user_pool", "active_users")
def user_pool(thing: Thing, month: Month) -> Iterator[Line]:
    """Yields monthly active users at the price of the pool's tier."""
    price = f"cognito.{thing.value('user_pool_tier', 'ESSENTIALS')}"
    if price not in load_prices().prices:
        raise UnpricedError(f"no price for tier {thing.value('user_pool_tier')}")
    yield Line(price, month.used["active_users"])


@charged("aws_kms_key", "requests")
def key(thing: Thing, month: Month) -> Iterator[Line]:
    """Yields the key and its requests."""
    if thing.value("customer_master_key_spec", "SYMMETRIC_DEFAULT") not in (
        "SYMMETRIC_DEFAULT",
        "",
    ):
        raise UnpricedError(f"key of {thing.value('customer_master_key_spec')}")
    yield Line("kms.key", 1, fixed=True)
    yield Line("kms.requests", month.used["requests"])
