"""Defines the command diagram: draws the architecture from the synthesized stack."""

from __future__ import annotations

import enum
import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ops.commands.options import EnvironmentOrExampleArgument
from ops.console import print_text, report
from ops.root import write_text
from ops.terraform.stack_document import read_synthesized
from ops.terraform.synthesis import synthesize


class Format(enum.StrEnum):
    """Output formats of a diagram."""

    MERMAID = "mermaid"
    SVG = "svg"


def diagram(
    environment: EnvironmentOrExampleArgument,
    view: Annotated[
        str, typer.Option("--view", help="View to draw: overview, requests, data, events, or all.")
    ] = "overview",
    form: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.MERMAID,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the diagram to this file."),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            "--into",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Update the diagrams in this document, such as docs/architecture/diagrams.md.",
        ),
    ] = None,
) -> None:
    """Draw an environment's resources and their references, permissions and event routes."""
    from ops.diagram.drawing import load_drawing  # noqa: PLC0415 - only this command needs it
    from ops.diagram.graph import read_graph, view_of  # noqa: PLC0415
    from ops.diagram.pages import regenerate_diagrams, render_view  # noqa: PLC0415

    views = load_drawing().views
    if view not in views:
        raise typer.BadParameter(
            f"{view!r} is not a view: use one of {', '.join(views)}", param_hint="--view"
        )
    with tempfile.TemporaryDirectory() as directory:
        synthesize([environment], Path(directory), dict(os.environ))
        graph = read_graph(read_synthesized(Path(directory) / "stacks" / environment))
    if into:
        write_text(into, regenerate_diagrams(into.read_text(encoding="utf-8"), graph))
        report(f"Updated the diagrams in {into}")
        return
    if form is Format.SVG:
        from ops.diagram.svg import svg  # noqa: PLC0415

        text = svg(view_of(graph, view), title=f"{views[view].title}: {environment}") + "\n"
    else:
        text = render_view(graph, view)
    if output:
        write_text(output, text)
        report(f"Wrote {output}")
    else:
        print_text(text)
