"""A walk for each function that is finished: every route it answers and every event it takes."""

from collections.abc import Mapping, Sequence

from tests.e2e.walks import auth, authorizer, catalog, health, migration, post, profile, relay, statistics
from tests.e2e.walks.world import Walk

WALKS: Mapping[str, Sequence[Walk]] = {
    "auth": [auth.walk],
    "authorizer": [authorizer.walk],
    "catalog": [catalog.walk, catalog.sweep],
    "health": [health.walk],
    "migration": [migration.walk],
    "post": [post.walk],
    "profile": [profile.walk],
    "relay": [relay.walk],
    "statistics": [statistics.walk],
}
"""By function."""
