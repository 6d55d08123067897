"""Charges of EventBridge, SNS and SQS."""

from __future__ import annotations

from collections.abc import Iterator

from ops.cost.charges.base import Line, Month, UnpricedError, charged
from ops.cost.things import Thing


@charged("aws_cloudwatch_event_bus", "events")
def bus(thing: Thing, month: Month) -> Iterator[Line]:  # noqa: ARG001 - one price
    """Yields published events."""
    yield Line("eventbridge.events", month.used["events"])


@charged("aws_cloudwatch_event_archive", "archived_gb", "storage_gb")
def archive(thing: Thing, month: Month) -> Iterator[Line]:  # noqa: ARG001 - usage only
    """Yields archived data and archive storage."""
    yield Line("eventbridge.archive", month.used["archived_gb"])
    yield Line("eventbridge.archive_storage", month.used["storage_gb"])


@charged("aws_sns_topic", "requests")
def topic(thing: Thing, month: Month) -> Iterator[Line]:
    """Yields publish requests. Deliveries to queues and functions are free."""
    if thing.value("fifo_topic"):
        raise UnpricedError("FIFO topic")
    yield Line("sns.requests", month.used["requests"])


@charged("aws_sqs_queue", "requests")
def queue(thing: Thing, month: Month) -> Iterator[Line]:
    """Yields send, receive and delete requests, including empty receives."""
    yield Line(
        "sqs.fifo_requests" if thing.value("fifo_queue") else "sqs.requests", month.used["requests"]
    )
