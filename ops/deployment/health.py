"""Asks a deployed platform how it is."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import urllib3

from ops.console import Progress
from ops.errors import OperatorError

TIMEOUT = 60.0
"""Seconds a fresh platform may take: the first answer waits for a cold function and its first connections."""
INTERVAL = 0.5
"""Seconds between questions."""


@dataclass(frozen=True)
class Health:
    """One answer of /health; status 0: none came."""

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        return self.status == 200

    def describe(self) -> str:
        return self.body if isinstance(self.body, str) else json.dumps(self.body, sort_keys=True)


def get_health(url: str) -> Health:
    """Asks once; never raises."""
    try:
        reply = urllib3.request("GET", url, timeout=10, retries=False, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        return Health(0, str(error))
    text = reply.data.decode(errors="replace")
    try:
        return Health(reply.status, json.loads(text))
    except json.JSONDecodeError:
        return Health(reply.status, text[:500])


def wait_until_healthy(url: str, timeout: float = TIMEOUT) -> Health:
    """Asks until the answer is 200.

    Args:
        timeout: seconds.

    Raises:
        OperatorError: it was not within the time; the message has the last answer.
    """
    deadline = time.monotonic() + timeout
    with Progress() as progress:
        while not (health := get_health(url)).ok:
            if time.monotonic() >= deadline:
                raise OperatorError(
                    f"{url} is not healthy after {timeout:.0f} s: {health.status} {health.describe()}"
                )
            progress.show(f"waiting for /health: {health.status} {health.describe()}")
            time.sleep(INTERVAL)
    return health
