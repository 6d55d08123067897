"""Renders a graph as a self-contained SVG. Graphviz computes the layout."""

from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ET

from ops.diagram.graph import REFERS, Edge, Graph, Node

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
FONT = "Helvetica"
"""The font whose metrics Graphviz uses for the layout. STYLE adds similar fonts as fallbacks."""
STYLE = """\
.diagram text { font-family: Helvetica, Arial, 'Liberation Sans', sans-serif; fill: #1f2933; }
.diagram .cluster > polygon, .diagram .cluster > path { fill: #f5f7fa; stroke: #cbd2d9; }
.diagram .cluster > text { fill: #52606d; font-weight: bold; }
.diagram .node polygon, .diagram .node path { fill: #ffffff; stroke: #52606d; }
.diagram .edge path { fill: none; stroke: #7b8794; }
.diagram .edge polygon { fill: #7b8794; stroke: #7b8794; }
"""


def svg(graph: Graph, *, title: str, id_: str = "diagram") -> str:
    """Returns the SVG of a graph.

    Args:
        title: the accessible name of the diagram.
        id_: the prefix of element ids.
    """
    import pygraphviz  # noqa: PLC0415 - loads Graphviz

    drawn = pygraphviz.AGraph(directed=True, strict=True, name=id_)
    drawn.graph_attr.update(
        rankdir="LR", fontname=FONT, fontsize="13", nodesep="0.12", ranksep="0.9",
        bgcolor="transparent", id=id_, splines="spline", newrank="false",
    )  # fmt: skip
    drawn.node_attr.update(
        fontname=FONT, fontsize="11", shape="box", style="rounded", margin="0.14,0.06", height="0.3"
    )
    drawn.edge_attr.update(arrowsize="0.6")
    for group, name in graph.groups.items():
        members = [node for node in graph.nodes if node.group == group]
        for node in members:
            drawn.add_node(node.id, **_attributes(node, id_))
        drawn.add_subgraph(
            [node.id for node in members],
            name=f"cluster_{group}",
            label=name,
            labeljust="l",
            style="rounded",
            margin="12",
        )
    for edge in graph.edges:
        drawn.add_edge(edge.source, edge.target, **_edge_attributes(edge))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Graphviz warns about fonts that the SVG does not need
        text = drawn.draw(format="svg", prog="dot").decode()
    return _tidied(text, graph, title=title, id_=id_)


def _attributes(node: Node, id_: str) -> dict[str, str]:
    lines = [node.kind, node.label, *_wrapped(node.names)]
    return {
        "label": "\\n".join(line.replace("\\", "\\\\") for line in lines),
        "shape": node.shape,
        "style": "rounded" if node.shape == "box" else "solid",
        "id": f"{id_}-{node.id}",
        "class": f"of-{node.group}",
    }


def _wrapped(names: tuple[str, ...], width: int = 30) -> list[str]:
    lines: list[str] = []
    for name in names:
        if lines and len(lines[-1]) + len(name) + 2 <= width:
            lines[-1] += f", {name}"
        else:
            lines.append(name)
    return lines


def _edge_attributes(edge: Edge) -> dict[str, str]:
    return {"style": "dashed"} if edge.text in ("reads", REFERS) else {}


def _tidied(text: str, graph: Graph, *, title: str, id_: str) -> str:
    """Returns Graphviz's SVG with accessible names, and without text that names its version."""
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    root = ET.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", text))  # noqa: S314 - Graphviz's own output
    width, height = (
        float(size.removesuffix("pt"))
        for size in (root.attrib.pop("width"), root.attrib.pop("height"))
    )
    root.attrib.update({"class": "diagram", "role": "img", "aria-labelledby": f"{id_}-title"})
    root.attrib.update({"width": f"{width:.0f}", "height": f"{height:.0f}"})
    names = {node.id: f"{node.kind}: {node.label}" for node in graph.nodes}
    ends = {
        f"{edge.source}->{edge.target}": f"{names[edge.source]} {edge.text} {names[edge.target]}"
        for edge in graph.edges
    }
    for element in root.iter(f"{{{SVG}}}title"):
        name = (element.text or "").replace("\n", "")
        element.text = (
            names.get(name)
            or ends.get(name)
            or graph.groups.get(name.removeprefix("cluster_"), title)
        )
    heading = ET.Element(f"{{{SVG}}}title", {"id": f"{id_}-title"})
    heading.text = title
    root.insert(0, heading)
    sheet = ET.Element(f"{{{SVG}}}style")
    sheet.text = STYLE
    root.insert(1, sheet)
    return ET.tostring(root, encoding="unicode")
