"""Starts Chromium for tests of web pages, and checks the accessibility of pages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tools.chromium import CHROMIUM

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PAGE_TIMEOUT = 60_000
"""Milliseconds that tests wait for a page.

The limit is long because other tests use the machine at the same time.
"""


@contextmanager
def open_browser(*flags: str) -> Iterator[Browser]:
    """Starts Chromium. Without Chromium, the test fails in CI and is skipped elsewhere."""
    if CHROMIUM is None:
        assert "CI" not in os.environ, "CI has no Chromium: .ci/run must install it"
        pytest.skip("Chromium is not on the PATH: install it to run this test")
    with sync_playwright() as playwright:
        expect.set_options(timeout=PAGE_TIMEOUT)
        with playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags]) as browser:
            yield browser


def check_accessibility(page: Page) -> None:
    """Asserts that axe finds no accessibility violation on the page."""
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
