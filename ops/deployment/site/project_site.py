"""Builds the site that comes with the project: the status page and the API reference."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ops.errors import OperatorError
from ops.root import PROJECT

WEB = PROJECT / "web"
DESCRIPTION = PROJECT / "docs" / "api" / "openapi.json"
VENDORED = PROJECT / "node_modules" / "swagger-ui-dist"
VENDORED_FILES = ("swagger-ui-bundle.js", "swagger-ui.css")
LICENSE = "swagger-ui-bundle.js.LICENSE.txt"
"""The license file of Swagger UI. Its name gets no hash, because the first line of Swagger UI's
script refers to this name.
"""
_REFERENCE = re.compile(r'(?P<attribute>\b(?:href|src)=")(?P<file>[^":?#]+)(?=")')


def build_project_site(directory: Path, web: Path = WEB) -> None:
    """Writes the site to a directory. The names of assets contain a hash of their content.

    Raises:
        OperatorError: A page refers to a missing file, or Swagger UI is not installed.
    """
    if not VENDORED.exists():
        raise OperatorError(f"{VENDORED} is missing: run `make setup`")
    sources = {
        file.relative_to(web).as_posix(): file.read_bytes()
        for file in web.rglob("*")
        if file.is_file()
    }
    pages = {name: text for name, text in sources.items() if name.endswith(".html")}
    assets = {name: content for name, content in sources.items() if name not in pages}
    assets |= {name: (VENDORED / name).read_bytes() for name in VENDORED_FILES}
    description = json.loads(DESCRIPTION.read_bytes())
    assets["openapi.json"] = json.dumps(
        description, ensure_ascii=False, separators=(",", ":")
    ).encode()
    names = {name: _hashed_name(name, content) for name, content in assets.items()}
    (directory / "assets").mkdir(parents=True, exist_ok=True)
    for name, content in assets.items():
        (directory / names[name]).parent.mkdir(parents=True, exist_ok=True)
        (directory / names[name]).write_bytes(content)
    (directory / "assets" / LICENSE).write_bytes((VENDORED / LICENSE).read_bytes())
    for name, text in pages.items():
        page = _replace_references(text.decode(), {**{page: page for page in pages}, **names}, web)
        (directory / name).write_text(page, encoding="utf-8")


def _replace_references(page: str, names: Mapping[str, str], web: Path) -> str:
    def replace(match: re.Match[str]) -> str:
        if match["file"] not in names:
            raise OperatorError(f"A page in {web} refers to {match['file']}, which is missing")
        return match["attribute"] + names[match["file"]]

    return _REFERENCE.sub(replace, page)


def _hashed_name(name: str, content: bytes) -> str:
    path = PurePosixPath(name)
    digest = hashlib.sha256(content).hexdigest()[:12]
    return f"assets/{path.with_name(f'{path.stem}-{digest}{path.suffix}')}"
