"""Defines the charges of EventBridge, SNS and SQS."""

from __future__ import annotations

from collections.abc import Iterator

from ops.cost.charges.base import Line, Month, UnpricedError, charge_usage, charged
from ops.cost.resources import BillableResource


@charged("aws_sns_topic", "requests")
def topic(resource: BillableResource, month: Month) -> Iterator[Line]:
    """Yields the charge for publish requests. Deliveries to queues and functions are free."""
    if resource.value("fifo_topic"):
        raise UnpricedError("no price for FIFO topics")
    yield Line("sns.requests", month.used["requests"])


@charged("aws_sqs_queue", "requests")
def queue(resource: BillableResource, month: Month) -> Iterator[Line]:
    """Yields the charge for send, receive and delete requests, including empty receives."""
    yield Line(
        "sqs.fifo_requests" if resource.value("fifo_queue") else "sqs.requests",
        month.used["requests"],
    )


charge_usage("aws_cloudwatch_event_bus", events="eventbridge.events")
charge_usage(
    "aws_cloudwatch_event_archive",
    archived_gb="eventbridge.archive",
    storage_gb="eventbridge.archive_storage",
)
