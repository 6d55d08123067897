"""The dashboard, the alarms on shared resources, and a saved query that traces a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdktf_cdktf_provider_aws.cloudwatch_dashboard import CloudwatchDashboard
from cdktf_cdktf_provider_aws.cloudwatch_query_definition import CloudwatchQueryDefinition
from constructs import Construct

from environments.resource_names import GLOBAL_REGION, PROJECT
from environments.rules import WITHOUT_GATEWAY
from modules.base.alarm import Alarm, Metric
from modules.base.dashboard import DashboardBody, GraphMetric
from modules.base.naming import Names, service_tag
from modules.base.table import Table

HIGH_ERROR_RATE = 10
"""Maximum number of errors in 300 s, summed over all functions behind the APIs, from the
specification.

The alarm omits the other functions, because one alarm can sum at most ten metrics. Every function
also has a separate alarm on its errors.
"""
SERVER_ERROR_SHARE = 0.05
"""Maximum fraction of REST responses that are 5xx. Single failures must not trigger the alarm."""
LATENCY_MS = 10_000
"""Milliseconds. The maximum p99 latency of REST responses.

Only AI requests take longer. They are fewer than 1 % of all requests, so the p99 excludes them.
"""
ACU_PERCENT = 90
"""Percent of Aurora's maximum capacity. Above this load, queries start to wait."""
CONNECTION_SHARE = 0.8
"""Maximum fraction of the connections that Aurora allows at its maximum capacity."""
MEMORY_PER_ACU = 2 * 1024**3
"""Bytes of memory per capacity unit (Aurora user guide, Serverless v2 capacity)."""
FREE_MEMORY_SHARE = 0.05
"""Minimum fraction of free memory.

The metric FreeableMemory is the memory that would be free at maximum capacity.
"""
CACHE_CPU_PERCENT = 90
"""Maximum percent of the engine's single core (ElastiCache user guide, metrics to monitor)."""
CACHE_MEMORY_PERCENT = 80
"""Maximum percent of the cache's memory. If the memory is full, the cache evicts keys."""
TABLE_OPERATIONS = ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query")
"""The operations whose system errors trigger an alarm. DynamoDB counts them per operation."""

TRACE_QUERY = """\
fields @timestamp, service, level, message
| filter correlation_id = "paste the X-Correlation-Id here"
| sort @timestamp asc
| limit 1000"""


@dataclass(frozen=True, kw_only=True)
class MonitoredResources:
    """The resources that the dashboard and the alarms monitor."""

    functions: Mapping[str, str]
    """For each service, the name of its Lambda function."""
    tables: Mapping[str, Table]
    """The tables by name without the environment, for example `auth-sessions`."""
    rest_api_name: str
    websocket_api_id: str
    stage_name: str
    """The name of the stage of both APIs."""
    queues: Mapping[str, str]
    """The names of queues by purpose, including dead-letter queues."""
    bus_name: str
    rule_names: Sequence[str]
    database_cluster_id: str
    cache_replication_group_id: str
    distributions: Mapping[str, str]
    """The ids of the CloudFront distributions, by what they contain, for example `site`."""


class Monitoring(Construct):
    """The dashboard and the alarms on shared resources.

    Functions and queues create their own alarms. An alarm costs 0.10 USD a month per metric. The
    alarms on one table have seven or more metrics, so only environments with detailed metrics have
    alarms on tables.

    Args:
        names: The environment and its resource names.
        monitored: The resources to monitor.
        alerts_topic_arn: The topic for alarms.

    Attributes:
        dashboard_name: The dashboard's name, as the specification requires.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        names: Names,
        monitored: MonitoredResources,
        alerts_topic_arn: str,
    ) -> None:
        super().__init__(scope, id_)
        environment = names.environment
        self._environment, self._names = environment, names
        self._alerts_topic_arn = alerts_topic_arn
        self._monitored = monitored
        self._cache_nodes = [
            # ElastiCache names the nodes of a replication group without shards `<group>-001`,
            # `<group>-002` and so on.
            f"{monitored.cache_replication_group_id}-{number:03}"
            for number in range(1, environment.elasticache.replicas + 2)
        ]
        self._alarm_arns: list[str] = []
        self._function_alarm()
        self._api_alarms()
        self._database_alarms()
        self._cache_alarms()
        self._event_alarms()
        if environment.monitoring.detailed_metrics:
            self._table_alarms()

        self.dashboard_name = f"{PROJECT}-{environment.name}"
        CloudwatchDashboard(
            self, "dashboard", dashboard_name=self.dashboard_name, dashboard_body=self._dashboard()
        )
        CloudwatchQueryDefinition(
            self,
            "trace",
            name=f"{self.dashboard_name}/one request by its correlation id",
            log_group_names=[f"/aws/lambda/{name}" for name in monitored.functions.values()],
            query_string=TRACE_QUERY,
        )

    def _alarm(
        self,
        id_: str,
        description: str,
        *,
        name: str | None = None,
        service: str = "platform",
        **metric: Any,
    ) -> None:
        alarm = Alarm(
            self,
            f"{id_}-alarm",
            name=name or self._names.of(service, f"{id_}-alarm"),
            description=description,
            topic_arn=self._alerts_topic_arn,
            tags=service_tag(service),
            **metric,
        )
        self._alarm_arns.append(alarm.arn)

    def _function_alarm(self) -> None:
        functions = self._monitored.functions.items()
        first, *others = [name for function, name in functions if function not in WITHOUT_GATEWAY]
        self._alarm(
            "high-error-rate",
            "High error rate detected: see the functions on the dashboard",
            name=f"multitask-high-error-rate-{self._environment.name}",
            namespace="AWS/Lambda",
            metric="Errors",
            dimensions={"FunctionName": first},
            additional_metrics=[Metric("Errors", {"FunctionName": name}) for name in others],
            threshold=HIGH_ERROR_RATE,
        )

    def _api_alarms(self) -> None:
        api = {"ApiName": self._monitored.rest_api_name, "Stage": self._monitored.stage_name}
        self._alarm(
            "rest-errors",
            f"More than {SERVER_ERROR_SHARE:.0%} of REST responses are 5xx:"
            " see the access log and the functions' errors",
            namespace="AWS/ApiGateway",
            metric="5XXError",
            dimensions=api,
            statistic="Average",
            threshold=SERVER_ERROR_SHARE,
        )
        self._alarm(
            "rest-latency",
            f"One REST call in a hundred takes more than {LATENCY_MS / 1000:.0f} s: see the traces",
            namespace="AWS/ApiGateway",
            metric="Latency",
            dimensions=api,
            statistic="p99",
            threshold=LATENCY_MS,
        )

    def _database_alarms(self) -> None:
        rds = self._environment.rds
        cluster = {"DBClusterIdentifier": self._monitored.database_cluster_id}
        common: dict[str, Any] = {
            "service": "catalog",
            "namespace": "AWS/RDS",
            "dimensions": cluster,
        }
        self._alarm(
            "aurora-capacity",
            f"Aurora works at over {ACU_PERCENT} % of its maximum capacity:"
            " tune queries or raise rds.max_capacity",
            metric="ACUUtilization",
            statistic="Average",
            threshold=ACU_PERCENT,
            **common,
        )
        self._alarm(
            "aurora-connections",
            f"Over {CONNECTION_SHARE:.0%} of {rds.connection_limit} connections are open:"
            " lower concurrency or raise rds.max_capacity",
            metric="DatabaseConnections",
            statistic="Maximum",
            threshold=int(rds.connection_limit * CONNECTION_SHARE),
            **common,
        )
        self._alarm(
            "aurora-memory",
            f"Less than {FREE_MEMORY_SHARE:.0%} of Aurora's memory would be free"
            " at its maximum capacity: raise rds.max_capacity",
            metric="FreeableMemory",
            statistic="Minimum",
            threshold=int(rds.max_capacity * MEMORY_PER_ACU * FREE_MEMORY_SHARE),
            comparison="LessThanThreshold",
            **common,
        )

    def _cache_alarms(self) -> None:
        for number, node in enumerate(self._cache_nodes, start=1):
            common: dict[str, Any] = {
                "service": "chat",
                "namespace": "AWS/ElastiCache",
                "dimensions": {"CacheClusterId": node},
            }
            self._alarm(
                f"cache-{number}-cpu",
                f"{node}: the engine is busy over {CACHE_CPU_PERCENT} % of the time;"
                " use a larger node type",
                metric="EngineCPUUtilization",
                statistic="Average",
                threshold=CACHE_CPU_PERCENT,
                **common,
            )
            self._alarm(
                f"cache-{number}-memory",
                f"{node}: over {CACHE_MEMORY_PERCENT} % of its memory is used;"
                " use a larger node type",
                metric="DatabaseMemoryUsagePercentage",
                statistic="Maximum",
                threshold=CACHE_MEMORY_PERCENT,
                **common,
            )
            self._alarm(
                f"cache-{number}-evictions",
                f"{node}: it evicts keys; use a larger node type",
                metric="Evictions",
                threshold=0,
                **common,
            )

    def _event_alarms(self) -> None:
        for rule in self._monitored.rule_names:
            service, _, resource = rule.removesuffix(f"-{self._environment.name}").partition("-")
            self._alarm(
                f"{resource}-failures",
                f"{rule} could not deliver events, and could not keep them either:"
                " see its target's policies",
                service=service,
                namespace="AWS/Events",
                metric="FailedInvocations",
                dimensions={"EventBusName": self._monitored.bus_name, "RuleName": rule},
                threshold=0,
            )

    def _table_alarms(self) -> None:
        for key, table in self._monitored.tables.items():
            service, _, resource = key.partition("-")
            throttled = [
                Metric(event, dimensions)
                for dimensions in _table_and_indexes(table)
                for event in ("ReadThrottleEvents", "WriteThrottleEvents")
            ]
            failed = [
                Metric("SystemErrors", {"TableName": table.name, "Operation": operation})
                for operation in TABLE_OPERATIONS
            ]
            for kind, metrics, description in (
                (
                    "throttles",
                    throttled,
                    "the table or an index refuses requests:"
                    " look for a hot key, or raise its capacity",
                ),
                ("system-errors", failed, "DynamoDB returns system errors: see AWS Health"),
            ):
                first, *others = metrics
                self._alarm(
                    f"{resource}-{kind}",
                    f"{key}: {description}",
                    service=service,
                    namespace="AWS/DynamoDB",
                    metric=first.name,
                    dimensions=first.dimensions,
                    additional_metrics=others,
                    threshold=0,
                )

    def _dashboard(self) -> str:
        monitored = self._monitored
        body = DashboardBody(self._environment.region)
        body.add_alarms("Alarms", self._alarm_arns)
        body.add_section("Functions")
        for service, name in monitored.functions.items():
            body.add_graph(f"{service.capitalize()} Service Metrics", _function_metrics(name))
        body.add_section("APIs")
        self._api_graphs(body)
        body.add_section("Tables")
        for key, table in monitored.tables.items():
            body.add_graph(f"DynamoDB Metrics: {key}", _table_metrics(table), width=8)
        body.add_section("Database and cache")
        self._store_graphs(body)
        body.add_section("Queues and events")
        for kind, name in monitored.queues.items():
            body.add_graph(f"Queue: {kind}", _queue_metrics(name), width=8)
        for rule in monitored.rule_names:
            dimensions = ["EventBusName", monitored.bus_name, "RuleName", rule]
            metrics = ("Invocations", "FailedInvocations", "InvocationsSentToDlq")
            body.add_graph(
                f"Rule: {rule}",
                [["AWS/Events", metric, *dimensions] for metric in metrics],
                width=8,
            )
        body.add_section("Edge")
        for kind, id_ in monitored.distributions.items():
            body.add_graph(f"CloudFront: {kind}", _distribution_metrics(id_), region=GLOBAL_REGION)
        return body.to_json()

    def _api_graphs(self, body: DashboardBody) -> None:
        rest = ["ApiName", self._monitored.rest_api_name, "Stage", self._monitored.stage_name]
        websocket = ["ApiId", self._monitored.websocket_api_id, "Stage", self._monitored.stage_name]
        body.add_graph(
            "REST API: calls",
            [["AWS/ApiGateway", metric, *rest] for metric in ("Count", "4XXError", "5XXError")],
        )
        body.add_graph(
            "REST API: latency",
            [
                ["AWS/ApiGateway", "Latency", *rest, {"stat": stat, "label": f"Latency {stat}"}]
                for stat in ("p50", "p90", "p99")
            ]
            + [
                [
                    "AWS/ApiGateway",
                    "IntegrationLatency",
                    *rest,
                    {"stat": "p99", "label": "IntegrationLatency p99"},
                ]
            ],
        )
        body.add_graph(
            "WebSocket API: traffic",
            [["AWS/ApiGateway", metric, *websocket] for metric in ("ConnectCount", "MessageCount")],
        )
        body.add_graph(
            "WebSocket API: errors",
            [
                ["AWS/ApiGateway", metric, *websocket]
                for metric in ("ClientError", "IntegrationError", "ExecutionError")
            ]
            + [
                [
                    "AWS/ApiGateway",
                    "IntegrationLatency",
                    *websocket,
                    {"stat": "p99", "yAxis": "right"},
                ]
            ],
        )

    def _store_graphs(self, body: DashboardBody) -> None:
        cluster = ["DBClusterIdentifier", self._monitored.database_cluster_id]

        def aurora(metric: str, stat: str = "Average", **options: str) -> GraphMetric:
            return ["AWS/RDS", metric, *cluster, {"stat": stat, **options}]

        body.add_graph(
            "Aurora: capacity",
            [
                aurora("ServerlessDatabaseCapacity"),
                aurora("ACUUtilization", yAxis="right"),
                aurora("CPUUtilization", yAxis="right"),
            ],
        )
        body.add_graph(
            "Aurora: connections and memory",
            [
                aurora("DatabaseConnections", "Maximum"),
                aurora("Deadlocks", "Sum"),
                aurora("FreeableMemory", "Minimum", yAxis="right"),
            ],
        )

        def cache(metric: str, stat: str, **options: str) -> list[GraphMetric]:
            return [
                ["AWS/ElastiCache", metric, "CacheClusterId", node, {"stat": stat, **options}]
                for node in self._cache_nodes
            ]

        body.add_graph(
            "ElastiCache: load",
            [
                *cache("EngineCPUUtilization", "Average"),
                *cache("DatabaseMemoryUsagePercentage", "Maximum"),
            ],
        )
        body.add_graph(
            "ElastiCache: clients",
            [
                *cache("CurrConnections", "Maximum"),
                *cache("Evictions", "Sum"),
                *cache("CacheHitRate", "Average", yAxis="right"),
            ],
        )


def _function_metrics(name: str) -> list[GraphMetric]:
    function = ["FunctionName", name]
    return [
        *(["AWS/Lambda", metric, *function] for metric in ("Invocations", "Errors", "Throttles")),
        ["AWS/Lambda", "ConcurrentExecutions", *function, {"stat": "Maximum"}],
        # Shows the average duration of an invocation. The dashboard in the specification shows the
        # sum of the durations, which grows with the number of invocations.
        [
            "AWS/Lambda",
            "Duration",
            *function,
            {"stat": "Average", "label": "Duration", "yAxis": "right"},
        ],
        [
            "AWS/Lambda",
            "Duration",
            *function,
            {"stat": "p99", "label": "Duration p99", "yAxis": "right"},
        ],
    ]


def _table_and_indexes(table: Table) -> list[dict[str, str]]:
    """Returns the metric dimensions of a table and of each of its indexes."""
    indexes = [arn.rpartition("/")[2] for arn in table.index_arns]
    return [
        {"TableName": table.name},
        *({"TableName": table.name, "GlobalSecondaryIndexName": index} for index in indexes),
    ]


def _table_metrics(table: Table) -> list[GraphMetric]:
    consumed = [
        ["AWS/DynamoDB", f"Consumed{kind}CapacityUnits", "TableName", table.name]
        for kind in ("Read", "Write")
    ]
    throttled = [
        [
            "AWS/DynamoDB",
            f"{kind}ThrottleEvents",
            *(part for dimension in dimensions.items() for part in dimension),
            {"yAxis": "right"},
        ]
        for dimensions in _table_and_indexes(table)
        for kind in ("Read", "Write")
    ]
    return [*consumed, *throttled]


def _queue_metrics(name: str) -> list[GraphMetric]:
    queue = ["QueueName", name]
    return [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", *queue, {"stat": "Maximum"}],
        ["AWS/SQS", "NumberOfMessagesSent", *queue],
        ["AWS/SQS", "NumberOfMessagesDeleted", *queue],
        ["AWS/SQS", "ApproximateAgeOfOldestMessage", *queue, {"stat": "Maximum", "yAxis": "right"}],
    ]


def _distribution_metrics(id_: str) -> list[GraphMetric]:
    distribution = ["DistributionId", id_, "Region", "Global"]
    return [
        ["AWS/CloudFront", "Requests", *distribution],
        *(
            ["AWS/CloudFront", metric, *distribution, {"stat": "Average", "yAxis": "right"}]
            for metric in ("4xxErrorRate", "5xxErrorRate")
        ),
    ]
