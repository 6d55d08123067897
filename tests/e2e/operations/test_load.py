"""Runs a short load on the platform, and checks the report and the clean-up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from bench.load.__main__ import perform, started, text
from bench.load.baseline import NAME, deploy_empty_function
from bench.load.mix import EMPTY_FUNCTION, SESSION
from bench.load.report import ALL, document, summarize
from bench.load.schedule import Arrival, plan_arrivals, plan_phases
from bench.load.world import World, build_world
from ops.capacity.model import load_model
from ops.console import Progress
from tests.e2e.support.api_client import Api
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import User

WEIGHTS = {
    "GET /v1/posts": 2,
    "PUT /v1/posts/{postId}/like": 1,
    "POST /v1/chat/rooms/{roomId}/join": 1,
    "POST /v1/auth/refresh": 1,
    "GET /v1/catalog/listings": 1,
    "frame send_message": 2,
    "frame mark_read": 1,
    SESSION: 0.5,
    EMPTY_FUNCTION: 1,
}
SEED = 3


def test_a_short_load_reports_each_route_and_removes_its_data(platform: Platform) -> None:
    model, random = load_model(), Random(SEED)  # noqa: S311
    phases = plan_phases([8], seconds=5, ramp=1)
    arrivals = plan_arrivals(phases, WEIGHTS, random, is_poisson=True)
    with (
        Progress() as progress,
        deploy_empty_function(platform) as empty_function,
        build_world(platform, model, random, people=3, page=2) as world,
    ):
        world.empty_function = empty_function
        measured = perform(world, model, arrivals, progress)
    steps = summarize(measured, phases, started(arrivals, measured))
    check_figures(document(steps, measured), arrivals)
    assert any(line.startswith(f"| {EMPTY_FUNCTION} |") for line in text(steps, measured, model))
    check_removal(platform, world)


def check_figures(shown: dict[str, Any], arrivals: Sequence[Arrival]) -> None:
    [step] = shown["steps"]
    rows = {row["name"]: row for row in step["rows"]}
    planned = Counter(arrival.name for arrival in arrivals if arrival.phase == 1)
    assert step["arrivals"] == planned.total()
    assert planned.keys() == WEIGHTS.keys(), "the short load lacks a route: choose another seed"
    for name in planned.keys() - {SESSION}:
        assert rows[name]["requests"] == planned[name], name
    assert rows["frame connect"]["requests"] == planned[SESSION]
    assert rows[ALL]["requests"] == sum(
        row["requests"] for name, row in rows.items() if name not in {ALL, EMPTY_FUNCTION}
    )
    problems = {problem for row in rows.values() for problem in row["errors"]}
    # On a busy machine, a function's call to AWS or the database can time out, and the function
    # then returns 503. All other problems fail the test.
    assert not {problem for problem in problems if not problem.startswith("503")}
    for row in rows.values():
        figures = [row[name] for name in ("p50", "p95", "p99", "largest") if row[name] is not None]
        assert figures == sorted(figures)
    assert rows[EMPTY_FUNCTION]["p50"] > 0


def check_removal(platform: Platform, world: World) -> None:
    cognito, pool = platform.aws("cognito-idp"), platform.outputs["cognito_user_pool_id"]
    for email in world.emails:
        with pytest.raises(cognito.exceptions.UserNotFoundException):
            cognito.admin_get_user(UserPoolId=pool, Username=email)
    reader, api = User.create(platform, "Reader"), Api(platform.api_url)
    for user in world.users:
        for path in ("/v1/posts?authorId=", "/v1/catalog/listings?sellerId="):
            page = api.get(f"{path}{user.user_id}", token=reader.token).expect(200)
            assert page["items"] == []
    for room in world.rooms:
        path = f"/v1/chat/rooms/{room.room_id}"
        api.get(path, token=reader.token).expect_problem(404, "room_not_found")
    with pytest.raises(platform.aws("lambda").exceptions.ResourceNotFoundException):
        platform.aws("lambda").get_function(FunctionName=NAME)
