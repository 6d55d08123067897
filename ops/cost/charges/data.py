"""Defines the charges of databases, caches, buckets, secrets, user pools and keys."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ops.cost.charges.base import Line, Month, UnpricedError, charge_usage, charged
from ops.cost.prices import load_prices
from ops.cost.resources import BillableResource

MIN_AWAKE_CAPACITY = 0.5
"""Aurora capacity units. The minimum while an instance is awake, if it can pause."""
PAUSE_AFTER = 300
"""Seconds without connections after which Aurora pauses by default."""
IDLE_CONNECTION = 60
"""Seconds after which PostgreSQL closes an idle connection (modules/database.py)."""


@charged("aws_dynamodb_table", "reads", "writes", "storage_gb", "stream_reads")
def table(resource: BillableResource, month: Month) -> Iterator[Line]:
    """Yields the charges for request units or capacity, storage, recovery and stream reads."""
    if resource.value("table_class", "STANDARD") != "STANDARD":
        raise UnpricedError(f"no price for table class {resource.value('table_class')}")
    if resource.value("billing_mode", "PROVISIONED") == "PAY_PER_REQUEST":
        yield Line("dynamodb.writes", month.used["writes"])
        yield Line("dynamodb.reads", month.used["reads"])
    else:
        for attribute in ("write_capacity", "read_capacity"):
            units = [
                *resource.values_at(attribute),
                *resource.values_at(f"global_secondary_index.{attribute}"),
            ]
            yield Line(f"dynamodb.{attribute}", month.hours * sum(units), fixed=True)
    yield Line("dynamodb.storage", month.used["storage_gb"])
    if resource.value("point_in_time_recovery.enabled"):
        yield Line("dynamodb.point_in_time_recovery", month.used["storage_gb"])
    if resource.value("stream_enabled"):
        yield Line("dynamodb.stream_reads", month.used["stream_reads"])


@charged("aws_rds_cluster", "storage_gb", "io", "backup_gb")
def cluster(resource: BillableResource, month: Month) -> Iterator[Line]:
    """Yields the charges for storage, I/O, backups, and the secret with the master password."""
    if not str(resource.value("engine")).startswith("aurora"):
        raise UnpricedError(f"no price for engine {resource.value('engine')}")
    if resource.value("storage_type"):
        raise UnpricedError(f"no price for storage type {resource.value('storage_type')}")
    yield Line("aurora.storage", month.used["storage_gb"])
    yield Line("aurora.io", month.used["io"])
    yield Line("aurora.backup", month.used["backup_gb"])
    if resource.value("manage_master_user_password"):
        yield Line("secrets.secret", 1, fixed=True)


@charged("aws_rds_cluster_instance", "acu", "requests")
def instance(resource: BillableResource, month: Month) -> Iterator[Line]:
    """Yields a fixed charge for the minimum capacity, and a usage charge for capacity above it.

    An instance whose minimum is 0 is awake from each request until it pauses. The estimate assumes
    that requests are independent of each other (a Poisson process).
    """
    if resource.value("instance_class") != "db.serverless":
        raise UnpricedError(f"no price for instance class {resource.value('instance_class')}")
    cluster = month.resources.named(
        "aws_rds_cluster", "cluster_identifier", resource.value("cluster_identifier")
    )
    least = cluster.value("serverlessv2_scaling_configuration.min_capacity") if cluster else None
    most = cluster.value("serverlessv2_scaling_configuration.max_capacity") if cluster else None
    if least is None or most is None:
        raise UnpricedError("the capacity of the instance's cluster is unknown")
    yield Line("aurora.capacity", month.hours * least, fixed=True)
    used = month.used["acu"]
    if cluster and not least:
        pause = cluster.value("serverlessv2_scaling_configuration.seconds_until_auto_pause")
        hours = ((pause or PAUSE_AFTER) + IDLE_CONNECTION) / 3600
        awake = 1 - math.exp(-month.used["requests"] / month.hours * hours)
        used = max(used, MIN_AWAKE_CAPACITY * awake)
    yield Line("aurora.capacity", month.hours * max(0.0, min(used, most) - least))


@charged("aws_elasticache_replication_group", "backup_gb")
def cache(resource: BillableResource, month: Month) -> Iterator[Line]:
    """Yields the charges for node hours and snapshots."""
    kind = "elasticache.valkey" if resource.value("engine") == "valkey" else "elasticache"
    price = f"{kind}.{resource.value('node_type')}"
    if price not in load_prices().prices:
        raise UnpricedError(f"no price for {resource.value('node_type')}")
    shards = resource.value("num_node_groups")
    nodes = resource.value("num_cache_clusters") or (shards or 1) * (
        1 + resource.value("replicas_per_node_group", 0)
    )
    yield Line(price, month.hours * nodes, fixed=True)
    if resource.value("snapshot_retention_limit", 0):
        yield Line("elasticache.backup", month.used["backup_gb"])


@charged("aws_ssm_parameter")
def parameter(resource: BillableResource, _: Month) -> Iterator[Line]:
    """Yields nothing, because standard parameters are free. Other tiers raise UnpricedError."""
    if resource.value("tier", "Standard") not in ("Standard", ""):
        raise UnpricedError(f"no price for parameter tier {resource.value('tier')}")
    yield from ()


@charged("aws_cognito_user_pool", "active_users")
def user_pool(resource: BillableResource, month: Month) -> Iterator[Line]:
    """Yields the charge for monthly active users. The pool's tier determines the price."""
    price = f"cognito.{resource.value('user_pool_tier', 'ESSENTIALS')}"
    if price not in load_prices().prices:
        raise UnpricedError(f"no price for tier {resource.value('user_pool_tier')}")
    yield Line(price, month.used["active_users"])


@charged("aws_kms_key", "requests")
def key(resource: BillableResource, month: Month) -> Iterator[Line]:
    """Yields the charges for the key and for requests to the key."""
    kind = resource.value("customer_master_key_spec", "")
    if kind not in ("SYMMETRIC_DEFAULT", ""):
        raise UnpricedError(f"no price for keys of type {kind}")
    yield Line("kms.key", 1, fixed=True)
    yield Line("kms.requests", month.used["requests"])


# All storage is priced as S3 Standard, the most expensive storage class in use.
charge_usage("aws_s3_bucket", storage_gb="s3.storage", writes="s3.writes", reads="s3.reads")
charge_usage("aws_secretsmanager_secret", monthly="secrets.secret", requests="secrets.requests")
