"""Pictures inside documents: each follows a comment that names it, and is written anew from the stack."""

from __future__ import annotations

import re

from ops.diagram.drawing import load_drawing
from ops.diagram.graph import Graph, view_of
from ops.diagram.mermaid import mermaid
from ops.errors import OperatorError

_PICTURE = re.compile(
    r"(<!-- ops diagram: (\S+) -->\n)```mermaid\n.*?^```$", re.MULTILINE | re.DOTALL
)


def updated(document: str, graph: Graph) -> str:
    """The document with its pictures as the graph has them now.

    A picture is a Mermaid block after the line `<!-- ops diagram: VIEW -->`.

    Raises:
        OperatorError: it has none, or names a view that there is not.
    """
    names = [name for _, name in _PICTURE.findall(document)]
    unknown = [name for name in names if name not in load_drawing().views]
    if unknown or not names:
        raise OperatorError(
            f"There is no view {', '.join(unknown)}: {', '.join(load_drawing().views)}"
            if unknown
            else "It has no picture: a Mermaid block after the line `<!-- ops diagram: overview -->`"
        )
    return _PICTURE.sub(
        lambda match: f"{match[1]}```mermaid\n{picture(graph, match[2])}```", document
    )


def picture(graph: Graph, name: str) -> str:
    """One view as Mermaid; folded ones without words, which would hide what they tell."""
    view = load_drawing().views[name]
    return mermaid(view_of(graph, name), words=not view.folded)
