"""Reads the status of a platform."""

from __future__ import annotations

from typing import Any

from ops.cloud import EMBEDDED, connect
from ops.deployment.health import get_health
from ops.embedded import EmbeddedCloud
from ops.embedded.processes import Processes, describe_process
from ops.errors import OperatorError
from ops.local.console_process import CONSOLE, console_address
from ops.root import Root
from ops.terraform.state import outputs, resource_count


def read_status(environment: str, root: Root) -> dict[str, Any]:
    """Returns the processes (local only), addresses, resource count and health of an environment.

    The web console is one of the processes. The platform is also healthy without it.

    Raises:
        OperatorError: the environment does not exist.
    """
    embedded = EmbeddedCloud(root) if environment == EMBEDDED else None
    services = embedded.processes() if embedded else []
    console = [describe_process(CONSOLE, Processes(root).get(CONSOLE))] if embedded else []
    result: dict[str, Any] = {
        "environment": environment,
        "processes": services + console,
        "addresses": {},
        "authority": None,
        "resources": 0,
    }
    if not all(service["running"] for service in services):
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
        if address := console_address(root):
            addresses["console"] = str(address)
    return {
        **result,
        "addresses": addresses,
        "authority": cloud.authority,
        "resources": resource_count(cloud),
        "health": {"status": health.status, "body": health.body},
    }
