"""Opens pages in Chromium, and records policy violations, errors, and the hosts of requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from tests.browser import PAGE_TIMEOUT

HEIGHT = 900
REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  reportViolation(`${event.violatedDirective} ${event.blockedURI}`));
"""
NETWORK_ERRORS = ("Failed to load resource", "WebSocket connection to")
"""Chromium's messages about error statuses and cut connections, which tests cause on purpose."""

ColorScheme = Literal["light", "dark"]
OpenPage = Callable[..., Page]


@contextmanager
def watch_pages(browser: Browser) -> Iterator[OpenPage]:
    """Yields a function that opens a page and returns it.

    The function takes the arguments of `WatchedPage.open` except the browser. On exit, the context
    manager fails if a page violated its Content-Security-Policy, threw an error, or sent a request
    to a host that was not among these arguments.
    """
    opened: list[WatchedPage] = []

    def open_page(address: str, *others: str, **options: Any) -> Page:
        opened.append(WatchedPage.open(browser, address, *others, **options))
        return opened[-1].page

    try:
        yield open_page
    finally:
        for watched in opened:
            watched.page.context.close()
    for watched in opened:
        assert watched.violations == []
        assert watched.errors == []
        assert watched.foreign_hosts == set()


@dataclass
class WatchedPage:
    """An open page, with the errors and requests that it caused."""

    page: Page
    hosts: set[str]
    """Hosts, with ports, to which the page may send requests."""
    violations: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    foreign_hosts: set[str] = field(default_factory=set)

    @classmethod
    def open(
        cls,
        browser: Browser,
        address: str,
        *others: str,
        width: int = 1440,
        color_scheme: ColorScheme = "light",
    ) -> WatchedPage:
        """Opens an address.

        The page may send requests only to its own host and to the hosts in `others`.
        """
        context = browser.new_context(
            viewport={"width": width, "height": HEIGHT},
            ignore_https_errors=True,
            color_scheme=color_scheme,
        )
        context.set_default_timeout(PAGE_TIMEOUT)
        watched = cls(context.new_page(), {urlsplit(item).netloc for item in (address, *others)})
        context.expose_function("reportViolation", watched._record_violation)
        context.add_init_script(REPORT_VIOLATIONS)
        watched.page.on("console", watched._record_error)
        watched.page.on("pageerror", lambda error: watched.errors.append(str(error)))
        watched.page.on("request", watched._record_foreign_host)
        watched.page.goto(address)
        return watched

    def _record_violation(self, text: str) -> None:
        self.violations.append(text)

    def _record_error(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(NETWORK_ERRORS):
            self.errors.append(message.text)

    def _record_foreign_host(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob"} and parts.netloc not in self.hosts:
            self.foreign_hosts.add(parts.netloc)
