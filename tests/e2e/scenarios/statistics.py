"""Sends the statistics function each event type that changes a count."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from lambdas.common.storage.dynamodb import pack, unpack
from lambdas.statistics.logic import CHANGES
from tests.e2e.scenarios.context import ScenarioContext


def run_scenario(context: ScenarioContext) -> Iterator[str]:
    user_id = f"scenario-{uuid.uuid4().hex[:12]}"

    def publish(event_type: str, **data: Any) -> None:
        detail = {
            "eventId": f"post-{uuid.uuid4().hex}",
            "occurredAt": "2027-01-15T08:00:00.000Z",
            "data": data,
        }
        entry = {"Source": "multitask.post", "DetailType": event_type, "Detail": json.dumps(detail)}
        context.client("events").put_events(
            Entries=[{**entry, "EventBusName": context.platform.outputs["event_bus_name"]}]
        )

    def read_profile() -> dict[str, Any]:
        key = pack({"user_id": user_id})
        return unpack(
            context.client("dynamodb")
            .get_item(TableName="profile-profiles-local", Key=key)
            .get("Item")
            or {}
        )

    for kind, change in CHANGES.items():
        before = read_profile().get(change.statistic, 0)
        publish(kind, authorId=user_id)
        expected = before + change.amount
        context.wait_for(lambda: read_profile().get(change.statistic, 0) == expected)  # noqa: B023
        yield kind
    publish("UserRegistered", userId=user_id, displayName="Ann Example")
    context.wait_for(lambda: "display_name" in read_profile())
    yield "UserRegistered"
