"""Charges of CloudWatch alarms, dashboards and logs."""

from __future__ import annotations

from collections.abc import Iterator

from ops.cost.charges.base import Line, Month, charged
from ops.cost.things import Thing

HIGH_RESOLUTION = 60
"""Seconds. Alarms with a shorter period have the high-resolution price."""


@charged("aws_cloudwatch_metric_alarm")
def alarm(thing: Thing, month: Month) -> Iterator[Line]:  # noqa: ARG001 - one price
    """Yields the metrics of the alarm."""
    periods = [
        period
        for period in [*thing.values_at("period"), *thing.values_at("metric_query.metric.period")]
        if period
    ]
    metrics = len(thing.values_at("metric_query.metric")) or 1
    short = any(period < HIGH_RESOLUTION for period in periods)
    yield Line(
        "cloudwatch.alarm_high_resolution" if short else "cloudwatch.alarm", metrics, fixed=True
    )


@charged("aws_cloudwatch_dashboard")
def dashboard(thing: Thing, month: Month) -> Iterator[Line]:  # noqa: ARG001 - one price
    """Yields the dashboard."""
    yield Line("cloudwatch.dashboard", 1, fixed=True)


@charged("aws_cloudwatch_log_group", "ingested_gb", "storage_gb")
def log_group(thing: Thing, month: Month) -> Iterator[Line]:  # noqa: ARG001 - usage only
    """Yields ingested data and storage."""
    yield Line("cloudwatch.logs", month.used["ingested_gb"])
    yield Line("cloudwatch.logs_storage", month.used["storage_gb"])
