"""Monitors new versions during the bake period: errors, 5xx responses, latency and alarms."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from environments.resource_names import ALIAS, resource_name
from ops.cloud import Cloud

INTERVAL = 10.0
"""Seconds between two checks."""
BASELINE = 3600.0
"""Seconds before the release. The latency of the old version is measured during this period."""
ERROR_RATE = 0.01
"""Maximum fraction of failed invocations.

With fewer than 100 invocations, a single failure exceeds it.
"""
MAXIMUM_P99_RATIO = 2.0
"""Maximum ratio of a new version's p99 latency to that of the old version."""
MINIMUM_SLOW_P99 = 2000.0
"""Milliseconds. A p99 latency below this limit never counts as too slow. The first requests are
slow because they open connections."""
METRIC_PERIOD = 60
"""Seconds of one data point of Lambda's metrics."""
FAILURES = "{ $.status >= 500 }"
"""CloudWatch Logs filter for log lines of requests that returned a server error."""
ALARMS = ("errors-alarm", "throttles-alarm", "duration-alarm")
"""The alarms of each function: the middle part of names such as `auth-errors-alarm-prod`."""


@dataclass(frozen=True)
class NewVersion:
    """A new version in its bake period."""

    service: str
    function: str
    log_group: str
    version: str
    old: str
    """The version that the new version replaces."""


@dataclass(frozen=True)
class Figures:
    """A version's CloudWatch metrics since the start of the bake period."""

    invocations: float
    errors: float
    failures: float
    """Responses with a 5xx status, which Lambda does not count as errors."""
    p99: float
    """p99 latency in milliseconds. 0 if there were no requests yet."""


class Bake:
    """One bake period.

    Args:
        cloud: The environment's AWS connection.
        versions: The new versions.
        clock: Returns seconds since the epoch.
    """

    def __init__(
        self, cloud: Cloud, versions: Sequence[NewVersion], clock: Callable[[], float] = time.time
    ) -> None:
        self._metrics = cloud.client("cloudwatch")
        self._logs = cloud.client("logs")
        self._environment = cloud.environment.name
        self._by_version = cloud.environment.capabilities.version_metrics
        self._versions = versions
        self._clock = clock
        self._begun = clock()
        self._alarms = self._firing()
        self._before = {item.service: self._p99_before(item) for item in versions}

    def problems(self) -> list[str]:
        """Returns a text for each problem of the new versions since the bake period began."""
        problems = []
        for item in self._versions:
            figures = self._figures(item)
            problems += judge(item.service, figures, self._before[item.service])
        new_alarms = sorted(self._firing() - self._alarms)
        return problems + [f"alarm {name} is in state ALARM" for name in new_alarms]

    def _figures(self, item: NewVersion) -> Figures:
        dimensions = {"FunctionName": item.function}
        if self._by_version:
            dimensions |= {"Resource": f"{item.function}:{ALIAS}", "ExecutedVersion": item.version}
        values = self._read(dimensions, self._begun, self._clock())
        return Figures(
            values["Invocations"], values["Errors"], self._failures(item), values["Duration"]
        )

    def _p99_before(self, item: NewVersion) -> float:
        dimensions = {"FunctionName": item.function}
        if self._by_version:
            dimensions["Resource"] = f"{item.function}:{ALIAS}"
        # The limit is based on the median of all minutes. If it were based on the maximum, one slow
        # minute would raise it.
        start = self._begun - BASELINE
        return self._read(dimensions, start, self._begun, combine_p99=median)["Duration"]

    def _read(
        self,
        dimensions: Mapping[str, str],
        start: float,
        end: float,
        combine_p99: Callable[[Sequence[float]], float] = max,
    ) -> dict[str, float]:
        """Returns the invocations, errors and p99 duration of a function or version in a period.

        Args:
            combine_p99: Computes the p99 of the period from the p99 of each minute.
        """
        statistics = {"Invocations": "Sum", "Errors": "Sum", "Duration": "p99"}
        queries = [
            {
                "Id": name.lower(),
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/Lambda",
                        "MetricName": name,
                        "Dimensions": [
                            {"Name": key, "Value": value} for key, value in dimensions.items()
                        ],
                    },
                    "Period": METRIC_PERIOD,
                    "Stat": statistic,
                },
            }
            for name, statistic in statistics.items()
        ]
        response = self._metrics.get_metric_data(
            MetricDataQueries=queries,
            StartTime=_instant(start),
            EndTime=_instant(end + METRIC_PERIOD),
        )
        values = {item["Id"]: item["Values"] for item in response["MetricDataResults"]}
        return {
            name: float(
                (combine_p99 if statistic == "p99" else sum)(values.get(name.lower()) or [0.0])
            )
            for name, statistic in statistics.items()
        }

    def _failures(self, item: NewVersion) -> int:
        """Returns the number of 5xx responses in the version's log streams.

        The names of the streams contain the number of the version.
        """
        days = {f"{_instant(time):%Y/%m/%d}" for time in (self._begun, self._clock())}
        # A stream's name starts with the day. The function's name follows only if the function's
        # configuration sets a log group, so both forms are searched (Lambda developer guide,
        # "Configuring CloudWatch log groups").
        return sum(
            self._failures_in(item, f"{day}/{function}[{item.version}]")
            for day in sorted(days)
            for function in ("", item.function)
        )

    def _failures_in(self, item: NewVersion, prefix: str) -> int:
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=item.log_group,
            logStreamNamePrefix=prefix,
            startTime=int(self._begun * 1000),
            filterPattern=FAILURES,
        )
        # The embedded AWS may ignore the prefix and the pattern, so the result is filtered again.
        return sum(
            event["logStreamName"].startswith(prefix) and _is_failure(event["message"])
            for page in pages
            for event in page["events"]
        )

    def _firing(self) -> set[str]:
        names = [
            resource_name(item.service, kind, self._environment)
            for item in self._versions
            for kind in ALARMS
        ]
        firing: set[str] = set()
        for start in range(0, len(names), 100):  # DescribeAlarms accepts at most 100 names
            response = self._metrics.describe_alarms(
                AlarmNames=names[start : start + 100], StateValue="ALARM"
            )
            firing |= {alarm["AlarmName"] for alarm in response["MetricAlarms"]}
        return firing


def judge(service: str, figures: Figures, before: float) -> list[str]:
    """Returns the problems that a version's figures show.

    Args:
        before: The old version's p99 in milliseconds. If it is 0 (unknown), only MINIMUM_SLOW_P99
            applies.
    """
    problems = []
    bad = figures.errors + figures.failures
    if bad and bad > ERROR_RATE * max(figures.invocations, 1):
        kinds = [(figures.errors, "failed invocations"), (figures.failures, "5xx responses")]
        counts = " and ".join(f"{count:.0f} {kind}" for count, kind in kinds if count)
        problems.append(f"{service} has {counts} in {figures.invocations:.0f} invocations")
    limit = max(MAXIMUM_P99_RATIO * before, MINIMUM_SLOW_P99)
    if figures.p99 > limit:
        problems.append(
            f"{service} is slow: its p99 is {figures.p99:.0f} ms, the old version's is"
            f" {before:.0f} ms (limit {limit:.0f} ms)"
        )
    return problems


def _is_failure(message: str) -> bool:
    try:
        status = json.loads(message).get("status")
    except (json.JSONDecodeError, AttributeError):
        return False
    return isinstance(status, int) and status >= 500


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
