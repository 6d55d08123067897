"""Places the groups of a graph, and combines the edges between two groups into one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from ops.diagram.drawing import load_drawing
from ops.diagram.graph import Edge, Graph
from ops.diagram.layout import Box, Frame, Layout, Line, Pair, arrange

ARROWS = {(True, False): "→", (False, True): "←", (True, True): "↔"}
"""The arrow of a line between two groups. The key: whether a connection leads from the first group
to the second, and whether one leads from the second to the first."""
_TURNED = str.maketrans("→←", "←→")


@dataclass(frozen=True)
class Bundle:
    """All connections between two groups."""

    id: str
    titles: Pair
    arrow: str
    connections: tuple[str, ...]
    line: Line


@dataclass(frozen=True)
class Link:
    """A row of a group that names a connected group. The line to that group ends at the row."""

    arrow: str
    title: str
    bundle: Bundle


@dataclass(frozen=True)
class Bundled:
    """A graph with placed groups and one line per pair of connected groups."""

    graph: Graph
    layout: Layout

    @cached_property
    def bundles(self) -> tuple[Bundle, ...]:
        edges = _by_pair(self.graph)
        return tuple(_bundle(line, edges[line.pair], self.graph) for line in self.layout.lines)

    def links(self, box: Box) -> Iterator[Link]:
        """Yields the rows of a group, in the order of `box.rows`."""
        by_pair = {bundle.line.pair: bundle for bundle in self.bundles}
        for other in box.rows:
            forwards = by_pair.get((box.name, other))
            bundle = forwards or by_pair[other, box.name]
            arrow = bundle.arrow if forwards else bundle.arrow.translate(_TURNED)
            yield Link(arrow, self.graph.groups[other], bundle)

    def inside(self, group: str) -> tuple[str, ...]:
        """Returns the connections between nodes of the same group.

        The diagram draws no line for them.
        """
        groups = _groups(self.graph)
        return tuple(
            _sentence(edge, self.graph)
            for edge in self.graph.edges
            if groups[edge.source] == groups[edge.target] == group
        )


def bundle(graph: Graph, bodies: Mapping[str, float], row: float, width: float) -> Bundled:
    """Returns the graph with placed groups.

    Args:
        bodies: the height of each group's contents above the rows of its connections.
        row: the height of a row.
        width: the desired width.
    """
    kinds = load_drawing().groups
    frames = [Frame(group, kinds[group].column, bodies[group], row) for group in graph.groups]
    return Bundled(graph, arrange(frames, _by_pair(graph), width))


def _groups(graph: Graph) -> Mapping[str, str]:
    return {node.id: node.group for node in graph.nodes}


def _by_pair(graph: Graph) -> dict[Pair, list[Edge]]:
    """Returns the edges between different groups, by pair of groups. Each pair is a key in both
    orders, with the edges of both directions.
    """
    groups = _groups(graph)
    pairs: dict[Pair, list[Edge]] = {}
    for edge in graph.edges:
        one, other = groups[edge.source], groups[edge.target]
        if one != other:
            pairs.setdefault((one, other), []).append(edge)
            pairs.setdefault((other, one), [])
    return {(one, other): [*edges, *pairs[other, one]] for (one, other), edges in pairs.items()}


def _bundle(line: Line, edges: Iterable[Edge], graph: Graph) -> Bundle:
    one, other = line.pair
    groups = _groups(graph)
    connections = sorted(
        edges, key=lambda edge: (groups[edge.source] != one, edge.source, edge.target)
    )
    directions = {groups[edge.source] == one for edge in connections}
    return Bundle(
        id=f"between-{one}-{other}",
        titles=(graph.groups[one], graph.groups[other]),
        arrow=ARROWS[True in directions, False in directions],
        connections=tuple(_sentence(edge, graph) for edge in connections),
        line=line,
    )


def _sentence(edge: Edge, graph: Graph) -> str:
    source, target = (graph.by_id[end] for end in (edge.source, edge.target))
    return f"{source.kind} {source.label} {edge.text} {target.kind} {target.label}"
