"""One walk per function: a generator that calls all its routes and sends all its events."""

from collections.abc import Mapping, Sequence

from tests.e2e.walks import (
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
from tests.e2e.walks.world import Walk

WALKS: Mapping[str, Sequence[Walk]] = {
    "ai": [ai.walk],
    "auth": [auth.walk],
    "authorizer": [authorizer.walk],
    "catalog": [catalog.walk, catalog.sweep],
    "chat": [chat.walk],
    "delivery": [delivery.walk],
    "health": [health.walk],
    "migration": [migration.walk],
    "post": [post.walk],
    "profile": [profile.walk],
    "relay": [relay.walk],
    "statistics": [statistics.walk],
}
"""The walks by function."""
