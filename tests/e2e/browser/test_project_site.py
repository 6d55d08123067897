"""Tests the status page and the API reference in Chromium, with the headers that CloudFront
sends.
"""

from __future__ import annotations

import json
import uuid

import pytest
from playwright.sync_api import Page, expect

from ops.deployment.site.operations import publish_under_lock
from ops.deployment.site.project_site import DESCRIPTION
from tests.browser import check_accessibility
from tests.e2e.support.api_client import Api
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import PASSWORD, Person
from tests.watched_page import OpenPage

LOAD_TIMEOUT = 30_000
"""Milliseconds until the routes must be visible. On an idle machine, Swagger UI needs 2 s."""
PHONE_WIDTH = 360
"""The narrowest width of a phone, in pixels."""
TAB_LIMIT = 60
"""Number of times that a test presses the Tab key before it fails."""
FOCUSED = """() => {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    const heading = element.closest("h3") ?? element;
    const isPage = element === document.body;
    return {
        text: isPage ? "" : (heading.innerText || element.name).replaceAll("\\u200b", ""),
        isVisible: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
    };
}"""
"""JavaScript that returns the text or name of the focused element, and whether the focus is
visible.
"""

OPEN_ROUTE = """(summary) => new Promise((resolve) => {
    const block = summary.closest(".opblock");
    const states = new Set();
    new MutationObserver(() => {
        const shown = { loading: ".opblock-loading-animation", executable: ".execute" };
        states.add(Object.keys(shown).filter((key) => block.querySelector(shown[key])).join(" "));
        if (block.querySelector(".execute")) resolve([...states].filter(Boolean));
    }).observe(block, { childList: true, subtree: true });
    summary.click();
})"""
"""JavaScript that opens a route in the API reference, and waits for the route's Execute button.

Returns the distinct states that the route had until then: `loading` and `executable`.
"""


@pytest.fixture(scope="module", autouse=True)
def project_site(platform: Platform) -> None:
    """Publishes the project's site, because a test may have published another one."""
    publish_under_lock(platform.cloud, platform.outputs)


def tab_to(page: Page, text: str) -> None:
    """Presses Tab until the element with this text or name has the focus.

    Fails if the page does not show which element has the focus.
    """
    for _ in range(TAB_LIMIT):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if text in focused["text"]:
            assert focused["isVisible"], f"the focus on {text} is invisible"
            return
    raise AssertionError(f"{TAB_LIMIT} presses of Tab do not reach {text}")


def press(page: Page, text: str, key: str = "Enter") -> None:
    """Presses Tab until the element with this text or name has the focus, then presses `key`."""
    tab_to(page, text)
    page.keyboard.press(key)


def test_a_visitor_registers_and_calls_a_route_with_the_keyboard_only(
    open_page: OpenPage, platform: Platform, api: Api
) -> None:
    email = f"visitor-{uuid.uuid4().hex[:12]}@example.com"
    page = open_page("/reference.html")
    expect(page.locator(".opblock-tag").first).to_be_visible(timeout=LOAD_TIMEOUT)
    state = page.locator("#session-state")
    tab_to(page, "email")
    page.keyboard.type(email)
    tab_to(page, "password")
    page.keyboard.type(PASSWORD)
    press(page, "Register")
    expect(page.locator("input[name=code]")).to_be_focused()
    page.keyboard.type(platform.read_mailed_code(email))
    page.keyboard.press("Enter")
    expect(state).to_contain_text(f"Logged in as {email.partition('@')[0]}")
    press(page, "auth")
    press(page, "/v1/auth/me")
    expect(page.get_by_role("button", name="Execute")).to_be_visible()
    press(page, "Execute")
    response = page.locator(".live-responses-table .response")
    expect(response.locator(".response-col_status")).to_contain_text("200")
    expect(response).to_contain_text(email)
    stored_items = "() => [localStorage.length, sessionStorage.length, document.cookie]"
    assert page.evaluate(stored_items) == [0, 0, ""]
    page.reload()
    expect(state).to_have_text("Requests below carry no token.")


def test_the_reference_shows_failed_logins_and_lets_users_log_out(
    open_page: OpenPage, person: Person
) -> None:
    page = open_page("/reference.html")
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill("Wrong-horse-1")
    state = page.locator("#session-state")
    page.get_by_role("button", name="Log in").click()
    expect(state).to_have_attribute("data-state", "failed")
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Log in").click()
    expect(state).to_contain_text(f"Logged in as {person.display_name}")
    page.get_by_role("button", name="Log out").click()
    expect(state).to_contain_text("You are logged out")


def test_the_reference_uses_the_token_of_a_login_response_for_later_requests(
    open_page: OpenPage,
) -> None:
    page = open_page("/reference.html#/auth/auth-anonymous")
    page.get_by_role("button", name="Execute").click(timeout=LOAD_TIMEOUT)
    expect(page.locator("#session-state")).to_contain_text("Logged in as Anonymous")


def test_the_execute_button_appears_only_after_the_route_is_loaded(
    open_page: OpenPage,
) -> None:
    page = open_page("/reference.html")
    page.locator(".opblock-tag").first.click(timeout=LOAD_TIMEOUT)
    summary = page.locator(".opblock-summary-control").first
    expect(summary).to_be_visible()
    assert summary.evaluate(OPEN_ROUTE) == ["loading", "executable"]


def test_the_reference_shows_every_operation(open_page: OpenPage) -> None:
    page = open_page("/reference.html")
    tags = page.locator(".opblock-tag[data-is-open=false]")
    expect(tags.first).to_be_visible(timeout=LOAD_TIMEOUT)
    while tags.count():
        tags.first.click()
    paths = json.loads(DESCRIPTION.read_text())["paths"]
    described = {
        f"{method.upper()} {path}" for path, methods in paths.items() for method in methods
    }
    listed = """(blocks) => blocks.map((block) =>
        block.querySelector(".opblock-summary-method").innerText + " " +
        block.querySelector("[data-path]").dataset.path)"""
    blocks = page.locator(".opblock")
    expect(blocks).to_have_count(len(described), timeout=LOAD_TIMEOUT)
    assert set(blocks.evaluate_all(listed)) == described


@pytest.mark.parametrize("path", ["/", "/reference.html#/auth/auth-login"])
def test_pages_are_accessible_in_both_color_schemes_and_fit_a_phone(
    open_page: OpenPage, path: str
) -> None:
    page = open_page(path)
    ready = page.locator("#checks li" if path == "/" else ".opblock-body .execute").first
    expect(ready).to_be_visible(timeout=LOAD_TIMEOUT)
    color = "getComputedStyle(document.querySelector('.card')).backgroundColor"
    assert page.evaluate(color) == "rgb(255, 255, 255)"
    check_accessibility(page)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(color) == "rgb(26, 31, 37)"
    check_accessibility(page)
    page.set_viewport_size({"width": PHONE_WIDTH, "height": 780})
    check_accessibility(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH


def test_the_status_page_shows_a_failed_check(open_page: OpenPage, platform: Platform) -> None:
    page = open_page("/")
    expect(page.locator("#summary")).to_have_text("All checks passed.")
    page.route(
        platform.outputs["health_url"],
        lambda route: route.fulfill(
            status=503,
            json={"checks": {"database": "timeout"}},
            headers={"Access-Control-Allow-Origin": "*"},
        ),
    )
    page.get_by_role("button", name="Check again").click()
    expect(page.locator("#summary")).to_have_text("Some checks failed.")
    expect(page.locator("#checks")).to_have_text("database timeout")
