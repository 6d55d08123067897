"""Reads the settings that limit an environment from its synthesized stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops.capacity.traffic import INLINE_LIMIT, Design
from ops.cost.resources import BillableResource, BillableResources, stack_resources
from ops.terraform.stack_document import Synthesized


@dataclass(frozen=True)
class Function:
    """The settings of a Lambda function that limit its capacity."""

    name: str
    memory_mb: float
    timeout: float
    """Seconds."""
    reserved: int | None
    """Reserved concurrent executions. None if it shares the unreserved concurrency."""
    provisioned: int


@dataclass(frozen=True)
class Table:
    """A DynamoDB table. Capacities are None if it is billed on demand."""

    name: str
    read_units: float | None
    write_units: float | None
    indexes: tuple[str, ...]


@dataclass(frozen=True)
class Throttle:
    """The rate and burst limits of an API stage. They apply to each method or route separately."""

    rate: float
    burst: float


@dataclass(frozen=True)
class EventSource:
    """A queue or stream whose records a function receives."""

    name: str
    """The construct's path, such as `delivery/frames-source`."""
    function: str
    batch_size: int
    parallel: int
    """Number of batches that Lambda processes concurrently for each shard of a stream."""
    is_stream: bool


@dataclass(frozen=True)
class Stack:
    """The settings of an environment that limit its capacity."""

    environment: str
    region: str
    functions: Mapping[str, Function]
    tables: Mapping[str, Table]
    rest: Throttle
    websocket: Throttle
    authorizer_seconds: float
    """Seconds for which API Gateway caches a token's authorization."""
    event_sources: Mapping[str, EventSource]
    has_high_throughput_fifo: bool
    """True if the FIFO queue of frames has high throughput."""
    shards: int
    """Number of shards of the timeline's index."""
    room_parts: int
    """Number of parts into which the connections of a large room are divided.

    The parts receive frames in parallel.
    """
    account_seconds: int
    """Seconds for which sessions cache the roles of their users."""
    signal_limit: int
    """Maximum number of connections in a room that receives signals, such as who is typing."""
    reconnect_seconds: int
    """Seconds over which clients spread their attempts to reconnect.

    If 0, clients choose the time.
    """
    aurora_units: tuple[float, float]
    """Minimum and maximum capacity units of an Aurora instance."""
    aurora_instances: int
    cache_node: str
    nat_gateways: int
    distributions: int
    sends_mail_without_ses: bool
    """True if Cognito sends emails without SES."""

    @property
    def design(self) -> Design:
        """The settings that determine how much traffic the users cause."""
        return Design(
            self.authorizer_seconds,
            self.room_parts,
            self.account_seconds,
            self.signal_limit,
            self.reconnect_seconds,
        )


def read_stack(synthesized: Synthesized) -> Stack:
    """Returns the settings of a synthesized stack that limit its capacity."""
    resources = stack_resources(synthesized)

    def every(type_: str) -> list[BillableResource]:
        return [item for item in resources.items if item.type == type_]

    def throttle(type_: str, key: str) -> Throttle:
        [stage] = every(type_)
        limits = (stage.value(f"{key}.throttling_{name}_limit") for name in ("rate", "burst"))
        return Throttle(*(float(limit) for limit in limits))

    [cluster], [cache] = every("aws_rds_cluster"), every("aws_elasticache_replication_group")
    [pool], [authorizer] = every("aws_cognito_user_pool"), every("aws_api_gateway_authorizer")
    scaling = "serverlessv2_scaling_configuration"
    functions = _functions(resources)
    return Stack(
        environment=synthesized.environment,
        region=synthesized.region,
        functions=functions,
        tables={table.name: table for table in map(_table, every("aws_dynamodb_table"))},
        rest=throttle("aws_api_gateway_method_settings", "settings"),
        websocket=throttle("aws_apigatewayv2_stage", "default_route_settings"),
        authorizer_seconds=float(authorizer.value("authorizer_result_ttl_in_seconds", 300)),
        event_sources={
            source.name: source
            for source in map(_event_source, every("aws_lambda_event_source_mapping"))
        },
        has_high_throughput_fifo=any(
            queue.value("fifo_throughput_limit") == "perMessageGroupId"
            for queue in every("aws_sqs_queue")
            if queue.construct.path == "delivery/frames/queue"
        ),
        shards=int(_variables(resources, "post")["TIMELINE_SHARDS"]),
        room_parts=int(_variables(resources, "delivery").get("ROOM_PARTS", 1)),
        account_seconds=int(_variables(resources, "auth").get("ACCOUNT_SECONDS", 0)),
        signal_limit=int(_variables(resources, "chat").get("SIGNAL_LIMIT", INLINE_LIMIT)),
        reconnect_seconds=int(_variables(resources, "chat").get("RECONNECT_SECONDS", 0)),
        aurora_units=(
            float(cluster.value(f"{scaling}.min_capacity")),
            float(cluster.value(f"{scaling}.max_capacity")),
        ),
        aurora_instances=len(every("aws_rds_cluster_instance")),
        cache_node=str(cache.value("node_type")),
        nat_gateways=len(every("aws_nat_gateway")),
        distributions=len(every("aws_cloudfront_distribution")),
        sends_mail_without_ses=pool.value("email_configuration.email_sending_account")
        == "COGNITO_DEFAULT",
    )


def _functions(resources: BillableResources) -> dict[str, Function]:
    provisioned = {
        item.construct.module: int(item.value("provisioned_concurrent_executions", 0))
        for item in resources.items
        if item.type == "aws_lambda_provisioned_concurrency_config"
    }
    return {
        item.construct.module: Function(
            item.construct.module,
            float(item.value("memory_size", 128)),
            float(item.value("timeout", 3)),
            item.value("reserved_concurrent_executions"),
            provisioned.get(item.construct.module, 0),
        )
        for item in resources.items
        if item.type == "aws_lambda_function"
    }


def _variables(resources: BillableResources, function: str) -> Mapping[str, Any]:
    [resource] = [
        item
        for item in resources.items
        if item.type == "aws_lambda_function" and item.construct.module == function
    ]
    variables: Mapping[str, Any] = resource.value("environment.variables", {})
    return variables


def _table(resource: BillableResource) -> Table:
    on_demand = resource.value("billing_mode") == "PAY_PER_REQUEST"
    return Table(
        resource.construct.path.split("/")[1],
        None if on_demand else float(resource.value("read_capacity", 0)),
        None if on_demand else float(resource.value("write_capacity", 0)),
        tuple(map(str, resource.values_at("global_secondary_index.name"))),
    )


def _event_source(resource: BillableResource) -> EventSource:
    return EventSource(
        resource.construct.path,
        resource.construct.module,
        int(resource.value("batch_size", 10)),
        int(resource.value("parallelization_factor", 1)),
        "aws_dynamodb_table." in str(resource.value("event_source_arn")),
    )
