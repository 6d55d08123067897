"""Draws the architecture with the changes of a plan highlighted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ops.diagram.drawing import load_drawing
from ops.diagram.graph import Graph, Node, read_graph, view_of
from ops.diagram.svg import Mark, svg
from ops.review.review import Judged, Review
from ops.terraform.plan import Action
from ops.terraform.stack_document import Resource, Synthesized

VIEW = "overview"


def marked_picture(
    review: Review, stack: Synthesized, anchors: Mapping[str, str]
) -> tuple[str, tuple[str, ...]]:
    """Returns the diagram as SVG without CSS, and the addresses of changes that have no node.

    Args:
        anchors: The id of the page element that a node links to, by the key of the node's change.
    """
    graph = view_of(read_graph(_with_destroyed(stack, review)), VIEW)
    by_node: dict[str, list[Judged]] = {}
    elsewhere = []
    for item in review.changes:
        node = node_of(item, graph)
        if node:
            by_node.setdefault(node.id, []).append(item)
        else:
            elsewhere.append(item.change.address)
    nodes = {node.id: node for node in graph.nodes}
    marks = {id_: _mark(nodes[id_], items, anchors) for id_, items in by_node.items()}
    title = (
        f"{load_drawing().views[VIEW].title}: {review.environment}, with the changes of the plan"
    )
    return svg(graph, marks, title=title, style=""), tuple(elsewhere)


def _with_destroyed(stack: Synthesized, review: Review) -> Synthesized:
    """Returns the stack, including the resources that the plan destroys."""
    gone = {
        item.change.address: Resource(
            item.change.type,
            item.change.address.partition(".")[2],
            item.construct,
            dict(item.change.before),
        )
        for item in review.changes
        if item.change.action is Action.DESTROY and item.change.address not in stack.resources
    }
    return replace(stack, resources={**stack.resources, **gone})


def node_of(item: Judged, graph: Graph) -> Node | None:
    """Returns the node of a changed resource or of the closest construct that contains it."""
    own = graph.by_member.get(item.change.address)
    if own:
        return own
    kinds = load_drawing().nodes
    owners = [node for node in graph.nodes if not kinds[node.type].folded]
    parent = item.construct.path.rpartition("/")[0]
    while parent:
        inside = [
            node for node in owners if any(path.startswith(f"{parent}/") for path in node.paths)
        ]
        if len(inside) == 1:
            return inside[0]
        if inside:
            return None
        parent = parent.rpartition("/")[0]
    return None


def _mark(node: Node, items: Iterable[Judged], anchors: Mapping[str, str]) -> Mark:
    items = list(items)
    worst = max(items, key=lambda item: item.verdict)
    actions = ", ".join(dict.fromkeys(item.change.action.past for item in items))
    number = f"{len(items)} change{'s' if len(items) > 1 else ''}"
    label = f"{node.kind} {node.label}: {actions}; {worst.verdict} ({number})"
    return Mark(f"verdict-{worst.verdict}", f"#{anchors[worst.change.key]}", label)
