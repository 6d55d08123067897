"""One function's code, straight from the checkout: for development."""

from __future__ import annotations

from typing import Any

from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.functions.packages import package
from ops.terraform.state import outputs
from ops.traffic.ledger import Ledger
from ops.traffic.release import Releaser, moved


def deploy_function_code(cloud: Cloud, service: str) -> list[dict[str, Any]]:
    """Gives a function the checkout's code and all traffic: no plan, no probes, no bake. The next deployment puts it right.

    Args:
        service: a service, or `all`.

    Returns:
        Each move: service, from, to.

    Raises:
        OperatorError: the environment keeps its data, as production does; or another command is at work.
    """
    if cloud.environment.retains_data:
        raise OperatorError(
            f"{cloud.environment.name} keeps its data, so code gets there by a release: `ops release {cloud.environment.name} {service}`"
        )
    cloud.check_account()
    found = outputs(cloud)
    who = cloud.who()
    ledger = Ledger(cloud)
    with ledger.locked(f"deploy-function of {service}", who) as lock:
        releaser = Releaser(cloud, found, ledger, lock, who)
        chosen = releaser.functions.chosen(service)
        releaser.settle(chosen)
        candidates = releaser.candidates(chosen, package(cloud, chosen))
        return [moved(releaser.move(item.live, item.version, "function")) for item in candidates]
