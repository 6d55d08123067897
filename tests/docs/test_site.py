"""Builds the documentation's site, as `make docs` does, and opens it in Chromium."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect

from ops.root import PROJECT
from tests.browser import open_browser

TOOL = PROJECT / "tools" / "docs"
BUILD = [str(TOOL / ".venv" / "bin" / "sphinx-build"), "-q", "-W", "--keep-going", "-c", str(TOOL)]


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [*BUILD, str(source), str(site)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(PROJECT, folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_document_is_a_page(site: Path) -> None:
    documents = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")]
    pages = {str(path.relative_to(PROJECT).with_suffix(".html")) for path in documents}
    assert pages <= {str(path.relative_to(site)) for path in site.glob("**/*.html")}


def test_the_navigation_has_the_sections_of_the_documentation_index(site: Path) -> None:
    sections = re.findall(r"^## (.+)$", (PROJECT / "docs" / "README.md").read_text(), re.MULTILINE)
    page = (site / "docs" / "operations" / "roll-back.html").read_text()
    captions = re.findall(r'class="caption-text">([^<]+)<', page)
    assert sections == captions
    assert (site / "searchindex.js").stat().st_size > 100_000


def test_pages_load_nothing_from_other_hosts(site: Path) -> None:
    loaded = re.compile(r"<(?:script|link|img)\b[^>]*(?:src|href)=\"(https?:[^\"]+)")
    assert [path.name for path in site.glob("**/*.html") if loaded.search(path.read_text())] == []


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "docs").mkdir(parents=True)
    (source / "docs" / "README.md").write_text("# Documentation\n")
    (source / "README.md").write_text("# Project\n\n[missing](docs/missing.md)\n")
    done = build(source, tmp_path / "site")
    assert done.returncode == 1
    assert "docs/missing.md" in done.stderr


def test_diagrams_are_drawn(site: Path) -> None:
    with open_browser() as browser:
        page = browser.new_page()
        page.goto((site / "docs" / "architecture" / "chat.html").as_uri())
        expect(page.locator("pre.mermaid svg")).to_contain_text("send_message", timeout=30_000)
