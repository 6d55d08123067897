"""Starts Chromium for tests of web pages, and checks the accessibility of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PATIENCE = 60_000
"""Milliseconds that tests wait for a page.

Long, because other tests use the machine at the same time.
"""


@contextmanager
def open_browser(*flags: str) -> Iterator[Browser]:
    """Starts Chromium. If it is not installed, the test fails in CI, and is skipped elsewhere."""
    if CHROMIUM is None:
        assert "CI" not in os.environ, "CI has no Chromium: .ci/run must install it"
        pytest.skip("there is no Chromium on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
        expect.set_options(timeout=PATIENCE)
        yield browser
        browser.close()


def check_accessibility(page: Page) -> None:
    """Fails if axe finds a violation on the page."""
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
