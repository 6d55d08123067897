"""Prepares the architecture picture of a report: groups, their nodes, and what changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

from ops.diagram.bundles import Bundle, Link, bundle
from ops.diagram.drawing import load_drawing
from ops.diagram.graph import Graph, Node, read_graph, view_of
from ops.diagram.layout import Box, Layout
from ops.review.review import Review, ReviewedChange
from ops.review.rules import Verdict
from ops.review.words import SIGNS
from ops.terraform.plan import Action
from ops.terraform.stack_document import Resource, Synthesized

VIEW = "overview"
ROW = 24.0
"""Height in pixels of one row: a node, heading or connection. The font has at least 12 pixels."""
TITLE_ROWS = 2
WIDTH = 1090.0
"""Width in pixels. It fits beside a scroll bar on a screen of 1152 pixels."""
NODES_SHOWN = 12
"""Maximum number of boxes for the nodes of one kind in a group. If there are more nodes, only nodes
that change have a box, and one more box shows the number of the others."""


@dataclass(frozen=True)
class Shape:
    """A node of the picture, with the changes to its resources."""

    node: Node
    changes: tuple[ReviewedChange, ...] = ()
    href: str = ""
    """A link to the details of the node's most severe change. Empty if the node does not change."""

    @property
    def label(self) -> str:
        return self.node.label

    @property
    def verdict(self) -> Verdict | None:
        """The most severe verdict, or None if the node does not change."""
        return max((item.verdict for item in self.changes), default=None)

    @property
    def sign(self) -> str:
        """The symbol of the action on the node. `~` for several different actions."""
        actions = {item.change.action for item in self.changes}
        return SIGNS[actions.pop()] if len(actions) == 1 else SIGNS[Action.UPDATE]

    @property
    def description(self) -> str:
        """The node and the actions on it, in one line."""
        names = f" ({', '.join(self.node.names)})" if self.node.names else ""
        text = f"{self.node.kind} {self.label}{names}"
        if not self.changes:
            return f"{text}: unchanged"
        actions = ", ".join(
            dict.fromkeys(item.change.action.past_participle for item in self.changes)
        )
        return f"{text}: {actions}; {self.verdict} ({_counted(len(self.changes), 'change')})"


@dataclass(frozen=True)
class Section:
    """The nodes of one kind in a group. Nodes that change come first, sorted by severity."""

    kind: str
    shapes: tuple[Shape, ...]

    @property
    def shown(self) -> tuple[Shape, ...]:
        if len(self.shapes) <= NODES_SHOWN:
            return self.shapes
        return tuple(shape for shape in self.shapes if shape.changes)[: NODES_SHOWN - 1]

    @property
    def rest(self) -> tuple[Shape, ...]:
        """The nodes that have no box. The page lists them below the picture."""
        return self.shapes[len(self.shown) :]

    @property
    def rest_verdict(self) -> Verdict | None:
        return self.rest[0].verdict if self.rest else None

    @property
    def rest_text(self) -> str:
        changed = sum(bool(shape.changes) for shape in self.rest)
        return f"{len(self.rest)} more, {f'{changed} changed' if changed else 'unchanged'}"

    @property
    def rows(self) -> int:
        return 1 + len(self.shown) + bool(self.rest)


@dataclass(frozen=True)
class Panel:
    """A group of nodes, with its position in the picture."""

    name: str
    title: str
    sections: tuple[Section, ...]
    box: Box
    links: tuple[Link, ...]
    inside: tuple[str, ...]
    """The connections inside the group. The page lists them, and the picture has no lines for them.
    """

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return tuple(shape for section in self.sections for shape in section.shapes)

    @cached_property
    def summary(self) -> str:
        """The number of resources and changes, for example `23 resources, 4 changes`."""
        resources = _counted(sum(len(shape.node.members) for shape in self.shapes), "resource")
        changes = sum(len(shape.changes) for shape in self.shapes)
        return f"{resources}, {_counted(changes, 'change')}" if changes else resources


@dataclass(frozen=True)
class Picture:
    """The architecture with the changes of a plan."""

    title: str
    layout: Layout
    panels: tuple[Panel, ...]
    bundles: tuple[Bundle, ...]
    elsewhere: int
    """The number of changes that belong to no node."""


def draw_picture(review: Review, stack: Synthesized, anchors: Mapping[str, str]) -> Picture:
    """Returns the picture of a stack, including the resources that the plan destroys.

    Args:
        anchors: The id of the page element that describes a change, by the key of the change. The
            nodes link to these elements.
    """
    graph = view_of(read_graph(_with_destroyed(stack, review)), VIEW)
    by_node: dict[str, list[ReviewedChange]] = {}
    elsewhere = 0
    for item in review.changes:
        node = node_of(item, graph)
        if node:
            by_node.setdefault(node.id, []).append(item)
        else:
            elsewhere += 1
    shapes = [_shape(node, by_node.get(node.id, []), anchors) for node in graph.nodes]
    sections = {
        group: tuple(_sections([shape for shape in shapes if shape.node.group == group]))
        for group in graph.groups
    }
    bodies = {
        group: ROW * (TITLE_ROWS + sum(section.rows for section in sections[group]))
        for group in graph.groups
    }
    bundled = bundle(graph, bodies, ROW, WIDTH)
    return Picture(
        title=f"{load_drawing().views[VIEW].title}: {review.environment}, with the changes of the"
        " plan",
        layout=bundled.layout,
        panels=tuple(
            Panel(
                box.name,
                graph.groups[box.name],
                sections[box.name],
                box,
                tuple(bundled.links(box)),
                bundled.inside(box.name),
            )
            for box in bundled.layout.boxes
        ),
        bundles=bundled.bundles,
        elsewhere=elsewhere,
    )


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


def node_of(item: ReviewedChange, graph: Graph) -> Node | None:
    """Returns the node of a changed resource.

    If no node represents the resource, returns the node of the closest construct that contains the
    resource and has nodes. Returns None if that construct has several nodes.
    """
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


def _shape(node: Node, items: Sequence[ReviewedChange], anchors: Mapping[str, str]) -> Shape:
    if not items:
        return Shape(node)
    worst = max(items, key=lambda item: item.verdict)
    return Shape(node, tuple(items), f"#{anchors[worst.change.key]}")


def _sections(shapes: Iterable[Shape]) -> Iterator[Section]:
    for kind, of_kind in groupby(shapes, key=lambda shape: shape.node.kind):
        ordered = sorted(
            of_kind, key=lambda shape: -1 if shape.verdict is None else shape.verdict, reverse=True
        )
        yield Section(kind, tuple(ordered))


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
