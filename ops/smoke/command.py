"""Runs the smoke tests of an environment."""

from __future__ import annotations

import time

from ops.cloud import Cloud
from ops.smoke.person import signed_in_users
from ops.smoke.run import Check, Smoke
from ops.smoke.suite import load_suites
from ops.smoke.transport import Http
from ops.terraform.state import outputs

LIMIT = 60.0
"""Seconds. After this time, a run sends only clean-up requests."""


def run_smoke_tests(cloud: Cloud, limit: float = LIMIT) -> list[Check]:
    """Calls every HTTP route and the WebSocket API, and returns the results.

    Raises:
        OperatorError: The environment has not been deployed, or signing in failed.
    """
    begun = time.monotonic()
    deployed = outputs(cloud)
    suites = load_suites()
    transport = Http(deployed["api_url"], deployed["ws_url"], cloud.authority)
    with signed_in_users(
        cloud, deployed["cognito_user_pool_id"], suites["auth"], transport
    ) as users:
        http_suites = [suite for suite in suites.values() if suite.path]
        return Smoke(transport, users, deadline=begun + limit).run_suites(http_suites)
