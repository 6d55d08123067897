"""Configuration of the documentation's site, which `make docs` builds with Sphinx.

The pages are the Markdown files that GitHub renders. The navigation is the list in docs/README.md.
"""

from __future__ import annotations

import gc
import html
import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

# All objects of the pages live until the end of the build. Collecting garbage less often saves a
# quarter of the build's CPU time.
gc.set_threshold(100_000, 20, 100)

project = "Multitask Platform"
html_title = "Multitask Platform"
root_doc = "README"
INDEXES = ("docs/decisions/README", "docs/modules/README")
"""Pages of the documentation that list all other pages of their folder in the navigation."""
extensions = ["myst_parser"]
include_patterns = ["*.md", "docs/**"]
exclude_patterns = [".*", "node_modules", "cdktf.out", "tools"]
nitpicky = True

myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
html_theme = "furo"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
# The site itself serves diagrams.js and Mermaid, because its pages load nothing from other hosts.
html_static_path = ["diagrams.js", "node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js"]
html_js_files = ["mermaid.tiny.js", "diagrams.js"]

_SECTION = re.compile(r"^## (.+)$|\]\(([^)#]+)\.md\)", re.MULTILINE)


class Diagram(SphinxDirective):
    """Renders a Mermaid block as an HTML element that Mermaid's script replaces by the diagram."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        source = html.escape("\n".join(self.content))
        return [nodes.raw("", f'<pre class="mermaid">{source}</pre>', format="html")]


def _navigation(index: str) -> str:
    """Returns Sphinx's table of contents for each section of a page such as docs/README.md."""
    lines = []
    for section, page in _SECTION.findall(index):
        if section:
            lines += ["```", "```{toctree}", ":hidden:", f":caption: {section}"]
        else:
            lines.append(str(Path(f"docs/{page}")) if not page.startswith("../") else page[3:])
    return "\n".join(["", *lines[1:], "```", ""])


def _add_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    docs = Path(app.srcdir) / "docs"
    if page == root_doc:
        index = (docs / "README.md").read_text(encoding="utf-8")
        source[0] += "\n```{toctree}\n:hidden:\ndocs/README\n```\n" + _navigation(index)
    elif page in INDEXES:
        folder = Path(app.srcdir, page).parent
        pages = sorted(path.relative_to(folder) for path in folder.rglob("*.md"))
        entries = [str(path.with_suffix("")) for path in pages if path.name != "README.md"]
        source[0] += "\n".join(["", "```{toctree}", ":hidden:", *entries, "```", ""])


def _navigation_pages(*_: object) -> list[str]:
    """Returns the pages that Sphinx must build every time, as they depend on other files."""
    return [root_doc, *INDEXES]


def setup(app: Sphinx) -> None:
    app.connect("env-get-outdated", _navigation_pages)
    app.add_directive("mermaid", Diagram)
    app.connect("source-read", _add_navigation)
