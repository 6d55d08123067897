"""One pass over every route of an environment."""

from __future__ import annotations

import time

from ops.cloud import Cloud
from ops.smoke.person import people
from ops.smoke.run import Check, Smoke
from ops.smoke.suite import load_suites
from ops.smoke.transport import Http
from ops.terraform.state import outputs

LIMIT = 60.0
"""Seconds: what is not asked by then is not asked, clean-up apart."""


def run_smoke_tests(cloud: Cloud, limit: float = LIMIT) -> list[Check]:
    """Asks every route over HTTP and the WebSocket, as everybody does.

    Raises:
        OperatorError: the environment has not been deployed, or signs nobody in.
    """
    begun = time.monotonic()
    cloud.check_account()
    found = outputs(cloud)
    suites = load_suites()
    transport = Http(found["api_url"], found["ws_url"])
    with people(cloud, found["cognito_user_pool_id"], suites["auth"], transport) as who:
        asked = [suite for suite in suites.values() if suite.path]
        return Smoke(transport, who, deadline=begun + limit).all(asked)
