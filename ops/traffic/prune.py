"""Deletes old function versions.

Lambda limits the code of all versions to 75 GB per account and region.
"""

from __future__ import annotations

from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.traffic.release import Releaser, ReleaserFactory, locked_releaser

KEEP = 5
"""Number of newest versions of each function that are kept."""


def delete_old_versions(
    cloud: Cloud, keep: int = KEEP, create: ReleaserFactory = Releaser
) -> dict[str, list[str]]:
    """Deletes old versions, except those that an alias uses or a rollback needs.

    Returns:
        The deleted versions by service.

    Raises:
        OperatorError: Another command holds the lock.
    """
    deleted: dict[str, list[str]] = {}
    with locked_releaser(cloud, "prune", create) as releaser:
        functions = releaser.functions
        for service in sorted(functions.names):
            kept = functions.aliased_versions(service) | _rollback_target(releaser, service)
            old = [
                version.number
                for version in functions.versions(service)[:-keep]
                if version.number not in kept
            ]
            for number in old:
                releaser.lock.check()
                functions.delete(service, number)
            if old:
                deleted[service] = old
    return deleted


def _rollback_target(releaser: Releaser, service: str) -> set[str]:
    try:
        return {releaser.previous_version(releaser.functions.live(service)).number}
    except OperatorError:  # a rollback is impossible: the ledger has no earlier version
        return set()
