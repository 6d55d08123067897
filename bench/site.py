"""Measures how fast Chromium shows the API reference, and how fast a site of 2,000 files is
published.

    python -m bench.site [--root .local] [--runs 5]

Uses the running platform. Publishes the project's site again at the end.
"""

from __future__ import annotations

import gzip
import io
import json
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from bench import create_parser
from ops.cloud import Cloud, connect
from ops.deployment.site.operations import publish_under_lock
from ops.deployment.site.project_site import build_project_site
from ops.root import Root
from tests.browser import open_browser
from tests.e2e.support.platform import Platform

ASSETS, PAGES = 1500, 499
"""Numbers of assets and of pages of the measured site, which also has an index.html."""
CHANGED = 20
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(".local"),
        help="directory of a running local platform (default: .local)",
    )
    parser.add_argument(
        "--runs", type=int, default=5, help="number of times that the page is loaded (default: 5)"
    )
    arguments = parser.parse_args()
    platform = Platform.load(arguments.root.resolve(), is_own=False)
    cloud = connect("local", Root(arguments.root.resolve()))
    publish_under_lock(cloud, platform.outputs)
    print_weights()
    with open_browser() as browser:
        measure_page(browser, platform, arguments.runs)
    try:
        measure_publication(cloud, platform)
    finally:
        publish_under_lock(cloud, platform.outputs)


def print_weights() -> None:
    """Prints the size of the API reference's files in bytes, plain and compressed with gzip."""
    with tempfile.TemporaryDirectory() as directory:
        build_project_site(Path(directory))
        page = (Path(directory) / "reference.html").read_text()
        for file in sorted(Path(directory).rglob("*")):
            if (
                file.parent.name == "assets" and file.name in page
            ) or file.name == "reference.html":
                content = file.read_bytes()
                print(f"{file.name}: {len(content)} bytes, {len(gzip.compress(content, 6))} gzip")


def measure_page(browser: Browser, platform: Platform, runs: int) -> None:
    """Prints the time of the API reference's first paint, and the time when it shows the routes.

    Each load starts without a cache.
    """
    painted, shown = [], []
    for _ in range(runs):
        page = browser.new_context(ignore_https_errors=True).new_page()
        page.goto(f"{platform.site_url}/reference.html")
        page.locator(".opblock-tag").first.wait_for(timeout=60_000)
        shown.append(page.evaluate("performance.now()"))
        painted.append(page.evaluate(PAINT))
        page.context.close()
    print(f"first contentful paint: {statistics.median(painted):.0f} ms")
    print(f"routes shown: {statistics.median(shown):.0f} ms")


def measure_publication(cloud: Cloud, platform: Platform) -> None:
    """Prints the seconds, files, S3 requests and uploaded bytes of three publications.

    Publishes a new site, then the site with changed files, and then the unchanged site.
    """
    requests: Counter[str] = Counter()

    def count(model: Any, params: Any, **_: Any) -> None:
        body = params["body"]
        requests[model.name] += 1
        if model.name == "PutObject":
            requests["bytes"] += len(body) if isinstance(body, bytes) else body.seek(0, io.SEEK_END)
            if not isinstance(body, bytes):
                body.seek(0)

    cloud._session.events.register("before-call.s3", count)
    with tempfile.TemporaryDirectory() as directory:
        site = Path(directory)
        write_site(site)
        for label in ("new", f"{CHANGED} files changed", "unchanged"):
            if label.startswith(str(CHANGED)):
                change_site(site)
            requests.clear()
            begun = time.perf_counter()
            result = publish_under_lock(cloud, platform.outputs, site)
            seconds = time.perf_counter() - begun
            print(
                f"{label}: {seconds:.1f} s, {len(result.published)} files, {json.dumps(requests)}"
            )


def write_site(site: Path) -> None:
    (site / "assets").mkdir()
    (site / "index.html").write_text("index")
    for number in range(ASSETS):
        (site / "assets" / f"chunk-{number:07d}a.js").write_text(f"// {number}\n" * 1000)
    for number in range(PAGES):
        (site / f"page{number}.html").write_text(f"<p>{number}</p>\n" * 100)


def change_site(site: Path) -> None:
    """Changes CHANGED files: half are assets, whose names then change, and half are pages."""
    for number in range(CHANGED // 2):
        (site / "assets" / f"chunk-{number:07d}a.js").unlink()
        (site / "assets" / f"chunk-{number:07d}b.js").write_text(f"// changed {number}\n" * 1000)
        (site / f"page{number}.html").write_text(f"<p>changed {number}</p>\n" * 100)


if __name__ == "__main__":
    main()
