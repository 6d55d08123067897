from __future__ import annotations

from typing import Any

import pytest

from modules.base.alarm import Alarm, Metric
from tests.modules.synthesis import Block, synthesize


def _alarm(**changes: Any) -> Block:
    arguments: dict[str, Any] = {
        "name": "errors",
        "description": "see the logs",
        "namespace": "AWS/Lambda",
        "metric": "Errors",
        "dimensions": {"FunctionName": "a"},
        "threshold": 10,
        "topic_arn": "topic",
    }
    return synthesize(
        lambda stack, _env, _names: Alarm(stack, "a", **arguments | changes)
    ).find_only("aws_cloudwatch_metric_alarm")


def test_the_defaults_of_an_alarm_are_as_documented() -> None:
    alarm = _alarm()
    assert (alarm["statistic"], alarm["period"], alarm["evaluation_periods"]) == ("Sum", 300, 2)
    assert (alarm["comparison_operator"], alarm["threshold"]) == ("GreaterThanThreshold", 10)


def test_an_alarm_notifies_the_topic_when_it_starts_and_ends_and_ignores_missing_data() -> None:
    alarm = _alarm()
    assert alarm["alarm_actions"] == alarm["ok_actions"] == ["topic"]
    assert alarm["treat_missing_data"] == "notBreaching"


def test_a_percentile_is_an_extended_statistic() -> None:
    alarm = _alarm(statistic="p99")
    assert alarm["extended_statistic"] == "p99"
    assert "statistic" not in alarm


def test_several_metrics_are_summed() -> None:
    alarm = _alarm(additional_metrics=[Metric("Errors", {"FunctionName": "b"})])
    total, *parts = alarm["metric_query"]
    assert (total["expression"], total["return_data"]) == ("SUM(METRICS())", True)
    assert [part["metric"]["dimensions"] for part in parts] == [
        {"FunctionName": "a"},
        {"FunctionName": "b"},
    ]
    assert all((part["metric"]["stat"], part["metric"]["period"]) == ("Sum", 300) for part in parts)
    # An alarm has either one metric, or the argument metric_query.
    assert not {"metric_name", "namespace", "statistic", "period", "dimensions"} & set(alarm)


def test_more_metrics_than_cloudwatch_can_sum_are_rejected() -> None:
    with pytest.raises(ValueError, match="errors has 11 metrics, but CloudWatch sums at most 10"):
        _alarm(
            additional_metrics=[
                Metric("Errors", {"FunctionName": str(number)}) for number in range(10)
            ]
        )
