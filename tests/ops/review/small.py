"""A small stack cut from a synthesized one: chosen resources and what they refer to, with a state of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Block = dict[str, Any]
REFERENCE = re.compile(r"\b(aws_\w+)\.([\w-]+)")


def cut(stack: Path, chosen: Iterable[tuple[str, str]], out: Path) -> Block:
    """Writes the part of a stack that the chosen resources need, and returns it.

    Args:
        stack: the directory with the whole stack's cdk.tf.json.
        chosen: type, and the beginning of the path below the stack (`database/ai-usage`).
        out: where to write.
    """
    document = json.loads((stack / "cdk.tf.json").read_text())
    wanted = [(type_, label) for type_, path in chosen for label in _labels(document, type_, path)]
    kept: dict[str, Block] = {}
    while wanted:
        type_, label = wanted.pop()
        if label in kept.setdefault(type_, {}):
            continue
        block = kept[type_][label] = document["resource"][type_][label]
        wanted += [
            found
            for found in REFERENCE.findall(json.dumps(block))
            if found[1] in document["resource"].get(found[0], {})
        ]
    terraform = {
        "required_providers": document["terraform"]["required_providers"],
        "backend": {"local": {"path": "terraform.tfstate"}},
    }
    small = {"//": document["//"], "provider": document["provider"], "resource": kept, "terraform": terraform}
    write(small, out)
    return small


def write(document: Block, directory: Path) -> None:
    """Writes a stack's document where Terraform looks for it."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "cdk.tf.json").write_text(json.dumps(document))


def _labels(document: Block, type_: str, path: str) -> list[str]:
    blocks = document["resource"][type_].items()
    found = [label for label, block in blocks if block["//"]["metadata"]["path"].partition("/")[2].startswith(path)]
    assert found, f"no {type_} below {path}"
    return found
