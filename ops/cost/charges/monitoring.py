"""Defines the charges of CloudWatch alarms, dashboards and logs."""

from __future__ import annotations

from collections.abc import Iterator

from ops.cost.charges.base import Line, Month, charge_usage, charged
from ops.cost.resources import BillableResource

HIGH_RESOLUTION = 60
"""Seconds. Alarms with a shorter period have the high-resolution price."""
COMPRESSED = 0.15
"""Stored bytes of logs as a share of the received ones, according to AWS's pricing calculator."""
DAYS_PER_MONTH = 365 / 12


@charged("aws_cloudwatch_metric_alarm")
def alarm(resource: BillableResource, _: Month) -> Iterator[Line]:
    """Yields the charge for the metrics of the alarm."""
    periods = [
        period
        for period in [
            *resource.values_at("period"),
            *resource.values_at("metric_query.metric.period"),
        ]
        if period
    ]
    metrics = len(resource.values_at("metric_query.metric")) or 1
    short = any(period < HIGH_RESOLUTION for period in periods)
    yield Line(
        "cloudwatch.alarm_high_resolution" if short else "cloudwatch.alarm", metrics, fixed=True
    )


charge_usage("aws_cloudwatch_dashboard", monthly="cloudwatch.dashboard")


@charged("aws_cloudwatch_log_group", "ingested_gb")
def log_group(resource: BillableResource, month: Month) -> Iterator[Line]:
    """Yields the charges for ingesting a month's logs, and for storing all retained logs.

    If logs are kept forever, the estimate contains only the storage of one month's logs.
    """
    ingested = month.used["ingested_gb"]
    days = float(resource.value("retention_in_days", 0)) or DAYS_PER_MONTH
    yield Line("cloudwatch.logs", ingested)
    yield Line("cloudwatch.logs_storage", ingested * COMPRESSED * days / DAYS_PER_MONTH)
