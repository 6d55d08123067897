"""Property-based tests of all routes and WebSocket actions on the running platform.

The operations, schemas and statuses come from the descriptions in docs/api, so new operations are
covered automatically. No response may be a 5xx, take longer than 5 s, or differ from its
description. A failure prints a command that repeats the request.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.api_description import ApiDescription, DescribedOperation, MessageDescription
from tests.e2e.fuzz.cases import cases, frames
from tests.e2e.fuzz.sockets import Sockets
from tests.e2e.fuzz.world import World

T = TypeVar("T")

OPERATIONS = sorted(
    ApiDescription.load().operations,
    # In this order, the first requests create objects, later ones use them, and the last ones
    # delete them.
    key=lambda operation: (
        operation.method == "DELETE",
        operation.method != "POST",
        operation.path.count("{") * (-1 if operation.method == "DELETE" else 1),
        "upload" not in operation.id,
    ),
)
FEW, MANY = 8, 20_000 // len(OPERATIONS) + 1
"""Cases per operation or action: FEW in an ordinary test run, and MANY in the nightly run, which
sends 20,000 requests.
"""

all_operations = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.name)
all_actions = pytest.mark.parametrize("action", MessageDescription.load().actions)


def check_cases(
    name: str, strategy: st.SearchStrategy[T], check: Callable[[T], None], count: int
) -> None:
    """Checks `count` cases of the operation or action `name`.

    The seed is derived from `name`, so different operations have different cases, and each run
    repeats the same cases. The nightly run uses a random seed instead.
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


@all_operations
def test_responses_match_the_openapi_description(
    world: World, operation: DescribedOperation
) -> None:
    check_cases(operation.name, cases(operation), world.check, FEW)


@all_actions
def test_responses_to_frames_match_the_asyncapi_description(sockets: Sockets, action: str) -> None:
    _check_frames(sockets, action, FEW)


@pytest.mark.nightly
@all_operations
def test_responses_to_many_requests_match_the_openapi_description(
    world: World, operation: DescribedOperation
) -> None:
    check_cases(operation.name, cases(operation), world.check, MANY)


@pytest.mark.nightly
def test_nearly_all_operations_had_a_valid_request(world: World) -> None:
    """Accepts up to a tenth of the operations without a valid request.

    Some operations need several ids that belong together, and cases rarely contain such ids.
    """
    names = {operation.name: operation.success for operation in OPERATIONS}
    failed = {name for name, status in names.items() if not world.statuses[name][status]}
    assert len(failed) <= len(OPERATIONS) // 10, failed


@pytest.mark.nightly
@all_actions
def test_responses_to_many_frames_match_the_asyncapi_description(
    sockets: Sockets, action: str
) -> None:
    _check_frames(sockets, action, MANY)


def _check_frames(sockets: Sockets, action: str, count: int) -> None:
    callers = st.sampled_from(("user", "anonymous"))
    check_cases(
        action,
        st.tuples(callers, frames(action)),
        lambda case: sockets.check(*case),
        count,
    )
