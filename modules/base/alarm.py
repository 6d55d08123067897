"""A CloudWatch alarm that notifies the alerts topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cdktf_cdktf_provider_aws.cloudwatch_metric_alarm import (
    CloudwatchMetricAlarm,
    CloudwatchMetricAlarmMetricQuery,
    CloudwatchMetricAlarmMetricQueryMetric,
)
from constructs import Construct

MAX_METRICS = 10
"""The maximum number of metrics in one alarm (CloudWatch, alarms based on metric math)."""


@dataclass(frozen=True)
class Metric:
    """A metric in the namespace of an alarm."""

    name: str
    dimensions: Mapping[str, str] = field(default_factory=dict)


class Alarm(CloudwatchMetricAlarm):
    """An alarm on one metric or on the sum of several, with the specification's defaults.

    Args:
        name: The alarm's name in AWS.
        description: The problem that the alarm reports, and where to look.
        namespace, metric, dimensions: The metric to evaluate.
        additional_metrics: More metrics of the namespace. The alarm then evaluates the sum of all
            metrics.
        topic_arn: The topic to notify when the alarm fires and when it ends.
        statistic: `Sum`, `Average`, `Maximum`, `Minimum`, or a percentile such as `p99`.
        threshold: The value to compare with.
        period: The length of a period in seconds. The specification requires 300.
        evaluation_periods: The number of consecutive periods. The specification requires 2.
        comparison: CloudWatch's comparison operator. The default is `GreaterThanThreshold`.
        tags: Tags in addition to the provider's default tags.

    Raises:
        ValueError: The alarm has more than ten metrics.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        name: str,
        description: str,
        namespace: str,
        metric: str,
        topic_arn: str,
        threshold: float,
        dimensions: Mapping[str, str] | None = None,
        additional_metrics: Sequence[Metric] = (),
        statistic: str = "Sum",
        period: int = 300,
        evaluation_periods: int = 2,
        comparison: str = "GreaterThanThreshold",
        tags: Mapping[str, str] | None = None,
    ) -> None:
        metrics = [Metric(metric, dimensions or {}), *additional_metrics]
        if len(metrics) > MAX_METRICS:
            raise ValueError(
                f"The alarm {name} has {len(metrics)} metrics, but CloudWatch sums at most"
                f" {MAX_METRICS}: split the alarm"
            )
        single = not additional_metrics
        percentile = statistic.startswith("p")
        super().__init__(
            scope,
            id_,
            alarm_name=name,
            alarm_description=description,
            namespace=namespace if single else None,
            metric_name=metric if single else None,
            dimensions=dict(dimensions) if single and dimensions else None,
            statistic=statistic if single and not percentile else None,
            extended_statistic=statistic if single and percentile else None,
            period=period if single else None,
            metric_query=None if single else _sum_of(namespace, metrics, statistic, period),
            evaluation_periods=evaluation_periods,
            threshold=threshold,
            comparison_operator=comparison,
            # A service without traffic has no datapoints, which is not a problem.
            treat_missing_data="notBreaching",
            alarm_actions=[topic_arn],
            ok_actions=[topic_arn],
            tags=dict(tags) if tags else None,
        )


def _sum_of(
    namespace: str, metrics: Sequence[Metric], statistic: str, period: int
) -> list[CloudwatchMetricAlarmMetricQuery]:
    total = CloudwatchMetricAlarmMetricQuery(
        id="total", expression="SUM(METRICS())", label="Total", return_data=True
    )
    return [total] + [
        CloudwatchMetricAlarmMetricQuery(
            id=f"m{number}",
            metric=CloudwatchMetricAlarmMetricQueryMetric(
                namespace=namespace,
                metric_name=metric.name,
                dimensions=dict(metric.dimensions),
                period=period,
                stat=statistic,
            ),
        )
        for number, metric in enumerate(metrics, start=1)
    ]
