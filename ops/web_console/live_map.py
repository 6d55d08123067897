"""Draws the architecture as a map, and reads the current metrics and alarms that the map shows."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from ops.inspection.queues import peek, read_queues
from ops.root import PROJECT
from ops.terraform.synthesis import synthesize
from ops.upkeep.redrive import SUFFIX
from ops.web_console.separate_process import run_module
from ops.web_console.source import Source

WINDOW = 60
"""Period of the metrics that the map shows, in seconds."""
METRICS = (
    ("functions", "requests", "AWS/Lambda", "FunctionName", "Invocations", "Sum"),
    ("functions", "errors", "AWS/Lambda", "FunctionName", "Errors", "Sum"),
    ("functions", "throttles", "AWS/Lambda", "FunctionName", "Throttles", "Sum"),
    ("functions", "milliseconds", "AWS/Lambda", "FunctionName", "Duration", "Average"),
    ("queues", "age", "AWS/SQS", "QueueName", "ApproximateAgeOfOldestMessage", "Maximum"),
)
"""For each metric of the map: the output with the names of the resources, the key of the value in
the map's data, and CloudWatch's namespace, dimension, metric and statistic.
"""
AGE_INTERVAL = 20.0
"""Minimum seconds between two reads of a dead-letter queue for its oldest message. Each read
increases the receive count of the messages.
"""


class LiveMap:
    """The map of one environment.

    Args:
        clock: Returns seconds since the epoch.
    """

    def __init__(self, source: Source, clock: Callable[[], float] = time.time) -> None:
        self._source, self._clock = source, clock
        self._lock = threading.Lock()
        self._drawn: tuple[float, str, dict[str, str]] | None = None
        self._oldest: dict[str, tuple[float, int | None]] = {}

    def picture(self) -> str:
        """Returns the architecture as SVG. Draws it again after each synthesis."""
        return self._draw()[1]

    def _draw(self) -> tuple[float, str, dict[str, str]]:
        source = self._source
        parent = source.root.cdktf_out if source.is_local else PROJECT / "cdktf.out"
        directory = parent / "stacks" / source.environment
        file = directory / "cdk.tf.json"
        with self._lock:
            if not file.exists():
                variables = {**os.environ, **source.cloud().variables}
                synthesize([source.environment], parent, variables)
            changed = file.stat().st_mtime
            if self._drawn is None or self._drawn[0] != changed:
                queues = msgspec.json.encode(source.outputs()["queues"])
                drawn = run_module("map_picture", source.environment, str(directory), stdin=queues)
                self._drawn = (changed, drawn["svg"], drawn["pages"])
            return self._drawn

    def values(self) -> dict[str, Any]:
        """Returns the current metrics and alarms, and the page that each node of the map opens."""
        metrics = self._metrics()
        return {
            "pages": self._draw()[2],
            "functions": metrics["functions"],
            "queues": self._queues(metrics["queues"]),
            "alarms": self._alarms(),
        }

    def _metrics(self) -> dict[str, dict[str, dict[str, float]]]:
        """Returns the latest values of METRICS by output, resource and the metric's key."""
        outputs = self._source.outputs()
        targets: list[tuple[str, str, str]] = []
        queries = []
        for output, key, namespace, dimension, metric, statistic in METRICS:
            for resource, name in outputs[output].items():
                dimensions = [{"Name": dimension, "Value": name}]
                stat = {
                    "Metric": {
                        "Namespace": namespace,
                        "MetricName": metric,
                        "Dimensions": dimensions,
                    },
                    "Period": WINDOW,
                    "Stat": statistic,
                }
                queries.append({"Id": f"m{len(targets)}", "MetricStat": stat})
                targets.append((output, resource, key))
        now = self._clock()
        response = self._source.client("cloudwatch").get_metric_data(
            MetricDataQueries=queries,
            StartTime=datetime.fromtimestamp(now - 2 * WINDOW, UTC),
            EndTime=datetime.fromtimestamp(now, UTC),
            ScanBy="TimestampDescending",
        )
        result: dict[str, dict[str, dict[str, float]]] = {
            output: {resource: {} for resource in outputs[output]}
            for output in ("functions", "queues")
        }
        for item in response["MetricDataResults"]:
            output, resource, key = targets[int(item["Id"][1:])]
            if item["Values"]:
                result[output][resource][key] = item["Values"][0]
        return result

    def _queues(self, metrics: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, Any]]:
        names = self._source.outputs()["queues"]
        result = {}
        for state in read_queues(self._source.cloud(), names):
            age = metrics[state.queue].get("age")
            result[state.queue] = {
                "visible": state.visible,
                "inFlight": state.in_flight,
                "oldest": int((self._clock() - age) * 1000)
                if age
                else self._oldest_message(state.queue, state.visible),
            }
        return result

    def _oldest_message(self, queue: str, visible: int) -> int | None:
        """Returns when the oldest message of a dead-letter queue was sent, in milliseconds since
        the epoch.

        For other queues, returns None without reading their messages, because SQS would move the
        messages to the dead-letter queue after several receives.
        """
        if not visible or SUFFIX not in queue:
            self._oldest.pop(queue, None)
            return None
        checked, oldest = self._oldest.get(queue, (0.0, None))
        if self._clock() - checked > AGE_INTERVAL:
            messages = peek(self._source.cloud(), queue)
            oldest = min((message.sent for message in messages), default=None)
            self._oldest[queue] = (self._clock(), oldest)
        return oldest

    def _alarms(self) -> list[dict[str, str]]:
        response = self._source.client("cloudwatch").describe_alarms(StateValue="ALARM")
        return [
            {"name": alarm["AlarmName"], "reason": alarm.get("StateReason", "")}
            for alarm in response["MetricAlarms"]
        ]
