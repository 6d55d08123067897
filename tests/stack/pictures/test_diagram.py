"""Tests the diagrams: edges come from references, permissions and event routes."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from ops.diagram.drawing import load_drawing
from ops.diagram.graph import Graph, read_graph, view_of
from ops.diagram.mermaid import mermaid
from ops.diagram.pages import regenerate_diagrams
from ops.diagram.svg import svg
from ops.errors import OperatorError
from ops.root import PROJECT
from ops.terraform.stack_document import Synthesized, read_synthesized
from tests.stack.pictures.screens import LAPTOP, SMALLEST_TEXT

DOCUMENT = PROJECT / "docs" / "architecture" / "diagrams.md"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def stack(synthesized: Path) -> Synthesized:
    return read_synthesized(synthesized / "prod")


@pytest.fixture(scope="module")
def graph(stack: Synthesized) -> Graph:
    return read_graph(stack)


def test_the_diagrams_in_the_documents_are_up_to_date(graph: Graph) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == regenerate_diagrams(text, graph), (
        "run: python -m ops diagram prod --into docs/architecture/diagrams.md"
    )


def test_the_picture_in_the_readme_is_up_to_date(graph: Graph) -> None:
    title = f"{load_drawing().views['overview'].title}: prod"
    picture = PROJECT / "docs" / "architecture" / "overview.svg"
    drawn = svg(view_of(graph, "overview"), title=title) + "\n"
    assert picture.read_text(encoding="utf-8") == drawn, (
        "run: ops diagram prod --format svg -o docs/architecture/overview.svg"
    )


def test_every_drawn_resource_is_in_exactly_one_node(stack: Synthesized, graph: Graph) -> None:
    kinds = load_drawing().nodes
    drawn = [address for node in graph.nodes for address in node.members]
    assert len(drawn) == len(set(drawn))
    expected = {
        item.address
        for item in stack.resources.values()
        if item.type in kinds and kinds[item.type].where in {None, *item.block}
    }
    assert set(drawn) == expected
    tables = [node for node in graph.nodes if node.type == "aws_dynamodb_table"]
    assert len(tables) == sum(
        item.type == "aws_dynamodb_table" for item in stack.resources.values()
    )


@pytest.mark.parametrize(
    ("source", "target", "label"),
    [
        pytest.param("rest_api", "auth_function", "calls", id="a REST integration"),
        pytest.param("rest_api", "authorizer_function", "authorizes with", id="an authorizer"),
        pytest.param("websocket_api", "chat_function", "calls", id="a WebSocket route"),
        pytest.param(
            "chat_function", "websocket_api", "posts", id="a permission to post to connections"
        ),
        pytest.param(
            "chat_function",
            "database_chat_messages_table",
            "reads and writes",
            id="permissions on a table",
        ),
        pytest.param(
            "post_function", "database_auth_sessions_table", "reads", id="a permission to read"
        ),
        pytest.param(
            "catalog_function", "database_aurora", "connects", id="a permission to connect"
        ),
        pytest.param(
            "auth_function",
            "security_user_pool",
            "reads and writes",
            id="permissions on the user pool",
        ),
        pytest.param("auth_function", "messaging_bus", "publishes", id="a permission to publish"),
        pytest.param("chat_function", "delivery_frames_queue", "sends", id="a permission to send"),
        pytest.param(
            "statistics_function",
            "messaging_work_queue",
            "receives",
            id="a permission to receive and delete",
        ),
        pytest.param(
            "messaging_bus", "messaging_notifications_topic", "events", id="a rule's target"
        ),
        pytest.param(
            "messaging_bus",
            "messaging_undelivered_queue",
            "undelivered",
            id="the dead-letter queue of a rule",
        ),
        pytest.param("messaging_bus", "messaging_archive", "archives", id="an archive"),
        pytest.param("cdn_media", "storage_avatars_bucket", "serves", id="an origin"),
        pytest.param("rest_api_records_a", "rest_api", "resolves to", id="a DNS record"),
        pytest.param("security_firewall", "rest_api", "protects", id="a firewall"),
        pytest.param("cloudwatch_metric_alarm", "messaging_alerts_topic", "alarms", id="alarms"),
    ],
)
def test_edges_are_labeled_by_kind(graph: Graph, source: str, target: str, label: str) -> None:
    assert {
        edge.text for edge in graph.edges if (edge.source, edge.target) == (source, target)
    } == {label}


def test_removing_a_permission_removes_its_edge(stack: Synthesized) -> None:
    policies = {
        address: item
        for address, item in stack.resources.items()
        if item.type == "aws_iam_role_policy"
    }
    without_policies = Synthesized(
        stack.environment,
        stack.region,
        {k: v for k, v in stack.resources.items() if k not in policies},
    )
    edges = {(edge.source, edge.target): edge.text for edge in read_graph(without_policies).edges}
    assert ("auth_function", "messaging_bus") in edges, "an edge for the reference must remain"
    assert edges["auth_function", "messaging_bus"] == "refers to"
    assert not [
        text
        for text in edges.values()
        if text in ("reads", "writes", "reads and writes", "publishes", "sends", "receives")
    ]


def test_groups_match_the_documentation(graph: Graph) -> None:
    assert list(graph.groups.values()) == [
        "Frontend & CDN",
        "API Layer",
        "Compute Layer",
        "Data Layer",
        "Event & Messaging",
        "Storage & Assets",
        "Monitoring & Security",
    ]
    groups = {node.id: node.group for node in graph.nodes}
    assert groups["storage_frontend_bucket"] == "edge"
    assert groups["storage_avatars_bucket"] == "storage"


@pytest.mark.parametrize("view", load_drawing().views)
def test_a_diagram_is_deterministic_and_complete(stack: Synthesized, view: str) -> None:
    shuffled = Synthesized(
        stack.environment, stack.region, dict(reversed(list(stack.resources.items())))
    )
    one, other = (view_of(read_graph(source), view) for source in (stack, shuffled))
    assert mermaid(one) == mermaid(other)
    ids = {node.id for node in one.nodes}
    assert len(ids) == len(one.nodes) > 5
    assert all({edge.source, edge.target} <= ids for edge in one.edges)
    root = ET.fromstring(svg(one, title="A picture"))  # noqa: S314 - our own
    drawn = {element.get("id") for element in root.iter(f"{SVG}g")}
    assert {f"diagram-{id_}" for id_ in ids} <= drawn
    assert root.findtext(f"{SVG}title") == "A picture"
    lines = [element for element in root.iter(f"{SVG}path") if element.get("class") == "line"]
    groups = {node.id: node.group for node in one.nodes}
    pairs = [{groups[edge.source], groups[edge.target]} for edge in one.edges]
    assert len(lines) == len({frozenset(pair) for pair in pairs if len(pair) == 2})
    titles = [title for line in lines for title in str(line.findtext(f"{SVG}title")).split("\n")]
    assert len(titles) == sum(len(pair) == 2 for pair in pairs)


def test_a_document_without_diagrams_is_rejected(graph: Graph) -> None:
    with pytest.raises(OperatorError, match="no diagram"):
        regenerate_diagrams("# Nothing\n", graph)
    with pytest.raises(OperatorError, match="Unknown view everything"):
        regenerate_diagrams("<!-- ops diagram: everything -->\n```mermaid\n```\n", graph)


@pytest.mark.parametrize("view", load_drawing().views)
def test_a_diagram_is_readable_on_a_laptop(graph: Graph, browser: Browser, view: str) -> None:
    """Does not test whether lines cross boxes, because the tests of the layout do."""
    page = browser.new_page(viewport={"width": LAPTOP, "height": 768})
    page.set_content(svg(view_of(graph, view), title="A picture"))
    measured = page.evaluate("""() => {
        const box = (element) => element.getBoundingClientRect();
        const texts = [...document.querySelectorAll("text")];
        const isOutside = (text) => {
            const inner = box(text), outer = box(text.parentElement.querySelector("rect"));
            return inner.right > outer.right || inner.bottom > outer.bottom;
        };
        return {
            width: box(document.querySelector("svg")).width,
            smallest: Math.min(...texts.map((text) => parseFloat(getComputedStyle(text).fontSize))),
            outside: texts.filter(isOutside).map((text) => text.textContent),
        };
    }""")
    page.close()
    assert measured["width"] <= LAPTOP
    assert measured["smallest"] >= SMALLEST_TEXT
    assert measured["outside"] == []
