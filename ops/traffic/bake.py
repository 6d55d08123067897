"""Watches new versions while they get some of the traffic: their errors, their answers, how slow they are, and their alarms."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from ops.cloud import Cloud
from ops.functions.versions import ALIAS

INTERVAL = 10.0
"""Seconds between looks."""
BASELINE = 3600.0
"""Seconds before the release that the old version's latency is taken from."""
ERROR_SHARE = 0.01
"""The share of invocations that may fail; the first failure of a quiet function is above it."""
SLOWER = 2.0
"""A new version is slow when its p99 is more than this many times the old one's ..."""
SLOW_FLOOR = 2000.0
"""... and above this many milliseconds, which a version's first requests may take: they connect and fill caches."""
METRIC_PERIOD = 60
"""Seconds: the finest that Lambda publishes."""
FAILURES = "{ $.status >= 500 }"
"""Log lines of requests that a handler answered with a server error."""
ALARMS = ("errors-alarm", "throttles-alarm", "duration-alarm")
"""Each function's, as the stack names them: `<service>-errors-alarm-<environment>`."""


@dataclass(frozen=True)
class Watched:
    """A version under watch."""

    service: str
    function: str
    version: str
    old: str
    """The version it is to take the place of."""


@dataclass(frozen=True)
class Figures:
    """What CloudWatch has of a version since the bake began."""

    invocations: float
    errors: float
    failures: float
    """Answers of 5xx, which handlers give instead of failing."""
    p99: float
    """Milliseconds; 0: no request yet."""


class Bake:
    """One bake.

    Args:
        cloud: the environment's.
        watched: the versions.
        clock: seconds since the epoch.
    """

    def __init__(
        self, cloud: Cloud, watched: Sequence[Watched], clock: Callable[[], float] = time.time
    ) -> None:
        self._metrics = cloud.client("cloudwatch")
        self._logs = cloud.client("logs")
        self._environment = cloud.environment.name
        self._by_version = cloud.environment.capabilities.version_metrics
        self._watched = watched
        self._clock = clock
        self._begun = clock()
        self._alarms = self._firing()
        self._before = {item.service: self._p99_before(item) for item in watched}

    def problems(self) -> list[str]:
        """What speaks against the new versions by now, in words; empty: nothing."""
        found = []
        for item in self._watched:
            figures = self._figures(item)
            found += judge(item.service, figures, self._before[item.service])
        found += [f"alarm {name} fires" for name in sorted(self._firing() - self._alarms)]
        return found

    def _figures(self, item: Watched) -> Figures:
        dimensions = {"FunctionName": item.function}
        if self._by_version:
            dimensions |= {"Resource": f"{item.function}:{ALIAS}", "ExecutedVersion": item.version}
        found = self._read(dimensions, self._begun, self._clock())
        return Figures(
            found["Invocations"], found["Errors"], self._failures(item), found["Duration"]
        )

    def _p99_before(self, item: Watched) -> float:
        dimensions = {"FunctionName": item.function}
        if self._by_version:
            dimensions["Resource"] = f"{item.function}:{ALIAS}"
        # The usual minute's: one bad minute must not make every slowness look usual.
        return self._read(dimensions, self._begun - BASELINE, self._begun, usual=median)["Duration"]

    def _read(
        self,
        dimensions: Mapping[str, str],
        start: float,
        end: float,
        usual: Callable[[Sequence[float]], float] = max,
    ) -> dict[str, float]:
        """Lambda's metrics between two instants: sums, and of the minutes' p99s the worst, or what `usual` makes of them."""
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
        reply = self._metrics.get_metric_data(
            MetricDataQueries=queries,
            StartTime=_instant(start),
            EndTime=_instant(end + METRIC_PERIOD),
        )
        values = {item["Id"]: item["Values"] for item in reply["MetricDataResults"]}
        return {
            name: float((usual if statistic == "p99" else sum)(values.get(name.lower()) or [0.0]))
            for name, statistic in statistics.items()
        }

    def _failures(self, item: Watched) -> int:
        """How many answers of 5xx the version's log tells of; its log streams carry its number."""
        group = f"/aws/lambda/{item.function}"
        count = 0
        start = int(self._begun * 1000)
        for day in sorted({_day(self._begun), _day(self._clock())}):
            prefix = f"{day}/[{item.version}]"
            pages = self._logs.get_paginator("filter_log_events").paginate(
                logGroupName=group,
                logStreamNamePrefix=prefix,
                startTime=start,
                filterPattern=FAILURES,
            )
            # An emulated AWS may know neither prefixes nor patterns of JSON, so what came is looked at again.
            found = [event for page in pages for event in page["events"]]
            count += sum(
                event["logStreamName"].startswith(prefix) and _is_failure(event["message"])
                for event in found
            )
        return count

    def _firing(self) -> set[str]:
        names = [
            f"{item.service}-{kind}-{self._environment}"
            for item in self._watched
            for kind in ALARMS
        ]
        firing: set[str] = set()
        for start in range(0, len(names), 100):  # DescribeAlarms takes 100 names
            reply = self._metrics.describe_alarms(
                AlarmNames=names[start : start + 100], StateValue="ALARM"
            )
            firing |= {alarm["AlarmName"] for alarm in reply["MetricAlarms"]}
        return firing


def judge(service: str, figures: Figures, before: float) -> list[str]:
    """What a version's figures say against it.

    Args:
        before: the old version's p99 in milliseconds; 0: it is not known, and only the floor counts.
    """
    found = []
    bad = figures.errors + figures.failures
    if bad and bad > ERROR_SHARE * max(figures.invocations, 1):
        kinds = [(figures.errors, "failed invocations"), (figures.failures, "answers of 5xx")]
        told = " and ".join(f"{count:.0f} {kind}" for count, kind in kinds if count)
        found.append(f"{service} has {told} of {figures.invocations:.0f}")
    limit = max(SLOWER * before, SLOW_FLOOR)
    if figures.p99 > limit:
        found.append(
            f"{service} is slow: p99 {figures.p99:.0f} ms, before {before:.0f} ms (limit {limit:.0f} ms)"
        )
    return found


def _is_failure(message: str) -> bool:
    try:
        status = json.loads(message).get("status")
    except (json.JSONDecodeError, AttributeError):
        return False
    return isinstance(status, int) and status >= 500


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _day(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y/%m/%d")
