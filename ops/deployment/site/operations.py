"""Publishes a site for `ops publish-site`, `ops deploy` and `ops up`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ops.cloud import Cloud
from ops.console import report
from ops.deployment.site.files import CONFIG, INDEX, read_site
from ops.deployment.site.project_site import build_project_site
from ops.deployment.site.publisher import PRINTED_NAMES, Published, Publisher
from ops.traffic.ledger import Ledger


def publish_project_site(cloud: Cloud, outputs: Mapping[str, Any]) -> list[str]:
    """Publishes the site that comes with the project. Returns the names of the uploaded files.

    If an operator has published another front end, keeps it and uploads only config.json.
    """
    publisher = Publisher(cloud, outputs, Ledger(cloud))
    if publisher.source:
        report(f"Kept the site that was published from {publisher.source}")
        return publisher.publish_config()
    return _publish(publisher).published


def publish_under_lock(
    cloud: Cloud,
    outputs: Mapping[str, Any],
    directory: Path | None = None,
    *,
    immutable: Sequence[str] | None = None,
    roll_back: bool = False,
) -> Published:
    """Publishes a site, or restores the previous one, while holding the environment's lock.

    Args:
        directory: The output directory of a front end's build. By default, publishes the site that
            comes with the project.
        immutable: Patterns of file names that contain a hash of the content.

    Raises:
        OperatorError: The directory is not a built front end, another command holds the lock, or
            there is no earlier site.
    """
    ledger = Ledger(cloud)
    with ledger.locked("publish-site", cloud.operator) as lock:
        publisher = Publisher(cloud, outputs, ledger, lock.check)
        if roll_back:
            return publisher.roll_back()
        if directory is None:
            return _publish(publisher)
        site = read_site(directory, immutable)
        if site.skipped:
            report(
                f"Not published: {', '.join(site.skipped)} (hidden files and {CONFIG} are skipped)"
            )
        pages = [name for name in site.files if name.endswith(f"/{INDEX}")]
        if pages and cloud.environment.site_routes == "single_page":
            report(
                f"Paths without a file extension show {INDEX}, not"
                f" {', '.join(pages[:PRINTED_NAMES])}:"
                " set `site_routes: pages` in the environment file if the site has several pages"
            )
        return publisher.publish(site, str(directory.resolve()))


def _publish(publisher: Publisher) -> Published:
    with TemporaryDirectory() as directory:
        build_project_site(Path(directory))
        return publisher.publish(read_site(Path(directory)))
