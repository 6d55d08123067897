"""Lists events of the bus and mails of the local platform, and sends test events."""

from __future__ import annotations

import json
from typing import Any

import urllib3

from ops.embedded.services import EVENTS_PATH
from ops.errors import OperatorError
from ops.local.mail import read_mails
from ops.web_console.source import Source

LISTED_MESSAGES = 200
"""Number of events and of mails that the console shows."""


def list_events(source: Source) -> list[dict[str, Any]]:
    """Returns the latest events in the archive of the embedded AWS, newest first.

    Raises:
        OperatorError: The environment is on AWS, where an archive can only be replayed.
    """
    addresses = source.addresses
    if not source.is_local:
        raise OperatorError(
            "EventBridge does not list archived events: open a request to see the events that it"
            " caused"
        )
    if addresses is None:
        raise OperatorError(
            "A service of the local platform is not running: start it with `make up`"
        )
    with urllib3.PoolManager(ca_certs=addresses.authority) as pool:
        response = pool.request(
            "GET", f"{addresses.aws}{EVENTS_PATH}?limit={LISTED_MESSAGES}", timeout=10
        )
    events: list[dict[str, Any]] = response.json()
    return events


def send_event(source: Source, source_name: str, detail_type: str, detail: Any) -> dict[str, Any]:
    """Publishes an event on the bus.

    Raises:
        OperatorError: EventBridge rejected the event.
    """
    response = source.client("events").put_events(
        Entries=[
            {
                "EventBusName": source.outputs()["event_bus_name"],
                "Source": source_name,
                "DetailType": detail_type,
                "Detail": json.dumps(detail),
            }
        ]
    )
    entry = response["Entries"][0]
    if "ErrorCode" in entry:
        raise OperatorError(f"EventBridge rejected the event: {entry.get('ErrorMessage')}")
    return {"id": entry["EventId"]}


def list_mails(source: Source) -> list[dict[str, Any]]:
    """Returns the latest mails that the embedded Cognito sent, newest first.

    Raises:
        OperatorError: The environment is on AWS, or the platform is not running.
    """
    if not source.is_local:
        raise OperatorError(
            "Mails cannot be listed: AWS delivers them to their recipients and keeps no copy"
        )
    mails = sorted(read_mails(source.root), key=lambda item: str(item["Timestamp"]), reverse=True)
    return [
        {
            "to": mail["To"],
            "subject": mail["Subject"],
            "time": mail["Timestamp"],
            "text": mail["BodyText"] or mail["BodyHtml"] or "",
        }
        for mail in mails[:LISTED_MESSAGES]
    ]
