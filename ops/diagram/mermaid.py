"""Renders a graph as Mermaid text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ops.diagram.graph import REFERS, Edge, Graph, Node

LINE_LENGTH = 100


def mermaid(graph: Graph, *, words: bool = True) -> str:
    """Returns the Mermaid source of a graph. Edges for reads and references are dotted.

    Args:
        words: True to label the edges.
    """
    return "\n".join(_lines(graph, words)) + "\n"


def _lines(graph: Graph, words: bool) -> Iterator[str]:
    yield "graph LR"
    for group, title in graph.groups.items():
        yield f'    subgraph {group} ["{_text(title)}"]'
        yield from (f"        {_node(node)}" for node in graph.nodes if node.group == group)
        yield "    end"
    # To keep the text short, combines edges with the same arrow into statements such as
    # `a & b --> c & d`. First combines edges with the same target, then the results that have the
    # same sources.
    by_target: dict[tuple[str, str], list[str]] = {}
    for edge in graph.edges:
        by_target.setdefault((edge.target, _arrow(edge, words)), []).append(edge.source)
    by_sources: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for (target, arrow), sources in by_target.items():
        by_sources.setdefault((tuple(sources), arrow), []).append(target)
    for (combined, arrow), targets in by_sources.items():
        yield from _statements(combined, arrow, targets)


def _statements(sources: Sequence[str], arrow: str, targets: Sequence[str]) -> Iterator[str]:
    line = f"    {' & '.join(sources)} {arrow} {' & '.join(targets)}"
    half = max(len(sources), len(targets)) // 2
    if len(line) <= LINE_LENGTH or not half:
        yield line
    elif len(sources) >= len(targets):
        yield from _statements(sources[:half], arrow, targets)
        yield from _statements(sources[half:], arrow, targets)
    else:
        yield from _statements(sources, arrow, targets[:half])
        yield from _statements(sources, arrow, targets[half:])


def _arrow(edge: Edge, words: bool) -> str:
    dotted = edge.text in ("reads", REFERS)
    if words:
        return f"-. {edge.text} .->" if dotted else f"-- {edge.text} -->"
    return "-.->" if dotted else "-->"


def _node(node: Node) -> str:
    text = f"{_text(node.kind)}<br/>{_text(node.label)}"
    if node.names:
        text += f"<br/>{_text(', '.join(node.names))}"
    opening, closing = ("[(", ")]") if node.shape == "cylinder" else ("[", "]")
    return f'{node.id}{opening}"{text}"{closing}'


def _text(text: str) -> str:
    return (
        text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
    )
