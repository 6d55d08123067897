"""Updates the code of functions directly from the checkout, for development."""

from __future__ import annotations

from typing import Any

from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.traffic.release import Releaser, ReleaserFactory, describe_shift, locked_releaser


def deploy_function_code(
    cloud: Cloud, service: str, create: ReleaserFactory = Releaser
) -> list[dict[str, Any]]:
    """Publishes the checkout's code and shifts all traffic to it in one step.

    Skips the plan, the probes and the bake period. The next deployment replaces this code.

    Args:
        service: A service, or `all`.

    Returns:
        One dictionary per traffic shift, with the keys service, from and to.

    Raises:
        OperatorError: The environment retains its data, or another command holds the lock.
    """
    if cloud.environment.retains_data:
        raise OperatorError(
            f"{cloud.environment.name} retains its data, so only releases may change its code: run"
            f" `ops release {cloud.environment.name} {service}`"
        )
    with locked_releaser(cloud, f"deploy-function of {service}", create) as releaser:
        services = releaser.functions.select(service)
        releaser.repair_traffic(services)
        candidates = releaser.checkout_candidates(services)
        return [
            describe_shift(releaser.shift_all(item.live, item.version, "function"))
            for item in candidates
        ]
