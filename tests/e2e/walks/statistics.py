"""The walk of the statistics function: each event type that changes a count."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from lambdas.common.storage.dynamodb import pack, unpack
from lambdas.statistics.logic import CHANGES
from tests.e2e.walks.world import World


def walk(world: World) -> Iterator[str]:
    user_id = f"walk-{uuid.uuid4().hex[:12]}"

    def emit(kind: str, **data: Any) -> None:
        detail = {
            "eventId": f"post-{uuid.uuid4().hex}",
            "occurredAt": "2027-01-15T08:00:00.000Z",
            "data": data,
        }
        entry = {"Source": "multitask.post", "DetailType": kind, "Detail": json.dumps(detail)}
        world.client("events").put_events(
            Entries=[{**entry, "EventBusName": world.platform.outputs["event_bus_name"]}]
        )

    def profile() -> dict[str, Any]:
        key = pack({"user_id": user_id})
        return unpack(
            world.client("dynamodb")
            .get_item(TableName="profile-profiles-local", Key=key)
            .get("Item")
            or {}
        )

    for kind, change in CHANGES.items():
        before = profile().get(change.statistic, 0)
        emit(kind, authorId=user_id)
        expected = before + change.amount
        world.eventually(lambda: profile().get(change.statistic, 0) == expected)  # noqa: B023
        yield kind
    emit("UserRegistered", userId=user_id, displayName="Ann Example")
    world.eventually(lambda: "display_name" in profile())
    yield "UserRegistered"
