"""Regenerates the diagrams inside Markdown documents from a stack."""

from __future__ import annotations

import re

from ops.diagram.drawing import load_drawing
from ops.diagram.graph import Graph, view_of
from ops.diagram.mermaid import mermaid
from ops.errors import OperatorError

_DIAGRAM = re.compile(
    r"(<!-- ops diagram: (\S+) -->\n)```mermaid\n.*?^```$", re.MULTILINE | re.DOTALL
)


def regenerate_diagrams(document: str, graph: Graph) -> str:
    """Returns the document with every diagram regenerated from the graph.

    A diagram is a Mermaid block after the line `<!-- ops diagram: VIEW -->`.

    Raises:
        OperatorError: the document has no diagram, or names an unknown view.
    """
    names = [name for _, name in _DIAGRAM.findall(document)]
    unknown = [name for name in names if name not in load_drawing().views]
    if unknown or not names:
        raise OperatorError(
            f"Unknown view {', '.join(unknown)}: use one of {', '.join(load_drawing().views)}"
            if unknown
            else "The document has no diagram: add a Mermaid block after the line"
            " `<!-- ops diagram: overview -->`"
        )
    return _DIAGRAM.sub(
        lambda match: f"{match[1]}```mermaid\n{render_view(graph, match[2])}```", document
    )


def render_view(graph: Graph, name: str) -> str:
    """Returns a view as Mermaid text.

    A folded view draws nodes of one kind as one node. Its edges have no labels, because there are
    too many edges.
    """
    view = load_drawing().views[name]
    return mermaid(view_of(graph, name), words=not view.folded)
