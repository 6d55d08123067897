"""Tells the environment's alerts topic what is being deployed, by whom, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from ops.cloud import Cloud
from ops.console import say

SUBJECT_LENGTH = 100
"""Characters of an SNS subject at most; ASCII."""

State = Literal["started", "succeeded", "failed", "rolled back"]


@dataclass(frozen=True)
class News:
    """What is told."""

    what: str
    """The command's verb and what it is about: `release auth`."""
    lines: Sequence[str] = field(default_factory=tuple)
    """Further lines: versions, the plan's counts, the reason."""


class Notifier:
    """Publishes to one environment's alerts topic. A message that cannot be sent is said, and stops nothing.

    Args:
        topic: the topic's ARN; None: there is none yet.
    """

    def __init__(self, cloud: Cloud, topic: str | None, who: str) -> None:
        self._client: Any = cloud.client("sns") if topic else None
        self._topic = topic
        self._environment = cloud.environment.name
        self._who = who

    def tell(self, state: State, news: News) -> None:
        """Sends one message."""
        if self._client is None:
            return
        subject = f"{self._environment}: {news.what} {state}"
        body = [subject, f"by {self._who}", *news.lines]
        try:
            self._client.publish(
                TopicArn=self._topic,
                Subject=subject.encode("ascii", "replace").decode()[:SUBJECT_LENGTH],
                Message="\n".join(body),
                MessageAttributes={"state": {"DataType": "String", "StringValue": state}},
            )
        except (ClientError, BotoCoreError) as error:
            say(f"The alerts topic could not be told: {error}")


def topic_of(outputs: Mapping[str, Any]) -> str | None:
    """The alerts topic's ARN, from a stack's outputs."""
    found: str | None = outputs.get("alerts_topic_arn")
    return found
