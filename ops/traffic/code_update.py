"""Updates one function's code directly from the checkout, for development."""

from __future__ import annotations

from typing import Any

from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.functions.packages import package
from ops.terraform.state import outputs
from ops.traffic.ledger import Ledger
from ops.traffic.release import Releaser, moved


def deploy_function_code(cloud: Cloud, service: str) -> list[dict[str, Any]]:
    """Publishes the checkout's code and shifts all traffic to it without plan, probes or bake.

    The next deployment replaces it.

    Args:
        service: A service, or `all`.

    Returns:
        Each traffic shift with its keys service, from and to.

    Raises:
        OperatorError: The environment retains its data, or another command holds the lock.
    """
    if cloud.environment.retains_data:
        raise OperatorError(
            f"{cloud.environment.name} retains its data, so its code changes by releases only: run"
            f" `ops release {cloud.environment.name} {service}`"
        )
    stack_outputs = outputs(cloud)
    who = cloud.operator
    ledger = Ledger(cloud)
    with ledger.locked(f"deploy-function of {service}", who) as lock:
        releaser = Releaser(cloud, stack_outputs, ledger, lock, who)
        chosen = releaser.functions.chosen(service)
        releaser.settle(chosen)
        candidates = releaser.candidates(chosen, package(cloud, chosen))
        return [moved(releaser.move(item.live, item.version, "function")) for item in candidates]
