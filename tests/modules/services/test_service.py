"""Tests the base construct of services with a service that only this test defines."""

from __future__ import annotations

import pytest

from modules.services.service import Service
from tests.modules.service_stacks import synthesize_services
from tests.modules.synthesis import Synthesized, environment


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesize_services(
        environment("dev"),
        tmp_path_factory.mktemp("dev"),
        add_constructs=lambda stack, platform: Service(
            stack,
            "seventh",
            platform=platform,
            service="migration",
            path="things",
            description="Keeps things",
            access=[],
            outbox=True,
        ),
    )


def test_a_service_with_an_outbox_stores_its_own_events_and_publishes_no_events(
    dev: Synthesized,
) -> None:
    statements = dev.role_statements("migration-policy-dev")
    assert "Events" not in statements
    outbox = statements["Outbox"]
    assert outbox["Action"] == "dynamodb:PutItem"
    assert outbox["Resource"].endswith(":table/platform-outbox-dev")
    assert outbox["Condition"] == {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": "migration-*"}
    }
    variables = dev.variables("migration-lambda-dev")
    assert variables["DYNAMODB_TABLE_OUTBOX"] == "platform-outbox-dev"
    assert "EVENT_BUS_NAME" not in variables
