"""Tests the report of a plan in a real browser, and the time that a large_plan plan takes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from ops.cost.usage import load_usage
from ops.review.document import review_document
from ops.review.markdown import LONGEST_COMMENT, review_markdown
from ops.review.report.html import review_html
from ops.review.review import Review, review
from ops.review.text import review_lines
from ops.terraform.plan import read_plan
from ops.terraform.stack_document import Resource, Synthesized, read_synthesized
from tests.ops.review.documents import Block, large_plan, stack_plan

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
SCRIPT = "<script>document.title = 'run'</script>"
"""A value that the page must display, not execute."""
WIDTHS = [1200, 400]


def first_resource(stack: Synthesized, type_: str, path: str) -> Resource:
    return next(
        item
        for item in stack.resources.values()
        if item.type == type_ and item.construct.path.startswith(path)
    )


@pytest.fixture(scope="module")
def stack(synthesized: Path) -> Synthesized:
    return read_synthesized(synthesized / "dev")


@pytest.fixture(scope="module")
def reviewed(stack: Synthesized) -> Review:
    changed: dict[str, Block | None] = {}
    alarm = first_resource(stack, "aws_cloudwatch_metric_alarm", "ai/")
    changed[alarm.address] = None
    logs = first_resource(stack, "aws_cloudwatch_log_group", "chat/")
    changed[logs.address] = {**logs.block, "retention_in_days": 1}
    table = first_resource(stack, "aws_dynamodb_table", "database/chat-messages")
    changed[table.address] = {**table.block, "tags": {**table.block["tags"], "Note": SCRIPT}}
    function = first_resource(stack, "aws_lambda_function", "post/")
    changed[function.address] = {**function.block, "runtime": "python3.99", "description": SCRIPT}
    cluster = first_resource(stack, "aws_rds_cluster", "database/")
    capacity = {"min_capacity": 0.5, "max_capacity": 0.5}
    changed[cluster.address] = {**cluster.block, "serverlessv2_scaling_configuration": capacity}
    return review(
        read_plan(stack_plan(stack, changed)), "dev", stack, usage=load_usage("1m"), digest="0" * 64
    )


@pytest.fixture(scope="module")
def report(reviewed: Review, stack: Synthesized, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(review_html(reviewed, stack), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        assert "CI" not in os.environ, "CI has a Chromium: .ci/run installs it"
        pytest.skip("there is no Chromium on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, report: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    width = getattr(request, "param", WIDTHS[0])
    # The offline context prevents requests, and the end of this fixture reports them.
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    page = context.new_page()
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    requested: list[str] = []
    page.on("request", lambda sent: requested.append(sent.url))
    page.goto(report.as_uri())
    yield page
    assert messages == []
    assert requested == [report.as_uri()]
    context.close()


@pytest.mark.parametrize("page", WIDTHS, indirect=True)
def test_the_summary_fits_the_first_screen_without_horizontal_scrolling(page: Page) -> None:
    assert page.get_by_role("heading", level=1).inner_text().split() == ["dev", "irreversible"]
    for selector in (".figures", ".verdicts"):
        box = page.locator(selector).bounding_box()
        assert box
        assert box["y"] + box["height"] < 900
    page.locator("#open-all").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")


@pytest.mark.parametrize("page", WIDTHS, indirect=True)
def test_the_page_is_accessible_to_screen_readers(page: Page) -> None:
    page.locator("#open-all").click()
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    for role in ("banner", "navigation", "main"):
        assert page.get_by_role(role).count() == 1
    assert page.get_by_role("region", name="Changes").count() == 1


def test_the_page_works_with_the_keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the changes"
    page.keyboard.press("Enter")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    page.keyboard.press("Enter")
    assert page.locator("details.change[open]").count() == 1
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_filters_show_only_matching_changes(page: Page, reviewed: Review) -> None:
    shown = page.locator("details.change:visible")
    assert shown.count() == len(reviewed.changes) == 5
    page.get_by_label("irreversible", exact=True).uncheck()
    assert shown.count() == 4
    assert page.get_by_role("status").inner_text() == "4 of 5 changes"
    page.get_by_label("Service").select_option("post")
    assert shown.count() == 1
    assert shown.first.get_attribute("data-service") == "post"
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Name contains").fill("CHAT-messages")
    assert shown.count() == 1
    # A link to a change shows it even if a filter hides it.
    page.evaluate("location.hash = 'change-1'")
    page.wait_for_selector("#change-1[open]")


def test_a_change_shows_its_details(page: Page) -> None:
    change = page.locator("details.change", has_text="post/function/function")
    change.locator("summary").click()
    text = change.inner_text()
    assert "the runtime is python3.99 instead of python3.13" in text
    assert SCRIPT in text, "the value is displayed as text"
    assert page.title() == "Plan for dev: irreversible", "the script has not changed the title"


def test_changed_nodes_are_highlighted_and_linked_to_their_change(page: Page) -> None:
    aurora = page.locator("#diagram-database_aurora")
    assert "verdict-dangerous" in str(aurora.get_attribute("class"))
    fill = "element => getComputedStyle(element.querySelector('path, polygon')).fill"
    assert aurora.evaluate(fill) != page.locator("#diagram-database_cache").evaluate(fill)
    # A change of a resource inside a function highlights the function.
    assert page.locator(".node.verdict-irreversible").count() == 1
    aurora.locator("a").first.click()
    assert page.locator("details.change[open]").inner_text().startswith("~")
    assert page.evaluate("location.hash") == page.locator("details.change[open]").evaluate(
        "element => '#' + element.id"
    )


def test_costs_are_shown_as_bars(page: Page, reviewed: Review) -> None:
    assert reviewed.cost
    assert page.locator(".costs tbody tr").count() == len(reviewed.cost.services)
    longest = page.locator(".costs .bar.before").evaluate_all(
        "bars => Math.max(...bars.map(bar => parseFloat(bar.style.width)))"
    )
    assert longest == 100


def test_the_page_can_be_printed(page: Page) -> None:
    page.emulate_media(media="print")
    assert page.locator(".filters").is_hidden()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert len(page.pdf()) > 10_000
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.change[open]").count() == 0


def test_the_file_loads_no_external_resources(report: Path) -> None:
    text = report.read_text()
    for attribute in ("src=", "@import", "url(", "<link", "<iframe"):
        assert attribute not in text


def test_a_plan_of_500_resources_takes_less_than_2_seconds(synthesized: Path) -> None:
    stack = read_synthesized(synthesized / "prod")
    plan = large_plan(stack)
    assert len(plan["resource_changes"]) >= 500
    begun = time.process_time()
    reviewed = review(read_plan(plan), "prod", stack, usage=load_usage("1m"))
    text = "\n".join(line.plain for line in review_lines(reviewed))
    markdown, page = review_markdown(reviewed), review_html(reviewed, stack)
    assert review_document(reviewed)["verdict"] == "irreversible"
    # CPU time excludes the load of other processes.
    assert time.process_time() - begun < 2
    assert len(reviewed.changes) >= 500
    assert "irreversible" in text
    assert len(markdown) < LONGEST_COMMENT + 1000
    assert page.count("<details") >= 500
