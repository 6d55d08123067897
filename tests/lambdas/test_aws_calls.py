"""Compares the AWS calls of every route, frame and event with their rows in calls.yml."""

from __future__ import annotations

from typing import Any

import pytest

from bench.aws_calls.capacity_units import item_size
from bench.aws_calls.measurement import measure, read_calls
from bench.aws_calls.scenarios import SCENARIOS
from lambdas.chat.models import FRAMES
from lambdas.route_tables import route_tables
from tests.postgres import Postgres

WRITE = "run `python -m bench.aws_calls` if the change is intended"


@pytest.fixture(scope="module")
def measured(postgres: Postgres, migrated: str) -> dict[str, Any]:
    return measure(postgres, migrated)


def test_every_request_makes_the_aws_calls_that_calls_yml_lists(measured: dict[str, Any]) -> None:
    rows = read_calls()
    different = {
        name: {"row": rows.get(name), "measured": counts}
        for name, counts in measured.items()
        if counts != rows.get(name)
    }
    assert different == {}, WRITE
    assert rows.keys() == measured.keys(), WRITE


def test_calls_yml_lists_every_route_and_frame_of_the_measured_services() -> None:
    measured = {scenario.__name__ for scenario in SCENARIOS}
    assert {"auth", "profile", "chat", "post", "catalog", "ai", "health"} <= measured
    routes = {
        f"{route.method} {route.path}"
        for service, table in route_tables().items()
        if service in measured
        for route in table
    }
    assert routes | {f"frame {action}" for action in FRAMES} <= read_calls().keys()


def test_the_size_of_an_item_is_the_length_of_its_attribute_names_and_values() -> None:
    assert item_size({"id": {"S": "abcd"}, "n": {"N": "1234"}, "on": {"BOOL": True}}) == 13
    assert item_size({"m": {"M": {"k": {"S": "vv"}}}}) == 1 + 3 + 2 + 2
