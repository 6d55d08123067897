"""Property-based tests of all routes and WebSocket actions on the running platform.

The routes, models and statuses are those of the route tables, so new routes are covered at once.
No response may be a 5xx, take longer than 5 s, or have a status or code that is not documented.
Errors are problem documents. A failure prints a command that repeats the request.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from lambdas.chat.models import FRAMES
from lambdas.common.web.router import Route
from lambdas.route_tables import route_tables
from tests.e2e.fuzz.cases import cases, frames
from tests.e2e.fuzz.sockets import Sockets
from tests.e2e.fuzz.world import World

T = TypeVar("T")

ROUTES = sorted(
    (route for routes in route_tables().values() for route in routes),
    # What the first requests create, the later ones use and the last ones delete.
    key=lambda route: (
        route.method == "DELETE",
        route.method != "POST",
        route.path.count("{") * (-1 if route.method == "DELETE" else 1),
        "upload" not in route.operation,
    ),
)
FEW, MANY = 8, 20_000 // len(ROUTES) + 1
"""Cases per route or action: of each change, and of the nightly run, whose requests are 20,000."""

all_routes = pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
all_actions = pytest.mark.parametrize("action", FRAMES)


def explore(
    name: str, strategy: st.SearchStrategy[T], check: Callable[[T], None], count: int
) -> None:
    """Checks `count` cases, which are the same in each run unless it is the nightly one.

    `name` selects the cases, so that routes do not get the same ones.
    """

    @seed(zlib.crc32(name.encode()) if count == FEW else secrets.randbits(32))
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def check_all(case: T) -> None:
        check(case)

    check_all()


@all_routes
def test_requests(world: World, route: Route) -> None:
    explore(f"{route.method} {route.path}", cases(route), world.check, FEW)


@all_actions
def test_frames(sockets: Sockets, action: str) -> None:
    _explore_frames(sockets, action, FEW)


@pytest.mark.nightly
@all_routes
def test_many_requests(world: World, route: Route) -> None:
    explore(f"{route.method} {route.path}", cases(route), world.check, MANY)


@pytest.mark.nightly
def test_nearly_all_routes_had_a_valid_request(world: World) -> None:
    """A few routes need ids that rarely occur together, such as those of an attached file."""
    names = {f"{route.method} {route.path}": route.status for route in ROUTES}
    failed = {name for name, status in names.items() if not world.statuses[name][status]}
    assert len(failed) <= len(ROUTES) // 10, failed


@pytest.mark.nightly
@all_actions
def test_many_frames(sockets: Sockets, action: str) -> None:
    _explore_frames(sockets, action, MANY)


def _explore_frames(sockets: Sockets, action: str, count: int) -> None:
    callers = st.sampled_from(("user", "anonymous"))
    explore(
        action,
        st.tuples(callers, frames(action, FRAMES[action])),
        lambda case: sockets.check(*case),
        count,
    )
