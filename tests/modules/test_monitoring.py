"""Tests the dashboard, and the alarms on shared resources."""

from __future__ import annotations

import json
from typing import Any

import pytest

from environments import Environment
from modules.base.table import Table
from modules.monitoring import MonitoredResources, Monitoring
from tests.modules.synthesis import Block, Synthesized, environment, synthesize

FUNCTIONS = (
    "auth",
    "profile",
    "chat",
    "post",
    "catalog",
    "ai",
    "authorizer",
    "health",
    "migration",
    "relay",
    "statistics",
)
MONITORED = MonitoredResources(
    functions={function: f"{function}-lambda" for function in FUNCTIONS},
    tables={
        "auth-sessions": Table("sessions", "sessions", "arn", ["arn/index/user-id-index"]),
        "profile-profiles": Table("profiles", "profiles", "arn", []),
    },
    rest_api_name="api",
    websocket_api_id="ws",
    stage_name="dev",
    queues={"profile-events": "events-queue", "profile-events-dlq": "events-dlq"},
    bus_name="bus",
    rule_names=["profile-events-rule-dev"],
    database_cluster_id="aurora",
    cache_replication_group_id="cache",
    distributions={"site": "E1", "media": "E2"},
)


def _monitoring(env: Environment) -> Synthesized:
    return synthesize(
        lambda stack, _env, names: Monitoring(
            stack, "m", names=names, monitored=MONITORED, alerts_topic_arn="topic"
        ),
        env,
    )


@pytest.fixture(scope="module")
def dev() -> Synthesized:
    return _monitoring(environment("dev"))


@pytest.fixture(scope="module")
def prod() -> Synthesized:
    return _monitoring(environment("prod"))


def _alarm(result: Synthesized, name: str) -> Block:
    return result.find_only("aws_cloudwatch_metric_alarm", alarm_name=name)


def _widgets(result: Synthesized) -> list[dict[str, Any]]:
    return list(
        json.loads(result.find_only("aws_cloudwatch_dashboard")["dashboard_body"])["widgets"]
    )


def _graph(result: Synthesized, title: str) -> dict[str, Any]:
    [properties] = [
        item["properties"] for item in _widgets(result) if item["properties"].get("title") == title
    ]
    return dict(properties)


def _series(result: Synthesized, title: str) -> set[tuple[str, ...]]:
    return {
        tuple(part for part in row if isinstance(part, str))
        for row in _graph(result, title)["metrics"]
    }


def test_the_documented_alarm_sums_the_errors_of_functions_behind_the_apis(
    dev: Synthesized,
) -> None:
    alarm = _alarm(dev, "multitask-high-error-rate-dev")
    assert (alarm["threshold"], alarm["evaluation_periods"], alarm["comparison_operator"]) == (
        10,
        2,
        "GreaterThanThreshold",
    )
    assert alarm["alarm_actions"] == ["topic"]
    total, *parts = alarm["metric_query"]
    assert total["expression"] == "SUM(METRICS())"
    assert {part["metric"]["dimensions"]["FunctionName"] for part in parts} == {
        name
        for function, name in MONITORED.functions.items()
        if function not in {"migration", "relay", "statistics"}
    }
    for part in parts:
        metric = part["metric"]
        assert (metric["namespace"], metric["metric_name"], metric["stat"], metric["period"]) == (
            "AWS/Lambda",
            "Errors",
            "Sum",
            300,
        )


def test_each_service_has_the_documented_graph(dev: Synthesized) -> None:
    assert dev.find_only("aws_cloudwatch_dashboard")["dashboard_name"] == "multitask-platform-dev"
    for function in FUNCTIONS:
        title = f"{function.capitalize()} Service Metrics"
        assert {
            ("AWS/Lambda", metric, "FunctionName", f"{function}-lambda")
            for metric in ("Invocations", "Errors", "Duration", "Throttles", "ConcurrentExecutions")
        } <= _series(dev, title)
        graph = _graph(dev, title)
        assert (graph["period"], graph["stat"], graph["region"]) == (300, "Sum", "us-east-1")


def test_each_table_has_the_documented_graph_including_throttles_of_its_indexes(
    dev: Synthesized,
) -> None:
    series = _series(dev, "DynamoDB Metrics: auth-sessions")
    table = ("TableName", "sessions")
    assert ("AWS/DynamoDB", "ConsumedReadCapacityUnits", *table) in series
    assert ("AWS/DynamoDB", "ConsumedWriteCapacityUnits", *table) in series
    assert (
        "AWS/DynamoDB",
        "WriteThrottleEvents",
        *table,
        "GlobalSecondaryIndexName",
        "user-id-index",
    ) in series


def test_the_dashboard_shows_all_shared_resources(dev: Synthesized) -> None:
    body = json.dumps(_widgets(dev))
    for needle in (
        '"ApiName", "api"',
        '"ApiId", "ws"',
        '"events-queue"',
        '"events-dlq"',
        '"aurora"',
        '"cache-001"',
        '"E1"',
        '"E2"',
    ):
        assert needle in body
    assert _graph(dev, "CloudFront: site")["region"] == "us-east-1"
    headings = [item["properties"]["markdown"] for item in _widgets(dev) if item["type"] == "text"]
    assert headings == [
        "## Functions",
        "## APIs",
        "## Tables",
        "## Database and cache",
        "## Queues and events",
        "## Edge",
    ]


def test_widgets_do_not_overlap_and_respect_cloudwatchs_limits(prod: Synthesized) -> None:
    occupied: set[tuple[int, int]] = set()
    widgets = _widgets(prod)
    assert len(widgets) <= 500
    for item in widgets:
        cells = {
            (x, y)
            for x in range(item["x"], item["x"] + item["width"])
            for y in range(item["y"], item["y"] + item["height"])
        }
        assert not cells & occupied
        assert max(x for x, _ in cells) < 24
        occupied |= cells


def test_the_rest_api_has_alarms_on_errors_and_latency(dev: Synthesized) -> None:
    errors = _alarm(dev, "platform-rest-errors-alarm-dev")
    assert errors["dimensions"] == {"ApiName": "api", "Stage": "dev"}
    # The average of 5XXError is the part of responses that are 5xx.
    assert (errors["metric_name"], errors["statistic"], errors["threshold"]) == (
        "5XXError",
        "Average",
        0.05,
    )
    assert _alarm(dev, "platform-rest-latency-alarm-dev")["extended_statistic"] == "p99"


def test_the_thresholds_of_auroras_alarms_depend_on_its_capacity(
    dev: Synthesized, prod: Synthesized
) -> None:
    assert _alarm(dev, "catalog-aurora-connections-alarm-dev")["threshold"] == int(189 * 0.8)
    assert _alarm(prod, "catalog-aurora-connections-alarm-prod")["threshold"] == int(189 * 16 * 0.8)
    memory = _alarm(prod, "catalog-aurora-memory-alarm-prod")
    assert (memory["comparison_operator"], memory["threshold"]) == (
        "LessThanThreshold",
        int(32 * 1024**3 * 0.05),
    )
    assert _alarm(dev, "catalog-aurora-capacity-alarm-dev")["metric_name"] == "ACUUtilization"


def test_every_cache_node_has_alarms(dev: Synthesized, prod: Synthesized) -> None:
    def nodes(result: Synthesized) -> list[str]:
        alarms = result.all("aws_cloudwatch_metric_alarm")
        return [
            item["dimensions"]["CacheClusterId"]
            for item in alarms
            if item.get("metric_name") == "Evictions"
        ]

    assert nodes(dev) == ["cache-001"]
    assert nodes(prod) == ["cache-001", "cache-002"]


def test_a_failing_eventbridge_rule_raises_an_alarm(dev: Synthesized) -> None:
    alarm = _alarm(dev, "profile-events-rule-failures-alarm-dev")
    assert alarm["dimensions"] == {"EventBusName": "bus", "RuleName": "profile-events-rule-dev"}
    assert alarm["threshold"] == 0


def test_tables_have_alarms_only_if_detailed_metrics_are_enabled(
    dev: Synthesized, prod: Synthesized
) -> None:
    assert not any(
        "sessions" in item["alarm_name"] for item in dev.all("aws_cloudwatch_metric_alarm")
    )
    throttles = _alarm(prod, "auth-sessions-throttles-alarm-prod")["metric_query"][1:]
    assert [
        (
            item["metric"]["metric_name"],
            item["metric"]["dimensions"].get("GlobalSecondaryIndexName"),
        )
        for item in throttles
    ] == [
        ("ReadThrottleEvents", None),
        ("WriteThrottleEvents", None),
        ("ReadThrottleEvents", "user-id-index"),
        ("WriteThrottleEvents", "user-id-index"),
    ]
    errors = _alarm(prod, "profile-profiles-system-errors-alarm-prod")["metric_query"][1:]
    assert {item["metric"]["dimensions"]["Operation"] for item in errors} >= {
        "GetItem",
        "PutItem",
        "Query",
    }


def test_every_alarm_is_on_the_dashboard(prod: Synthesized) -> None:
    [widget] = [item for item in _widgets(prod) if item["type"] == "alarm"]
    alarms = prod.all("aws_cloudwatch_metric_alarm")
    assert len(widget["properties"]["alarms"]) == len(alarms) <= 100


def test_the_saved_query_searches_the_logs_of_all_functions_for_a_request(dev: Synthesized) -> None:
    query = dev.find_only("aws_cloudwatch_query_definition")
    assert query["log_group_names"] == [f"/aws/lambda/{function}-lambda" for function in FUNCTIONS]
    assert "filter correlation_id =" in query["query_string"]


def test_the_dashboard_is_deterministic(dev: Synthesized) -> None:
    second = _monitoring(environment("dev"))
    assert second.find_only("aws_cloudwatch_dashboard") == dev.find_only("aws_cloudwatch_dashboard")
