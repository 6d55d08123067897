"""Waits until the API is reachable at its custom domain.

API Gateway serves an edge-optimized domain with a CloudFront distribution. A new one takes "about
40 minutes to be ready" (API Gateway developer guide, "Set up an edge-optimized custom domain
name").
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ops.cloud import Cloud
from ops.console import Progress
from ops.deployment.health import TIMEOUT, Health, get_health
from ops.errors import OperatorError

NEW_DOMAIN_TIMEOUT = 45 * 60.0
"""Seconds to wait, counted from the last change of the domain's certificate. The creation of the
domain counts as such a change.
"""
INTERVAL = 10.0
"""Seconds between two checks of the domain."""
READY = "AVAILABLE"
PENDING = "UPDATING", "PENDING"


def wait_for_domain(
    cloud: Cloud,
    url: str,
    *,
    get_health: Callable[[str], Health] = get_health,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> Health:
    """Calls /health at the custom domain until it returns 200.

    Makes the first call only after API Gateway reports the domain as available. If a DNS resolver
    is queried earlier, it caches for minutes that the name does not exist.

    Args:
        url: The URL of /health at the custom domain.
        sleep, clock: Replacements of `time.sleep` and `time.time` for tests.

    Raises:
        OperatorError: The domain needs an action of the operator, or the timeout expired. The
            message contains the last response.
    """
    started = clock()
    with Progress() as progress:
        while True:
            name, status, changed = _domain(cloud)
            if status not in (READY, *PENDING):
                raise OperatorError(
                    f"API Gateway reports {status} for the domain {name}: see Custom domain names"
                    " in the API Gateway console. The API itself is deployed and healthy"
                )
            health = get_health(url) if status == READY else None
            if health and health.ok:
                return health
            response = f"{health.status} {health.describe()}" if health else "not called yet"
            if clock() >= max(started + TIMEOUT, changed + NEW_DOMAIN_TIMEOUT):
                raise OperatorError(
                    f"{url} is not healthy ({response}), but the API itself is. The domain's"
                    f" status is {status}. Check its DNS records, then run the same command again"
                )
            minutes = (clock() - started) / 60
            progress.show(f"waiting for {name} ({status}, {minutes:.0f} min): {response}")
            sleep(INTERVAL)


def _domain(cloud: Cloud) -> tuple[str, str, float]:
    """Returns the API's domain, its status, and the time when its certificate last changed."""
    domains = cloud.environment.domains
    assert domains
    response = cloud.client("apigateway").get_domain_name(domainName=domains.api)
    changed = response.get("certificateUploadDate")
    return (
        domains.api,
        response.get("domainNameStatus", READY),
        changed.timestamp() if changed else 0.0,
    )
