"""Deletes old versions of functions: Lambda keeps all, and an account has 75 GB for their code."""

from __future__ import annotations

from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.terraform.state import outputs
from ops.traffic.ledger import Ledger
from ops.traffic.release import Releaser

KEEP = 5
"""Versions of each function that stay, the newest first."""


def delete_old_versions(cloud: Cloud, keep: int = KEEP) -> dict[str, list[str]]:
    """Deletes all but the newest versions; one that an alias names, or that a rollback would go to, stays whatever its age.

    Returns:
        The versions deleted, by service.

    Raises:
        OperatorError: another command is at work.
    """
    cloud.check_account()
    found = outputs(cloud)
    who = cloud.who()
    ledger = Ledger(cloud)
    gone: dict[str, list[str]] = {}
    with ledger.locked("prune", who) as lock:
        releaser = Releaser(cloud, found, ledger, lock, who)
        functions = releaser.functions
        for service in sorted(functions.names):
            kept = functions.aliased(service) | _before(releaser, service)
            old = [
                version.number
                for version in functions.versions(service)[:-keep]
                if version.number not in kept
            ]
            for number in old:
                lock.check()
                functions.delete(service, number)
            if old:
                gone[service] = old
    return gone


def _before(releaser: Releaser, service: str) -> set[str]:
    try:
        return {releaser.previous(releaser.functions.live(service)).number}
    except OperatorError:  # there is no record of an earlier version
        return set()
