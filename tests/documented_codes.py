"""Reads the error codes that the code raises, and those that docs/api documents."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from ops.root import PROJECT

API = PROJECT / "docs" / "api"
_CODE = re.compile(r"[a-z]+(_[a-z]+)+|unauthorized|forbidden|conflict|unhealthy|banned|muted")
_RAISERS = re.compile(r"Problem(\.\w+)?|cls|self\._refuse")


def documented_codes(*pages: str) -> frozenset[str]:
    """Returns the words in code font in docs/api/README.md and in the named pages of docs/api.

    They include every documented error code.
    """
    texts = [(API / f"{page}.md").read_text(encoding="utf-8") for page in ("README", *pages)]
    return frozenset(re.findall(r"`([a-z_]+)`", "\n".join(texts)))


def raised_codes(folder: Path) -> set[str]:
    """Returns the error codes with which the modules of a folder create a `Problem`."""
    return {
        code
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for constant in _arguments(node)
        if isinstance(code := constant.value, str) and _CODE.fullmatch(code)
    }


def _arguments(node: ast.AST) -> Iterator[ast.Constant]:
    """Yields the constants that are arguments of `Problem(...)`, or defaults of parameters named
    `code`.
    """
    values: list[ast.expr] = []
    if isinstance(node, ast.Call) and _RAISERS.fullmatch(ast.unparse(node.func)):
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
    elif isinstance(node, ast.arguments):
        names = [argument.arg for argument in node.args]
        defaults = zip(reversed(names), reversed(node.defaults), strict=False)
        values = [default for name, default in defaults if name == "code"]
    yield from (value for value in values if isinstance(value, ast.Constant))
