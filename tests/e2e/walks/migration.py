"""The walk of the migration function: a plan, a run that is recorded, and a fingerprint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.e2e.walks.world import World


def walk(world: World) -> Iterator[str]:
    def invoke(order: dict[str, Any]) -> Any:
        reply = world.client("lambda").invoke(
            FunctionName="migration-lambda-local",
            Qualifier="live",
            Payload=json.dumps(order).encode(),
        )
        response = json.loads(reply["Payload"].read())
        assert "FunctionError" not in reply, response
        return response

    assert invoke({"plan": True})["pending"] == []
    yield "plan"
    assert invoke({"by": "walk"})["applied"] == []
    yield "run"
    assert invoke({"fingerprint": {}})["tables"]["catalog.categories"]
    yield "fingerprint"
