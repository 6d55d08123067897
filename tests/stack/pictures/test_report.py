"""Tests the report of a plan in a real browser, and the duration of a large plan's review."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from ops.cost.usage import load_usage
from ops.diagram.graph import read_graph, view_of
from ops.review.document import review_document
from ops.review.markdown import LONGEST_COMMENT, review_markdown
from ops.review.report.html import review_html
from ops.review.review import Review, review
from ops.review.text import review_lines
from ops.terraform.plan import read_plan
from ops.terraform.stack_document import Resource, Synthesized, read_synthesized
from tests.browser import check_accessibility
from tests.ops.review.documents import (
    Block,
    crowded_plan,
    crowded_stack,
    document,
    item,
    large_plan,
    stack_plan,
)
from tests.stack.pictures.screens import LAPTOP, SMALLEST_TEXT

SCRIPT = "<script>document.title = 'run'</script>"
"""A value that the page must display, not execute."""
PHONE = 360
"""The width of a phone's screen in pixels."""
WIDTHS = [PHONE, 800, 1151, 1152, LAPTOP, 2560]
MEASURES = """() => {
    const box = (element) => element.getBoundingClientRect();
    const inner = [...document.querySelectorAll(".panel")].map(box);
    const texts = document.createTreeWalker(document.querySelector(".map"), NodeFilter.SHOW_TEXT);
    const sizes = [];
    for (let text = texts.nextNode(); text; text = texts.nextNode())
        if (text.data.trim() && !text.parentElement.closest(".visually-hidden"))
            sizes.push(parseFloat(getComputedStyle(text.parentElement).fontSize));
    const crossings = [];
    for (const line of document.querySelectorAll(".line")) {
        const matrix = line.getScreenCTM();
        for (let at = 0; at <= line.getTotalLength(); at += 2) {
            const { x, y } = line.getPointAtLength(at).matrixTransform(matrix);
            // The ends of a line are on the borders of boxes.
            const crossed = inner.some((rect) =>
                rect.left + 2 < x && x < rect.right - 2 && rect.top + 2 < y && y < rect.bottom - 2);
            if (crossed) crossings.push([line.dataset.bundle, x, y]);
        }
    }
    const isCut = (panel) => panel.scrollHeight > panel.clientHeight + 1;
    return {
        smallest: Math.min(...sizes),
        lines: document.querySelectorAll(".line").length,
        crossings,
        cut: [...document.querySelectorAll(".panel")].filter(isCut).map((panel) => panel.id),
        map: box(document.querySelector(".map")).width,
        main: box(document.querySelector("main")).width,
        boxes: document.querySelectorAll(".map .shape").length,
    };
}"""
"""JavaScript that measures the architecture picture on the screen."""


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
    alarms = [
        item for item in stack.resources.values() if item.type == "aws_cloudwatch_metric_alarm"
    ]
    for path, number in (("ai/", 1), ("chat/", 2)):
        of_service = [item for item in alarms if item.construct.path.startswith(path)]
        changed |= {item.address: None for item in of_service[:number]}
    logs = first_resource(stack, "aws_cloudwatch_log_group", "chat/")
    other_logs = first_resource(stack, "aws_cloudwatch_log_group", "auth/")
    for group in (logs, other_logs):
        changed[group.address] = {**group.block, "retention_in_days": 1}
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


@pytest.fixture
def page(browser: Browser, report: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    scheme: Literal["light", "dark"] = getattr(request, "param", "light")
    # The page must not load external resources. The context blocks requests, and the end of this
    # fixture fails if the page sent any.
    context = browser.new_context(
        viewport={"width": LAPTOP, "height": 768}, color_scheme=scheme, offline=True
    )
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


def open_everything(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((item) => { item.open = true; })")


def test_the_first_screen_shows_the_verdict_and_the_decisions(page: Page, reviewed: Review) -> None:
    for width in (LAPTOP, PHONE):
        page.set_viewport_size({"width": width, "height": 768})
        assert page.get_by_role("heading", level=1).inner_text().split() == ["dev", "irreversible"]
        for selector in (".figures", ".verdicts", "#decide-title"):
            box = page.locator(selector).bounding_box()
            assert box
            assert box["y"] + box["height"] < 768, f"{selector} must be on the first screen"
    titles = page.get_by_role("heading", level=2).all_inner_texts()
    assert titles == ["What to decide", "Architecture", "Cost", "All changes", "Plan"]
    decision = page.locator(".decision:visible").first
    assert "2 CloudWatch log groups keep 1 days instead of" in decision.inner_text()
    assert decision.locator("li").first.is_hidden()
    decision.locator("summary").click()
    links = decision.get_by_role("link")
    assert links.all_inner_texts() == ["auth/function/logs", "chat/function/logs"]
    links.first.click()
    assert "auth/function/logs" in page.locator("details.change[open]").inner_text()
    listed = page.locator(".decision").locator("li").count()
    assert listed == len(reviewed.changes), "each change must be in exactly one group"


def test_the_page_never_scrolls_horizontally(page: Page) -> None:
    open_everything(page)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 768})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_the_page_is_accessible_to_screen_readers(page: Page) -> None:
    open_everything(page)
    for width in (LAPTOP, PHONE):
        page.set_viewport_size({"width": width, "height": 768})
        check_accessibility(page)
    for role in ("banner", "navigation", "main"):
        assert page.get_by_role(role).count() == 1
    assert page.get_by_role("region", name="All changes").count() == 1


def test_the_page_is_dark_if_the_system_uses_dark_colors(page: Page) -> None:
    background_color = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background_color)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(background_color)
    page.emulate_media(color_scheme="dark", media="print")
    assert light == "rgb(245, 247, 250)"
    assert dark == "rgb(18, 22, 26)"
    text_color = "getComputedStyle(document.body).color"
    assert page.evaluate(text_color) == "rgb(31, 41, 51)", "printed text must be dark"


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
    assert shown.count() == len(reviewed.changes) == 8
    page.get_by_label("irreversible", exact=True).uncheck()
    assert shown.count() == 6
    assert page.get_by_role("status").inner_text() == "6 of 8 changes"
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
    assert SCRIPT in text, "the value must be displayed as text"
    assert page.title() == "Plan for dev: irreversible", "the script must not change the title"


def test_changed_nodes_are_highlighted_and_linked_to_their_change(page: Page) -> None:
    aurora = page.locator("#node-database_aurora")
    assert "verdict-dangerous" in str(aurora.get_attribute("class"))
    fill = "element => getComputedStyle(element).backgroundColor"
    assert aurora.evaluate(fill) != page.locator("#node-database_cache").evaluate(fill)
    # A change of a resource inside a function highlights the function.
    assert "verdict-review" in str(page.locator("#node-post_function").get_attribute("class"))
    aurora.click()
    assert page.locator("details.change[open]").inner_text().startswith("~")
    assert page.evaluate("location.hash") == page.locator("details.change[open]").evaluate(
        "element => '#' + element.id"
    )


def page_of(browser: Browser, path: Path, text: str, *, scripts: bool = True) -> Page:
    path.write_text(text, encoding="utf-8")
    context = browser.new_context(
        viewport={"width": LAPTOP, "height": 768}, offline=True, java_script_enabled=scripts
    )
    page = context.new_page()
    page.goto(path.as_uri())
    return page


def test_the_picture_of_all_of_prod_is_readable(
    browser: Browser, synthesized: Path, tmp_path: Path
) -> None:
    stack = read_synthesized(synthesized / "prod")
    creates = (
        item(resource.type, resource.label, None, resource.block)
        for resource in stack.resources.values()
    )
    result = review(read_plan(document(*creates)), "prod", stack)
    assert len(result.changes) >= 500
    page = page_of(browser, tmp_path / "prod.html", review_html(result, stack))
    measured = page.evaluate(MEASURES)
    assert measured["smallest"] >= SMALLEST_TEXT
    assert measured["crossings"] == measured["cut"] == []
    assert 8 <= measured["lines"] <= 21, (
        "there must be at most one line for each of the 21 pairs of groups"
    )
    page.context.close()


def test_the_picture_of_500_nodes_is_readable(browser: Browser, tmp_path: Path) -> None:
    stack = crowded_stack()
    result = review(read_plan(crowded_plan(stack)), "crowded", stack)
    page = page_of(browser, tmp_path / "crowded.html", review_html(result, stack))
    measured = page.evaluate(MEASURES)
    assert measured["smallest"] >= SMALLEST_TEXT
    assert measured["crossings"] == measured["cut"] == []
    assert measured["lines"] == 21
    assert measured["map"] <= measured["main"]
    assert measured["boxes"] < 250
    # The nodes without a box are in the lists below the picture.
    assert page.locator(".on-demand ul[id^=nodes-] > li").count() == 500
    graph = view_of(read_graph(stack), "overview")
    connections = page.locator(".on-demand ul:not([id^=nodes-]) > li")
    assert connections.count() == len(graph.edges) > 1000
    named = set(page.locator(".on-demand ul[id^=nodes-] a").all_text_contents())
    assert len(named) == len(result.changes)
    page.context.close()


def test_the_page_works_without_javascript(
    browser: Browser, reviewed: Review, stack: Synthesized, tmp_path: Path
) -> None:
    page = page_of(browser, tmp_path / "still.html", review_html(reviewed, stack), scripts=False)
    assert page.locator(".filters").is_hidden(), "filters must be hidden without JavaScript"
    page.locator(".decision summary").first.click()
    assert page.get_by_role("link", name="auth/function/logs").first.is_visible()
    connections = page.locator("#between-compute-data")
    assert connections.is_hidden()
    page.locator(".links a[href='#between-compute-data']").first.click()
    assert connections.is_visible(), "a link must open the list to which it leads"
    assert "Lambda chat reads and writes DynamoDB chat tables" in connections.inner_text()
    page.context.close()


def test_costs_are_listed_with_the_largest_difference_first(page: Page, reviewed: Review) -> None:
    assert reviewed.cost
    rows = page.locator(".costs tbody tr")
    assert rows.count() == len(reviewed.cost.changed_services) >= 2
    differences = [
        float(text.replace(",", "")) for text in rows.locator(".difference").all_inner_texts()
    ]
    assert differences == sorted(differences, key=lambda amount: -abs(amount))
    assert 0 not in differences
    widths = rows.locator(".bar").evaluate_all("bars => bars.map((bar) => bar.style.width)")
    assert widths[0] == "100%"
    other = len(reviewed.cost.services) - len(differences)
    assert (
        f"The cost of {other} other services does not change" in page.locator("#cost").inner_text()
    )


def test_the_page_can_be_printed(page: Page) -> None:
    page.emulate_media(media="print")
    assert page.locator(".filters").is_hidden()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgba(0, 0, 0, 0)", "the body must not print its background"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.decision:not([open])").count() == 0
    # A printed page without its margins is 718 pixels wide, too narrow for the picture's lines.
    page.set_viewport_size({"width": 718, "height": 1000})
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    assert page.locator(".map .lines").is_hidden()
    assert page.locator(".map .links").first.is_visible()
    assert len(page.pdf()) > 10_000
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_the_file_loads_no_external_resources(report: Path) -> None:
    text = report.read_text().replace("url(#arrow)", "")
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
