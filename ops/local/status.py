"""Reads the status of a platform."""

from __future__ import annotations

from typing import Any

from ops.cloud import EMBEDDED, connect
from ops.deployment.health import get_health
from ops.embedded import EmbeddedCloud
from ops.errors import OperatorError
from ops.root import Root
from ops.terraform.state import outputs, resource_count


def read_status(environment: str, root: Root) -> dict[str, Any]:
    """Returns the processes (local only), addresses, resource count and health of an environment.

    Raises:
        OperatorError: the environment does not exist.
    """
    processes = EmbeddedCloud(root).processes() if environment == EMBEDDED else []
    result = {"environment": environment, "processes": processes, "addresses": {}, "resources": 0}
    if not all(process["running"] for process in processes):
        return {**result, "health": {"status": 0, "body": "not running: start it with `make up`"}}
    cloud = connect(environment, root)
    try:
        values = outputs(cloud)
    except OperatorError as error:
        return {**result, "health": {"status": 0, "body": str(error)}}
    health = get_health(values["health_url"])
    return {
        **result,
        "addresses": {name: values[f"{name}_url"] for name in ("api", "ws", "site")},
        "resources": resource_count(cloud),
        "health": {"status": health.status, "body": health.body},
    }
