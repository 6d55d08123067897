"""Tests the console's pages in Chromium, on moto."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from subprocess import CompletedProcess, TimeoutExpired
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config
from playwright.sync_api import Browser, Page, Route, expect
from typer.testing import CliRunner, Result

from ops.__main__ import app as ops
from ops.cloud import Cloud
from ops.embedded.ports import LOOPBACK, choose_port
from ops.local.console_process import start_console, stop_console
from ops.root import Root
from ops.web_console import changes
from ops.web_console.app import create_app
from ops.web_console.live_map import LiveMap
from ops.web_console.source import ConsoleCloud, Source
from tests.browser import PAGE_TIMEOUT, open_browser
from tests.ops.review.documents import document, item
from tests.ops.web_console.client import TOKEN
from tests.ops.web_console.conftest import is_serving
from tests.waiting import wait_for
from tests.watched_page import OpenPage, watch_pages

PICTURE = '<svg xmlns="http://www.w3.org/2000/svg"><g id="diagram-chat"><rect/><text/></g></svg>'
VIEWS = (
    "map",
    "requests",
    "requests/some-id",
    "functions/chat",
    "data/tables",
    "data/tables/chat-messages",
    "data/buckets",
    "data/buckets/avatars",
    "data/sql",
    "data/cache",
    "messages/queues",
    "messages/queues/relay-retries-dlq",
    "messages/events",
    "messages/mails",
    "messages/connections",
    "changes/releases",
    "changes/review",
    "changes/drift",
    "changes/cost",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def address(deployed: Cloud, root: Root, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yields the address of a console that uses moto.

    A small placeholder replaces the picture of the architecture map.
    """
    monkeypatch.setattr(LiveMap, "_draw", lambda _: (0.0, PICTURE, {"chat": "functions/chat"}))
    cloud = ConsoleCloud(deployed.environment, deployed.variables)
    source, port = Source("dev", root, connect=lambda *_: cloud), choose_port()
    app: Any = create_app(source, port=port, token=TOKEN)
    config, loop, stop = Config(), asyncio.new_event_loop(), asyncio.Event()
    config.bind, config.graceful_timeout = [f"{LOOPBACK}:{port}"], 0.2
    server = threading.Thread(
        target=loop.run_until_complete, args=[serve(app, config, shutdown_trigger=stop.wait)]
    )
    server.start()
    address = f"http://{LOOPBACK}:{port}/?token={TOKEN}"
    wait_for(lambda: is_serving(address), seconds=PAGE_TIMEOUT / 1000)
    yield address
    loop.call_soon_threadsafe(stop.set)
    server.join()
    loop.close()


@pytest.fixture
def open_console(browser: Browser, address: str) -> Iterator[OpenPage]:
    with watch_pages(browser) as open_page:
        yield lambda view: open_page(f"{address}#/{view}")


def show(page: Page, view: str) -> None:
    page.evaluate("(view) => { location.hash = `#/${view}`; }", view)


def delay(page: Page, pattern: str) -> list[Route]:
    """Holds back requests whose address matches the pattern, until the test continues them.

    Returns the list of these requests.
    """
    late: list[Route] = []

    def hold(route: Route) -> None:
        late.append(route)

    page.route(pattern, hold)
    return late


def test_a_view_that_the_user_has_left_ignores_late_responses(open_console: OpenPage) -> None:
    page = open_console("functions")
    late = delay(page, "**/api/**")
    for view in (*VIEWS, "functions"):
        requests_of_previous_view = late.copy()
        late.clear()
        with page.expect_request("**/api/**"):
            show(page, view)
        for route in requests_of_previous_view:
            route.continue_()
    page.unroute("**/api/**")
    expect(page.locator("[aria-busy]")).to_have_count(0)
    expect(page.get_by_text("This view failed")).to_have_count(0)


def test_data_that_arrives_late_does_not_replace_newer_data(open_console: OpenPage) -> None:
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="avatars-dev")
    page = open_console("data/buckets/avatars")
    late = delay(page, "**/api/buckets/avatars?*first*")
    with page.expect_request("**first*"):
        show(page, "data/buckets/avatars/first")
    show(page, "data/buckets/avatars/second")
    expect(page.get_by_text("There are no objects here")).to_be_visible()
    with page.expect_response("**first*"):
        late.pop().continue_()
    expect(page.locator("[aria-busy]")).to_have_count(0)
    expect(page.get_by_text("There are no objects here")).to_be_visible()


def test_a_view_loads_its_data_again_after_a_failed_request(open_console: OpenPage) -> None:
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="avatars-dev")
    page = open_console("functions")
    page.clock.install()
    pattern = "**/api/buckets/avatars?*"
    page.route(pattern, lambda route: route.fulfill(status=502, json={"problem": "it ended"}))
    show(page, "data/buckets/avatars")
    expect(page.get_by_text("it ended")).to_be_visible()
    page.unroute(pattern)
    page.clock.fast_forward("00:11")
    expect(page.get_by_text("There are no objects here")).to_be_visible()
    expect(page.get_by_text("it ended")).to_have_count(0)


def test_a_folder_opens_at_its_first_objects(open_console: OpenPage) -> None:
    page = open_console("functions")
    content = {"folders": ["users/"], "objects": [], "next": "second page"}
    page.route("**/api/buckets/avatars?*", lambda route: route.fulfill(json=content))
    show(page, "data/buckets/avatars")
    with page.expect_request("**after=second*"):
        page.get_by_role("button", name="Next objects").click()
    with page.expect_request("**prefix=users*") as request:
        page.get_by_role("link", name="users/").click()
    assert "after=second" not in request.value.url


PLAN = document(item("aws_sqs_queue", "work", {"tags": {}}, {"tags": {"Team": "a"}}))
TIMEOUT = object()
"""The result of a command that exceeds its time limit."""
RESULTS = {
    "review": (0, ""),
    "drift": (2, [{"kind": "changed", "address": "aws_sqs_queue.work", "attributes": ["tags"]}]),
    "cost": (
        0,
        {
            "usd": 12.5,
            "fixedUsd": 2,
            "services": {"chat": {"usd": 12.5, "fixedUsd": 2, "usedUsd": 10.5}},
        },
    ),
}
"""The exit status and the output of each command, as the real commands have them."""


def review_in_terminal(root: Root) -> Result:
    """Runs `ops review` on a plan, as an operator does in a terminal."""
    plan = root.path / "plan.json"
    plan.write_text(json.dumps(PLAN))
    return CliRunner().invoke(ops, ["review", "dev", "--plan", str(plan), "--root", str(root.path)])


@pytest.fixture
def commands(root: Root, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replaces the commands of the reports. Returns their results, which a test can change.

    `ops review` reviews a plan in a file instead of a new one.
    """
    results: dict[str, Any] = dict(RESULTS)

    def run(command: Sequence[str], **_: object) -> CompletedProcess[str]:
        if command[3] == "review":
            assert review_in_terminal(root).exit_code == 0
        status, value = results[command[3]]
        if value is TIMEOUT:
            raise TimeoutExpired(command, 600)
        return CompletedProcess(list(command), status, json.dumps(value), "no lock\n")

    monkeypatch.setattr(
        changes, "subprocess", SimpleNamespace(run=run, TimeoutExpired=TimeoutExpired)
    )
    return results


def test_reports_run_on_request_and_survive_a_reload_of_the_page(
    open_console: OpenPage, commands: dict[str, Any]
) -> None:
    page = open_console("changes/review")
    expect(page.get_by_text("read-only")).to_be_visible()
    page.get_by_role("button", name="Run").click()
    report = page.frame_locator("iframe")
    expect(report.get_by_role("heading", level=1)).to_contain_text("dev")
    # The form is visible only if the web console allows the report's script to run.
    expect(report.get_by_role("form", name="Filter the changes")).to_be_visible()
    show(page, "changes/drift")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("row", name="changed aws_sqs_queue.work tags")).to_be_visible()
    commands["drift"] = (0, [])
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("No drift")).to_be_visible()
    show(page, "changes/cost")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("row", name="chat $12.50")).to_be_visible()
    page.reload()
    expect(page.get_by_role("row", name="chat $12.50")).to_be_visible()


def test_the_console_shows_a_review_that_ran_in_a_terminal(
    open_console: OpenPage, root: Root
) -> None:
    page = open_console("changes/review")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    expect(page.locator("iframe")).to_have_count(0)
    assert review_in_terminal(root).exit_code == 0
    report = page.frame_locator("iframe")
    expect(report.get_by_role("heading", level=1)).to_contain_text("dev")


def test_a_review_succeeds_even_if_it_cannot_be_stored_for_the_console(root: Root) -> None:
    root.reports("dev").parent.write_text("no directory")
    result = review_in_terminal(root)
    assert result.exit_code == 0
    assert "the web console does not show this review" in result.stderr


def test_a_failed_report_shows_the_error_message(
    open_console: OpenPage, commands: dict[str, Any]
) -> None:
    commands["drift"] = (1, None)
    page = open_console("changes/drift")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text("`ops drift` failed: no lock")


def test_a_report_that_exceeds_its_time_limit_shows_what_to_do(
    open_console: OpenPage, commands: dict[str, Any]
) -> None:
    commands["drift"] = (0, TIMEOUT)
    page = open_console("changes/drift")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text(
        "did not end within 600 s and was stopped: run `ops drift dev"
    )


@pytest.fixture
def started(root: Root) -> Iterator[str]:
    """Starts a console without a platform, and yields its address."""
    yield str(start_console(root))
    stop_console(root)


def test_an_open_page_survives_a_restart_of_the_console(
    browser: Browser, root: Root, started: str
) -> None:
    wait_for(lambda: is_serving(started), seconds=PAGE_TIMEOUT / 1000)
    with watch_pages(browser) as open_page:
        page = open_page(f"{started}#/data/tables")
        expect(page.locator(".part")).to_have_count(5)
        expect(page.get_by_text("aws is not running", exact=True)).to_be_visible()
        expect(page.locator(".badge")).to_have_count(0)
        not_running = page.get_by_text("Not running: cache")
        no_response = page.get_by_text("does not respond")
        expect(not_running).to_contain_text("`make up`")
        assert stop_console(root)
        expect(no_response.first).to_be_visible()
        expect(page.get_by_text("aws: unknown")).to_be_visible()
        assert str(start_console(root)) == started
        expect(no_response).to_have_count(0)
        expect(not_running).to_be_visible()
        expect(page.get_by_role("heading", name="Data")).to_be_visible()
