"""Computes the limits of tables, databases, queues, events and the network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial

from ops.capacity.limits import Change, Inputs, Limit, Point, design, setting
from ops.capacity.load import POSTS
from ops.capacity.traffic import COUNT, PUBLISH, reconnection_seconds

PARAMETERS = 2
"""Number of SSM parameters that an execution environment reads when it starts: the signing key and
the cursor key.
"""
EVENTS_PER_REQUEST, FIRST_PARTITIONS = 10, 4
"""Maximum number of events in a PutEvents request, and the number of partitions of a new DynamoDB
table that is billed on demand.
"""


def limits(inputs: Inputs) -> Iterator[Limit]:
    yield from _messaging(inputs)
    yield from _databases(inputs)
    yield from _network(inputs)
    yield from _tables(inputs)


def _messaging(inputs: Inputs) -> Iterator[Limit]:
    if not inputs.stack.has_high_throughput_fifo:
        yield inputs.by_quota(
            "frames queued for large rooms",
            "sqs.fifo_requests",
            lambda point: point.peak.calls.get("sqs.SendMessage", 0.0),
            change=setting("chat.room_parts"),
        )
    yield inputs.by_quota(
        "PutEvents requests to EventBridge",
        "eventbridge.events",
        lambda point: point.peak.calls.get("events.PutEvents", 0.0),
    )
    yield inputs.by_quota(
        "target invocations of EventBridge",
        "eventbridge.invocations",
        lambda point: sum(point.peak.traffic.rates[name] for name in (PUBLISH, COUNT)),
    )
    yield inputs.by_quota(
        "concurrent executions of statistics",
        "lambda.queue_concurrency",
        lambda point: point.peak.concurrency.get("statistics", 0.0),
    )
    stream = inputs.stack.event_sources["relay/stream"]
    batch = inputs.loads.duration(PUBLISH) + (
        (stream.batch_size / EVENTS_PER_REQUEST - 1) * inputs.model.times.other_call_ms.value / 1000
    )
    writes = inputs.quota("dynamodb.partition_writes").value

    def processing_time(point: Point) -> float:
        partitions = max(
            FIRST_PARTITIONS, point.peak.units.get("platform-outbox writes", 0.0) / writes
        )
        per_shard = point.peak.traffic.rates[PUBLISH] / partitions / stream.parallel
        return per_shard * batch / stream.batch_size

    yield Limit(
        "relay: processing time of one shard of the outbox's stream",
        1,
        "s/s",
        "stack relay/stream batch_size",
        processing_time,
        design("raise parallelization_factor of the relay's stream"),
    )


def _databases(inputs: Inputs) -> Iterator[Limit]:
    stack, model = inputs.stack, inputs.model
    least, most = stack.aurora_units
    allowed = min(
        most * inputs.quota("aurora.connections_per_unit").value,
        inputs.quota("aurora.connections").value,
    )
    if least <= 0.5:
        allowed = min(allowed, inputs.quota("aurora.connections_of_half_a_unit").value)
    change = setting("rds.max_capacity")
    yield Limit(
        "connections to Aurora",
        float(int(allowed)),
        "connections",
        "stack database/aurora max_capacity",
        lambda point: point.peak.concurrency.get("catalog", 0.0),
        change,
    )
    yield Limit(
        "CPU of Aurora's writer",
        most * model.database.cores_per_capacity_unit.value,
        "cores",
        "stack database/aurora max_capacity",
        lambda point: point.peak.statements * model.database.statement_cpu_ms.value / 1000,
        change,
        is_verified=False,
    )
    node = setting("elasticache.node_type")
    memory_gb = inputs.quotas.cache_memory_gb
    commands = inputs.quotas.cache_commands.nodes.get(stack.cache_node)
    yield Limit(
        "commands to the cache",
        commands or model.cache.commands_per_second.value,
        "commands/s",
        f"stack database/cache node_type {stack.cache_node}"
        if commands
        else "model cache.commands_per_second",
        lambda point: max(point.peak.cache, point.storm.cache),
        node,
        inputs.quotas.cache_commands.verified if commands else False,
    )
    if stack.cache_node in memory_gb.nodes:
        yield Limit(
            "memory of the cache",
            memory_gb.nodes[stack.cache_node] * 2**30,
            "bytes",
            f"stack database/cache node_type {stack.cache_node}",
            lambda point: point.users * model.online_share * model.cache.bytes_per_connection.value,
            node,
            memory_gb.verified,
        )
    yield inputs.by_quota(
        "connections to the cache",
        "elasticache.connections",
        _posting_functions,
        change=design("split the cache into several shards"),
    )


def _posting_functions(point: Point) -> float:
    """Returns the concurrency of chat and delivery, which use the cache and send frames."""
    return sum(point.peak.concurrency.get(name, 0.0) for name in ("chat", "delivery"))


def _network(inputs: Inputs) -> Iterator[Limit]:
    stack, sizes = inputs.stack, inputs.model.sizes
    if stack.nat_gateways:
        yield inputs.by_quota(
            "NAT gateway connections to the WebSocket management API",
            "nat.connections",
            lambda point: POSTS * _posting_functions(point),
            times=stack.nat_gateways,
            change=setting("network.nat_gateways"),
        )
    if stack.distributions:
        yield inputs.by_quota(
            "requests to the CloudFront distribution that serves images",
            "cloudfront.requests",
            lambda point: point.peak.traffic.rest * sizes.media_requests_per_request.value,
        )

    def parameter_reads(point: Point) -> float:
        executions = sum(
            max(0.0, count - stack.functions[name].provisioned)
            for name, count in point.storm.concurrency.items()
        )
        return PARAMETERS * executions / reconnection_seconds(inputs.model, stack.design)

    yield inputs.by_quota(
        "SSM parameters that starting functions read after an outage",
        "ssm.requests",
        parameter_reads,
        change=Change("quota", "turn on higher throughput of Parameter Store (AWS charges for it)"),
    )
    yield inputs.by_quota(
        "KMS decryptions of SSM parameters after an outage", "kms.requests", parameter_reads
    )


def _tables(inputs: Inputs) -> Iterator[Limit]:
    """Yields the limits of each table's reads and writes, including those of its indexes."""
    for table in inputs.stack.tables.values():
        for kind, provisioned in (("reads", table.read_units), ("writes", table.write_units)):
            demand = partial(_table_units, table.name, kind)
            name = f"{kind[:-1]} units of the table {table.name}"
            if provisioned is None:
                yield inputs.by_quota(name, f"dynamodb.table_{kind}", demand)
            else:
                key = f"dynamodb.{kind[:-1]}_capacity"
                source = f"stack database/{table.name}/table"
                yield Limit(name, provisioned, "units/s", source, demand, setting(key))


def _table_units(table: str, kind: str, point: Point) -> float:
    return by_table(point.peak.units, kind).get(table, 0.0)


def by_table(units: Mapping[str, float], kind: str) -> dict[str, float]:
    """Returns the units of each table, including those of its indexes.

    `kind` is `reads` or `writes`.
    """
    totals: dict[str, float] = defaultdict(float)
    for name, value in units.items():
        resource, _, unit = name.partition(" ")
        if unit == kind:
            totals[resource.partition("/")[0]] += value
    return totals
