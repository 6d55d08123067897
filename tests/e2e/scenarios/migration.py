"""Invokes the migration function to plan, to apply migrations, and to read a fingerprint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.e2e.scenarios.context import ScenarioContext


def run_scenario(context: ScenarioContext) -> Iterator[str]:
    def invoke(event: dict[str, Any]) -> Any:
        result = context.client("lambda").invoke(
            FunctionName="migration-lambda-local",
            Qualifier="live",
            Payload=json.dumps(event).encode(),
        )
        response = json.loads(result["Payload"].read())
        assert "FunctionError" not in result, response
        return response

    assert invoke({"plan": True})["pending"] == []
    yield "plan"
    assert invoke({"by": "scenario"})["applied"] == []
    yield "run"
    assert invoke({"fingerprint": {}})["tables"]["catalog.categories"]
    yield "fingerprint"
