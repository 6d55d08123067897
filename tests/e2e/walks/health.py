"""The walk of the health function: one request."""

from __future__ import annotations

from collections.abc import Iterator

from tests.e2e.walks.world import World


def walk(world: World) -> Iterator[str]:
    world.forget()  # wait until the cached result expires
    world.api.get("/health").expect(200)
    yield "GET /health"
