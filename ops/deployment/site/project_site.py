"""Builds the site that comes with the project: the status page."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath

from ops.errors import OperatorError
from ops.root import PROJECT

WEB = PROJECT / "web"
_REFERENCE = re.compile(r'(?P<attribute>\b(?:href|src)=")(?P<file>[^":?#]+)(?=")')


def build_project_site(directory: Path, web: Path = WEB) -> None:
    """Writes the site to a directory. The names of assets contain a hash of their content.

    Raises:
        OperatorError: A page refers to a missing file.
    """
    sources = {file.relative_to(web).as_posix(): file for file in web.rglob("*") if file.is_file()}
    pages = [name for name in sources if name.endswith(".html")]
    assets = {
        name: _hashed_name(name, file.read_bytes())
        for name, file in sources.items()
        if name not in pages
    }

    def replace(match: re.Match[str]) -> str:
        name = match["file"]
        if name in pages:
            return match[0]
        if name not in assets:
            raise OperatorError(f"A page in {web} refers to {name}, which is missing")
        return match["attribute"] + assets[name]

    for name, hashed in assets.items():
        (directory / hashed).parent.mkdir(parents=True, exist_ok=True)
        (directory / hashed).write_bytes(sources[name].read_bytes())
    for name in pages:
        (directory / name).write_text(_REFERENCE.sub(replace, sources[name].read_text()))


def _hashed_name(name: str, content: bytes) -> str:
    path = PurePosixPath(name)
    digest = hashlib.sha256(content).hexdigest()[:12]
    return f"assets/{path.with_name(f'{path.stem}-{digest}{path.suffix}')}"
