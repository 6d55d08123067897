"""What runs, where, and how it is."""

from __future__ import annotations

from typing import Any

from ops.cloud import EMBEDDED, connect
from ops.deployment.health import Health, get_health
from ops.embedded import EmbeddedCloud
from ops.errors import OperatorError
from ops.root import Root
from ops.terraform.state import outputs, resource_count


def read_status(environment: str, root: Root) -> dict[str, Any]:
    """Processes (of the embedded environment), addresses, number of resources, and what /health says.

    Raises:
        OperatorError: there is no such environment.
    """
    processes = EmbeddedCloud(root).processes() if environment == EMBEDDED else []
    result: dict[str, Any] = {
        "environment": environment,
        "processes": processes,
        "addresses": {},
        "resources": 0,
        "health": {"status": 0, "body": "not deployed"},
    }
    if environment == EMBEDDED and not all(process["running"] for process in processes):
        return {**result, "health": {"status": 0, "body": "not running: start it with `make up`"}}
    cloud = connect(environment, root)
    try:
        found = outputs(cloud)
    except OperatorError as error:
        return {**result, "health": {"status": 0, "body": str(error)}}
    health: Health = get_health(found["health_url"])
    return {
        **result,
        "addresses": {name: found[f"{name}_url"] for name in ("api", "ws", "site")},
        "resources": resource_count(cloud),
        "health": {"status": health.status, "body": health.body},
    }
