"""Scenarios of the functions: generators that call all routes and send all events."""

from collections.abc import Mapping, Sequence

from tests.e2e.scenarios import (
    ai,
    auth,
    authorizer,
    catalog,
    chat,
    delivery,
    health,
    migration,
    post,
    profile,
    relay,
    statistics,
)
from tests.e2e.scenarios.context import Scenario

SCENARIOS: Mapping[str, Sequence[Scenario]] = {
    "ai": [ai.run_scenario],
    "auth": [auth.run_scenario],
    "authorizer": [authorizer.run_scenario],
    "catalog": [catalog.run_scenario, catalog.run_sweep],
    "chat": [chat.run_scenario],
    "delivery": [delivery.run_scenario],
    "health": [health.run_scenario],
    "migration": [migration.run_scenario],
    "post": [post.run_scenario],
    "profile": [profile.run_scenario],
    "relay": [relay.run_scenario],
    "statistics": [statistics.run_scenario],
}
"""The scenarios by function."""
