"""A CloudWatch alarm that tells the alerts topic."""

from __future__ import annotations

from collections.abc import Mapping

from cdktf_cdktf_provider_aws.cloudwatch_metric_alarm import CloudwatchMetricAlarm
from constructs import Construct


class Alarm(Construct):
    """One alarm on one metric, with what the documentation gives as defaults.

    Args:
        name: the alarm's name in AWS.
        description: what is wrong when it fires and where to look.
        namespace, metric, dimensions: the metric.
        topic_arn: where it says so, both when it fires and when it is over.
        statistic: `Sum`, `Average`, `Maximum`, `Minimum`, or a percentile such as `p99`.
        threshold: compared with `comparison`.
        period: seconds; documented 300.
        evaluation_periods: how many periods in a row; documented 2.
        comparison: by default above the threshold.
        tags: beside the provider's default tags.
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
        statistic: str = "Sum",
        period: int = 300,
        evaluation_periods: int = 2,
        comparison: str = "GreaterThanThreshold",
        tags: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(scope, id_)
        percentile = statistic.startswith("p")
        self.alarm = CloudwatchMetricAlarm(
            self,
            "alarm",
            alarm_name=name,
            alarm_description=description,
            namespace=namespace,
            metric_name=metric,
            dimensions=dict(dimensions) if dimensions else None,
            statistic=None if percentile else statistic,
            extended_statistic=statistic if percentile else None,
            period=period,
            evaluation_periods=evaluation_periods,
            threshold=threshold,
            comparison_operator=comparison,
            # No traffic is no trouble: a quiet service has no datapoints.
            treat_missing_data="notBreaching",
            alarm_actions=[topic_arn],
            ok_actions=[topic_arn],
            tags=dict(tags) if tags else None,
        )
