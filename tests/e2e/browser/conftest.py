"""Fixtures of the browser tests: Chromium, a front end built by Vite, and pages that fail their
test if they report an error.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from ops.root import PROJECT
from tests.browser import open_browser
from tests.e2e.support.platform import Platform
from tests.watched_page import OpenPage, watch_pages

SOURCE = PROJECT / "tests" / "e2e" / "front_end"
TYPES = PROJECT / "tools" / "api"
"""The npm package that installs TypeScript and generates the types of API clients."""


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="package")
def front_end(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generates the API's types in a copy of the front end, and builds the copy with Vite.

    Returns the folder of Vite's output.
    """
    directory = tmp_path_factory.mktemp("front-end") / "source"
    shutil.copytree(SOURCE, directory, ignore=shutil.ignore_patterns("node_modules"))
    packages = SOURCE / "node_modules"
    assert packages.exists(), f"{packages} is missing: `make test` installs it"
    (directory / "node_modules").symlink_to(packages)
    description = PROJECT / "docs" / "api" / "openapi.json"
    types = directory / "src" / "openapi.d.ts"
    run_node(TYPES, "npm", "run", "--silent", "types", "--", str(description), "-o", str(types))
    run_node(
        directory, "node", str(TYPES / "node_modules" / "typescript" / "bin" / "tsc"), "-p", "."
    )
    run_node(directory, "npm", "run", "--silent", "build")
    return directory / "dist"


def run_node(directory: Path, *command: str) -> None:
    """Runs a Node.js command. If it fails, the error message contains its output."""
    done = subprocess.run(
        command,
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def open_page(browser: Browser, platform: Platform) -> Iterator[OpenPage]:
    """Yields a function that opens a page of the site in a new browser context."""
    hosts = (platform.api_url, platform.ws_url, platform.outputs["cdn_url"])
    with watch_pages(browser) as open_page:
        yield lambda path, **options: open_page(platform.site_url + path, *hosts, **options)
