"""Renders a graph as a self-contained SVG with one line per pair of connected groups."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import groupby

from ops.diagram.bundles import Bundled, bundle
from ops.diagram.graph import Graph, Node
from ops.diagram.layout import Box

SVG = "http://www.w3.org/2000/svg"
ROW = 22.0
"""Height of a row of text in pixels. The font size is at least 12 pixels."""
WIDTH = 1300.0
"""Width in pixels. It fits on a laptop screen of 1366 pixels."""
MARGIN = 16.0
PADDING = 8.0
CHARACTER = 6.9
"""Assumed average width of a character in pixels. In most fonts, it is less."""
TITLE_ROWS = 2
STYLE = """\
.diagram text { font: 12px Helvetica, Arial, 'Liberation Sans', sans-serif; fill: #1f2933; }
.diagram text.heading { font-size: 14px; font-weight: bold; }
.diagram text.muted { fill: #52606d; }
.diagram .group > rect { fill: #f5f7fa; stroke: #cbd2d9; }
.diagram .node > rect { fill: #ffffff; stroke: #7b8794; }
.diagram .line { fill: none; stroke: #627d98; stroke-width: 1.5; }
.diagram marker path { fill: #627d98; }
.diagram .sheet { fill: #ffffff; }
"""


def svg(
    graph: Graph,
    *,
    title: str,
    id_: str = "diagram",
    is_styled: bool = True,
    desired_width: float = WIDTH,
) -> str:
    """Returns the SVG of a graph.

    Pointing at a node shows its label and the nodes that it combines. Pointing at a line, or at the
    row where the line ends, shows the connections that the line combines.

    Args:
        title: the accessible name of the diagram.
        id_: the prefix of element ids.
        is_styled: False to omit the styles, for a page that forbids inline styles. The page's
            style sheet must then style the diagram.
        desired_width: the desired width in pixels. The diagram is wider if its columns would be
            too narrow.
    """
    bodies = {
        group: ROW * (TITLE_ROWS + sum(_rows(group, graph).values())) for group in graph.groups
    }
    drawn = bundle(graph, bodies, ROW, desired_width)
    width, height = drawn.layout.width + 2 * MARGIN, drawn.layout.height + 2 * MARGIN
    ET.register_namespace("", SVG)
    root = ET.Element(f"{{{SVG}}}svg", {
        "class": "diagram", "role": "img", "aria-labelledby": f"{id_}-title", "id": id_,
        "width": f"{width:.0f}", "height": f"{height:.0f}",
        "viewBox": f"{-MARGIN:g} {-MARGIN:g} {width:.0f} {height:.0f}",
    })  # fmt: skip
    _add(root, "title", title, id=f"{id_}-title")
    if is_styled:
        _add(root, "style", STYLE)
    marker = _add(_add(root, "defs"), "marker", id=f"{id_}-arrow", viewBox="0 0 8 8", refX="8",
        refY="4", markerWidth="8", markerHeight="8", markerUnits="userSpaceOnUse",
        orient="auto-start-reverse")  # fmt: skip
    _add(marker, "path", d="M0 0L8 4L0 8z")
    _rectangle(root, -MARGIN, -MARGIN, width, height, css="sheet")
    _add_lines(root, drawn, id_)
    for box in drawn.layout.boxes:
        _add_group(root, box, drawn, id_)
    return ET.tostring(root, encoding="unicode")


def _rows(group: str, graph: Graph) -> dict[str, int]:
    """Returns the number of rows of each kind of node in a group: a heading, and a row per node."""
    members = [node for node in graph.nodes if node.group == group]
    return {kind: 1 + len(list(nodes)) for kind, nodes in groupby(members, _kind)}


def _kind(node: Node) -> str:
    return node.kind


def _add_lines(root: ET.Element, drawn: Bundled, id_: str) -> None:
    for item in drawn.bundles:
        ends = {
            f"marker-{end}": f"url(#{id_}-arrow)"
            for end, missing in (("start", "→"), ("end", "←"))
            if item.arrow != missing
        }
        line = _add(root, "path", css="line", d=item.line.path, **ends)
        _add(line, "title", "\n".join(item.connections))


def _add_group(root: ET.Element, box: Box, drawn: Bundled, id_: str) -> None:
    graph = drawn.graph
    group = _add(root, "g", css="group", id=f"{id_}-group-{box.name}")
    _rectangle(group, box.x, box.y, box.width, box.height)
    _write(group, graph.groups[box.name], box, 0.5, css="heading")
    row: float = TITLE_ROWS
    for kind, nodes in groupby((node for node in graph.nodes if node.group == box.name), _kind):
        _write(group, kind, box, row - 0.45, css="muted")
        for number, node in enumerate(nodes, 1):
            _add_node(group, node, box, row + number, id_)
        row += number + 1
    for number, link in enumerate(drawn.links(box)):
        # The line to the connected group ends at the middle of the row.
        middle = box.height / ROW - len(box.rows) + number
        label = f"{link.arrow} {link.title} ({len(link.bundle.connections)})"
        text = _write(group, label, box, middle - 0.5, css="muted")
        _add(text, "title", "\n".join(link.bundle.connections))


def _add_node(group: ET.Element, node: Node, box: Box, row: float, id_: str) -> None:
    element = _add(group, "g", css="node", id=f"{id_}-{node.id}")
    _add(element, "title", "\n".join([f"{node.kind}: {node.label}", *node.names]))
    y = box.y + row * ROW - ROW / 2 + 1
    _rectangle(element, box.x + PADDING, y, box.width - 2 * PADDING, ROW - 2)
    names = f": {', '.join(node.names)}" if node.names else ""
    _write(element, f"{node.label}{names}", box, row - 0.5, indent=2 * PADDING)


def _write(
    parent: ET.Element, text: str, box: Box, row: float, *, indent: float = PADDING, css: str = ""
) -> ET.Element:
    """Writes text in a row of a box. Shortens it if it does not fit."""
    most = int((box.width - 2 * indent) / CHARACTER)
    shown = text if len(text) <= most else f"{text[: most - 1]}…"
    y = box.y + (row + 0.5) * ROW
    return _add(parent, "text", shown, css=css, x=f"{box.x + indent:.1f}", y=f"{y + 4:.1f}")


def _rectangle(
    parent: ET.Element, x: float, y: float, width: float, height: float, *, css: str = ""
) -> None:
    sizes = {"x": x, "y": y, "width": width, "height": height, "rx": 5}
    _add(parent, "rect", css=css, **{name: f"{value:.1f}" for name, value in sizes.items()})


def _add(
    parent: ET.Element, name: str, text: str | None = None, *, css: str = "", **attributes: str
) -> ET.Element:
    attributes = {"class": css, **attributes} if css else attributes
    element = ET.SubElement(parent, f"{{{SVG}}}{name}", attributes)
    element.text = text
    return element
