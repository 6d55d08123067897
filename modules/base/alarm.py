"""A CloudWatch alarm that tells the alerts topic."""

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
"""The most metrics one alarm may add up (CloudWatch, alarms based on metric math)."""


@dataclass(frozen=True)
class Metric:
    """A metric of an alarm's namespace."""

    name: str
    dimensions: Mapping[str, str] = field(default_factory=dict)


class Alarm(CloudwatchMetricAlarm):
    """One alarm on one metric or on the sum of several, with what the documentation gives as defaults.

    Args:
        name: the alarm's name in AWS.
        description: what is wrong when it fires and where to look.
        namespace, metric, dimensions: the metric.
        plus: further metrics of the namespace; the alarm is then on the sum of them all.
        topic_arn: where it says so, both when it fires and when it is over.
        statistic: `Sum`, `Average`, `Maximum`, `Minimum`, or a percentile such as `p99`.
        threshold: compared with `comparison`.
        period: seconds; documented 300.
        evaluation_periods: how many periods in a row; documented 2.
        comparison: by default above the threshold.
        tags: beside the provider's default tags.

    Raises:
        ValueError: more metrics than CloudWatch adds up in one alarm.
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
        plus: Sequence[Metric] = (),
        statistic: str = "Sum",
        period: int = 300,
        evaluation_periods: int = 2,
        comparison: str = "GreaterThanThreshold",
        tags: Mapping[str, str] | None = None,
    ) -> None:
        metrics = [Metric(metric, dimensions or {}), *plus]
        if len(metrics) > MAX_METRICS:
            raise ValueError(
                f"{name}: {len(metrics)} metrics; CloudWatch adds up at most {MAX_METRICS} in one alarm, make several"
            )
        single = not plus
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
            # No traffic is no trouble: a quiet service has no datapoints.
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
