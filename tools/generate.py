"""Generates documentation, schemas and policies from the code. Tests fail if a file is outdated.

python -m tools.generate [--without-diagrams]

The diagrams need a synthesis of prod, which takes most of the time.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ops.diagram.drawing import load_drawing
from ops.diagram.graph import read_graph, view_of
from ops.diagram.pages import regenerate_diagrams
from ops.diagram.svg import svg
from ops.root import PROJECT
from ops.terraform.stack_document import read_synthesized
from ops.terraform.synthesis import synthesize
from tools import environment_file, module_reference, policies
from tools.api import documents

ARCHITECTURE = PROJECT / "docs" / "architecture"


def main(*, with_diagrams: bool) -> None:
    texts = {
        **environment_file.files(),
        **{policies.DIRECTORY / name: text for name, text in policies.documents().items()},
        **(diagrams() if with_diagrams else {}),
    }
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    module_reference.write(module_reference.PAGES)
    documents.write_documents()


def diagrams() -> dict[Path, str]:
    """Returns the page with the diagrams of prod, and the SVG picture in README, by path."""
    with tempfile.TemporaryDirectory() as directory:
        synthesize(["prod"], Path(directory), {})
        graph = read_graph(read_synthesized(Path(directory) / "stacks" / "prod"))
    page = ARCHITECTURE / "diagrams.md"
    title = f"{load_drawing().views['overview'].title}: prod"
    return {
        page: regenerate_diagrams(page.read_text(encoding="utf-8"), graph),
        ARCHITECTURE / "overview.svg": svg(view_of(graph, "overview"), title=title) + "\n",
    }


if __name__ == "__main__":
    main(with_diagrams="--without-diagrams" not in sys.argv[1:])
