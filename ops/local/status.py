"""Reads the status of a platform."""

from __future__ import annotations

from typing import Any

from ops.cloud import EMBEDDED, connect
from ops.deployment.health import get_health
from ops.embedded import EmbeddedCloud
from ops.errors import OperatorError
from ops.local.console_process import console_address
from ops.root import Root
from ops.terraform.state import outputs, resource_count


def read_status(environment: str, root: Root) -> dict[str, Any]:
    """Returns the processes (local only), addresses, resource count and health of an environment.

    Raises:
        OperatorError: the environment does not exist.
    """
    embedded = EmbeddedCloud(root) if environment == EMBEDDED else None
    processes = embedded.processes() if embedded else []
    result: dict[str, Any] = {
        "environment": environment,
        "processes": processes,
        "addresses": {},
        "authority": None,
        "resources": 0,
    }
    if not all(process["running"] for process in processes):
        return {**result, "health": {"status": 0, "body": "not running: start it with `make up`"}}
    cloud = connect(environment, root)
    try:
        values = outputs(cloud)
    except OperatorError as error:
        return {**result, "health": {"status": 0, "body": str(error)}}
    health = get_health(values["health_url"], cloud.authority)
    addresses = {name: values[f"{name}_url"] for name in ("api", "ws", "site")}
    if embedded:
        addresses["plain site"] = embedded.plain_site_url(addresses["site"])
        if console := console_address(root):
            addresses["console"] = str(console)
    return {
        **result,
        "addresses": addresses,
        "authority": cloud.authority,
        "resources": resource_count(cloud),
        "health": {"status": health.status, "body": health.body},
    }
