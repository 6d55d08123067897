"""Publishes the start and the result of each deployment to the environment's alerts topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from ops.cloud import Cloud
from ops.console import report

SUBJECT_LENGTH = 100
"""Maximum characters of an SNS subject, which must be ASCII."""

State = Literal["started", "succeeded", "failed", "rolled back"]


@dataclass(frozen=True)
class News:
    """The content of a notification."""

    subject: str
    """The text before the state: `deploy`, `removal`, a release such as `release auth`, or what was
    rolled back (a service or `all`).
    """
    lines: Sequence[str] = field(default_factory=tuple)
    """Further lines, such as versions, the plan's counts or the reason of a failure."""


class Notifier:
    """Publishes to one environment's alerts topic. If that fails, only prints the error.

    Args:
        topic: The topic's ARN, or None if the environment has no topic yet.
    """

    def __init__(self, cloud: Cloud, topic: str | None, operator: str) -> None:
        self._client: Any = cloud.client("sns") if topic else None
        self._topic = topic
        self._environment = cloud.environment.name
        self._operator = operator

    def publish(self, state: State, news: News) -> None:
        """Publishes one notification. Only prints an error if that fails."""
        if self._client is None:
            return
        subject = f"{self._environment}: {news.subject} {state}"
        body = [subject, f"by {self._operator}", *news.lines]
        try:
            self._client.publish(
                TopicArn=self._topic,
                Subject=subject.encode("ascii", "replace").decode()[:SUBJECT_LENGTH],
                Message="\n".join(body),
                MessageAttributes={"state": {"DataType": "String", "StringValue": state}},
            )
        except (ClientError, BotoCoreError) as error:
            report(f"Cannot publish to the alerts topic: {error}")


def topic_of(outputs: Mapping[str, Any]) -> str | None:
    """Returns the alerts topic's ARN from a stack's outputs."""
    arn: str | None = outputs.get("alerts_topic_arn")
    return arn
