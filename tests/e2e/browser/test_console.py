"""Tests the web console in Chromium. It shows requests that this module and other tests sent."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from environments.resource_names import ALIAS
from ops.embedded.processes import Processes
from ops.local.console_process import CONSOLE, console_address, start_console, stop_console
from ops.root import PROJECT, Root
from ops.traffic.ledger import Ledger, Record
from ops.web_console.app import REQUEST_INTERVAL
from tests.browser import check_accessibility
from tests.e2e.support.api_client import Api
from tests.e2e.support.faults import Role
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person, User
from tests.watched_page import ColorScheme, OpenPage, watch_pages

VIEW_TIMEOUT = 30_000
"""Milliseconds that a view may take to load, or live data to arrive, on a busy machine."""
MEMORY_LIMIT = 80e6
"""Maximum bytes of the console's process in memory (resident set) after all views were opened,
while the list of requests is open.
"""
COMMAND_TIMEOUT = 300_000
"""Milliseconds that a command such as `ops drift` may take on a busy machine."""
PAGES = (
    "map",
    "requests",
    "functions",
    "functions/chat",
    "data/tables",
    "data/tables/chat-rooms",
    "data/buckets/avatars",
    "data/sql",
    "data/cache",
    "messages/queues",
    "messages/events",
    "messages/mails",
    "messages/connections",
    "changes/releases",
    "changes/cost",
)


@pytest.fixture(scope="module")
def address(platform: Platform) -> Iterator[str]:
    """Yields the address of the platform's console. Starts one if the platform has none."""
    root = Root(platform.root)
    running = console_address(root)
    yield str(running or start_console(root))
    if not running:
        stop_console(root)


@pytest.fixture
def open_console(browser: Browser, address: str) -> Iterator[OpenPage]:
    """Yields a function that opens a view of the console in a new browser context."""
    with watch_pages(browser) as open_page:
        yield lambda view, **options: open_page(f"{address}#/{view}", **options)


def wait_until_loaded(page: Page) -> None:
    expect(page.locator("main h1")).to_be_visible(timeout=VIEW_TIMEOUT)
    expect(page.locator("[aria-busy]")).to_have_count(0, timeout=VIEW_TIMEOUT)


@pytest.mark.parametrize(("width", "scheme"), [(1440, "dark"), (360, "light")])
def test_every_view_is_accessible_fits_the_window_and_takes_little_memory(
    open_console: OpenPage, platform: Platform, person: Person, width: int, scheme: ColorScheme
) -> None:
    page = open_console("map", width=width, color_scheme=scheme)
    for view in PAGES:
        page.evaluate("(view) => { location.hash = `#/${view}`; }", view)
        wait_until_loaded(page)
        # Errors of the console are `p` elements. Active alarms, which other tests can cause, are
        # `li` elements of the same class.
        expect(page.locator("p.problem")).to_have_count(0)
        check_accessibility(page)
        overflow = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        assert overflow <= 0, f"{view} is {overflow} pixels too wide"
    page.evaluate("() => { location.hash = '#/requests'; }")
    wait_until_loaded(page)
    page.wait_for_timeout(2000 * REQUEST_INTERVAL)
    console = Processes(Root(platform.root)).get(CONSOLE)
    assert console
    assert psutil.Process(console.pid).memory_info().rss < MEMORY_LIMIT


def test_the_token_is_removed_from_the_address_bar(open_console: OpenPage) -> None:
    page = open_console("data")
    wait_until_loaded(page)
    assert "token" not in page.url
    page.reload()
    wait_until_loaded(page)
    assert page.evaluate("() => document.cookie") == ""


def test_the_map_shows_requests_and_opens_a_function(
    open_console: OpenPage, person: Person
) -> None:
    page = open_console("map")
    auth = page.get_by_role("link", name="auth ", exact=False).filter(has_text="/min")
    expect(auth.first).to_be_visible(timeout=VIEW_TIMEOUT)
    auth.first.press("Enter")
    expect(page.get_by_role("heading", name="auth auth-lambda-local")).to_be_visible(
        timeout=VIEW_TIMEOUT
    )


def test_requests_can_be_opened_with_the_keyboard(open_console: OpenPage, person: Person) -> None:
    page = open_console("map")
    wait_until_loaded(page)
    page.keyboard.press("2")
    expect(page.get_by_role("heading", name="Requests")).to_be_visible()
    page.get_by_label("Search").fill("/v1/auth/register")
    first = page.locator(".rows a").first
    expect(first).to_contain_text("POST /v1/auth/register", timeout=VIEW_TIMEOUT)
    page.keyboard.press("Tab")
    expect(first).to_be_focused()
    page.keyboard.press("Enter")
    waterfall = page.get_by_role("list", name="Waterfall")
    expect(waterfall).to_contain_text("auth", timeout=VIEW_TIMEOUT)
    # The log lines of a step are shown below the step.
    waterfall.locator("summary").filter(has_text="function").first.click()
    expect(waterfall.get_by_label("Log lines of auth").first).to_contain_text("request")


def test_a_list_of_ten_thousand_requests_renders_fewer_than_100_rows(
    open_console: OpenPage,
) -> None:
    page = open_console("requests")
    wait_until_loaded(page)
    page.evaluate(
        """async () => {
            const { append } = await import("/views/feed.js");
            append(Array.from({ length: 10000 }, (_, number) => ({ time: 1000 + number,
                kind: "request", service: "post", method: "GET", route: `/v1/posts/${number}`,
                status: "200", failed: false, duration: 5, caller: "registered",
                correlation_id: `id-${number}` })));
        }"""
    )
    expect(page.get_by_role("status")).to_contain_text("10000 of 10000 latest")
    page.locator(".rows").evaluate("(rows) => { rows.scrollTop = rows.scrollHeight; }")
    # New requests may have replaced the oldest ones.
    expect(page.locator(".rows a").last).to_contain_text(re.compile(r"/v1/posts/\d{1,3}post"))
    assert page.locator(".rows a").count() < 100
    page.get_by_label("Search").fill("/v1/posts/7777")
    expect(page.locator(".rows a")).to_have_count(1)


# Each of the following tests does a task for which users open the console.


@pytest.mark.exclusive
def test_a_user_finds_why_a_request_failed(
    open_console: OpenPage, platform: Platform, api: Api
) -> None:
    user, correlation_id = User.create(platform, "Grace"), uuid.uuid4().hex
    role = Role(platform, "profile")
    sid = next(sid for sid, item in role.statements.items() if "dynamodb:GetItem" in item["Action"])
    page = open_console("requests")
    with role.remove_actions(sid):
        headers = {"X-Correlation-Id": correlation_id}
        response = api.get("/v1/profile", token=user.token, headers=headers)
        assert response.status >= 500
    page.get_by_label("Status").select_option("failed")
    page.locator(".rows a", has_text="/v1/profile").first.click(timeout=VIEW_TIMEOUT)
    reason = page.get_by_role("alert").filter(has_text="profile failed")
    expect(reason.first).to_contain_text("AccessDenied", timeout=VIEW_TIMEOUT)
    expect(reason.first).to_contain_text("dynamodb")


def test_a_user_reads_the_mail_with_the_verification_code(
    open_console: OpenPage, platform: Platform, api: Api
) -> None:
    page = open_console("map")
    person = Person(platform, api)
    person.register()
    page.get_by_role("link", name="Messages", exact=True).click()
    page.get_by_role("link", name="Mails", exact=True).click()
    mail = page.locator("article", has_text=person.email)
    expect(mail).to_contain_text(person.read_code(), timeout=VIEW_TIMEOUT)


def test_a_user_finds_the_item_that_a_request_wrote(
    open_console: OpenPage, api: Api, person: Person
) -> None:
    content = f"<b>console</b> {uuid.uuid4().hex}"
    post = api.post("/v1/posts", {"content": content}, token=person.access_token).expect(201)
    page = open_console("map")
    page.get_by_role("link", name="Data", exact=True).click()
    page.get_by_role("link", name="post-posts").click(timeout=VIEW_TIMEOUT)
    page.get_by_label("post_id").fill(post["postId"], timeout=VIEW_TIMEOUT)
    page.get_by_role("button", name="Query").click()
    item = page.locator(".items li")
    expect(item).to_have_count(1, timeout=VIEW_TIMEOUT)
    item.locator("summary").click()
    expect(item.get_by_label("Item")).to_contain_text(content)


@pytest.mark.exclusive
def test_a_user_redrives_a_dead_letter(open_console: OpenPage, platform: Platform) -> None:
    sqs = platform.aws("sqs")
    url = sqs.get_queue_url(QueueName=platform.outputs["queues"]["relay-retries-dlq"])["QueueUrl"]
    event_id = f"none-{uuid.uuid4().hex}"
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"eventId": event_id}))
    page = open_console("map")
    page.get_by_role("link", name="Messages", exact=True).click()
    queue = page.get_by_role("row").filter(has_text="relay-retries-dlq")
    expect(queue.locator(".bad")).to_be_visible(timeout=VIEW_TIMEOUT)
    queue.get_by_role("link").click()
    # Other tests may have left messages in this queue.
    expect(page.get_by_label("Body").filter(has_text=event_id)).to_be_visible(timeout=VIEW_TIMEOUT)
    redrive = page.get_by_role("button", name="Redrive")
    redrive.click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("nothing was changed")
    redrive.click()
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("status")).to_contain_text(
        re.compile(r"[1-9]\d* redriven, 0 left"), timeout=VIEW_TIMEOUT
    )
    expect(page.locator("main")).to_contain_text("The queue is empty", timeout=VIEW_TIMEOUT)


def test_a_user_rolls_a_function_back(open_console: OpenPage, platform: Platform) -> None:
    functions, name = platform.aws("lambda"), platform.outputs["functions"]["health"]
    alias = {"FunctionName": name, "Name": ALIAS}
    before = functions.get_alias(**alias)["FunctionVersion"]
    settings = functions.get_function_configuration(FunctionName=name)
    functions.update_function_configuration(FunctionName=name, Description=uuid.uuid4().hex)
    functions.get_waiter("function_updated_v2").wait(FunctionName=name)
    version = functions.publish_version(FunctionName=name)
    functions.update_alias(**alias, FunctionVersion=version["Version"])
    functions.update_function_configuration(
        FunctionName=name, Description=settings.get("Description", "")
    )
    ledger = Ledger(platform.cloud)
    record = Record(
        "health", ledger.now(), uuid.uuid4().hex, "release", before, version["Version"],
        version["CodeSha256"], "ada", "0123abc",
    )  # fmt: skip
    ledger.begin([record])
    ledger.finish(record, "promoted")
    page = open_console("changes/releases")
    page.get_by_label(f"Roll health back to version {before}").first.click(timeout=VIEW_TIMEOUT)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("status")).to_contain_text(
        f"Rolled health back to version {before}", timeout=VIEW_TIMEOUT
    )
    assert functions.get_alias(**alias)["FunctionVersion"] == before


def test_a_user_invokes_a_function_with_an_example(open_console: OpenPage) -> None:
    page = open_console("functions/health")
    wait_until_loaded(page)
    page.get_by_role("button", name="Invoke").click()
    page.get_by_role("button", name="Confirm").click()
    result = page.get_by_role("status")
    expect(result).to_contain_text("Succeeded in", timeout=VIEW_TIMEOUT)
    expect(result.get_by_label("Result")).to_contain_text("200")


def test_sql_statements_can_read_but_not_write(open_console: OpenPage) -> None:
    page = open_console("data/sql")
    sql, run = page.get_by_label("SQL"), page.get_by_role("button", name="Run")
    sql.fill("SELECT count(*) AS listed FROM catalog.categories;")
    run.click()
    expect(page.get_by_role("columnheader", name="listed")).to_be_visible(timeout=VIEW_TIMEOUT)
    for statement, reason in (
        ("DELETE FROM catalog.wishes", "syntax error"),
        ("SELECT 1; DELETE FROM catalog.wishes", "multiple commands"),
        ("SELECT set_config('transaction_read_only', 'off', true)", "read-write mode"),
        ("SELECT nextval('no_such')", "does not exist"),
        ("SELECT pg_sleep(20)", "statement timeout"),
        ("SELECT pg_read_file('/etc/passwd')", "permission denied"),
    ):
        sql.fill(statement)
        run.click()
        expect(page.get_by_role("alert")).to_contain_text(reason, timeout=VIEW_TIMEOUT)
    sql.fill("SELECT generate_series(1, 1000)")
    run.click()
    expect(page.get_by_role("status").first).to_contain_text("200 rows", timeout=VIEW_TIMEOUT)
    expect(page.get_by_role("status").first).to_contain_text("there are more")


@pytest.mark.nightly
@pytest.mark.exclusive
def test_the_review_drift_and_cost_views_show_the_results_of_the_commands(
    open_console: OpenPage, platform: Platform
) -> None:
    sqs = platform.aws("sqs")
    name = platform.outputs["queues"]["relay-retries-dlq"]
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    page = open_console("changes/review")
    run = page.get_by_role("button", name=re.compile("Run"))
    run.click()
    report = page.frame_locator("iframe")
    expect(report.get_by_role("heading", level=1)).to_contain_text("local", timeout=COMMAND_TIMEOUT)
    expect(report.get_by_role("heading", name="Cost")).to_be_visible()

    page.get_by_role("link", name="Drift").click()
    drift = page.get_by_role("row").filter(has_text="aws_sqs_queue").filter(has_text="tags")
    sqs.tag_queue(QueueUrl=url, Tags={"changed-by": "console-test"})
    run.click()
    expect(drift).to_have_count(1, timeout=COMMAND_TIMEOUT)
    sqs.untag_queue(QueueUrl=url, TagKeys=["changed-by"])
    run.click()
    expect(drift).to_have_count(0, timeout=COMMAND_TIMEOUT)

    page.get_by_role("link", name="Cost").click()
    run.click()
    chat = page.get_by_role("row").filter(has=page.get_by_role("cell", name="chat", exact=True))
    expect(chat).to_contain_text(re.compile(r"\$[1-9]|\$0\.[0-9]*[1-9]"), timeout=COMMAND_TIMEOUT)


@pytest.mark.nightly
@pytest.mark.exclusive
def test_an_open_page_shows_that_the_platform_is_down_and_continues_after_make_up(
    open_console: OpenPage, platform: Platform
) -> None:
    page = open_console("requests")
    wait_until_loaded(page)
    page.evaluate("() => { window.wasNotReloaded = true; }")
    ended_parts = page.locator(".part.bad")
    no_response = page.get_by_text("The console does not respond: start it with `make up`")
    expect(ended_parts).to_have_count(0)
    for command in ("down", "up"):
        arguments = [command, "--root", str(platform.root)]
        subprocess.run([sys.executable, "-m", "ops", *arguments], cwd=PROJECT, check=True)
        if command == "down":
            expect(no_response.first).to_be_visible(timeout=VIEW_TIMEOUT)
            expect(ended_parts).to_have_count(5)
    expect(no_response).to_have_count(0, timeout=VIEW_TIMEOUT)
    expect(ended_parts).to_have_count(0, timeout=VIEW_TIMEOUT)
    correlation_id = uuid.uuid4().hex
    Api(platform.api_url).get("/health", headers={"X-Correlation-Id": correlation_id}).expect(200)
    page.get_by_label("Search").fill(correlation_id)
    expect(page.locator(".rows a")).to_have_count(1, timeout=VIEW_TIMEOUT)
    assert page.evaluate("() => window.wasNotReloaded")
