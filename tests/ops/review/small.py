"""Extracts a small stack from a synthesized stack, and plans changes of it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ops.root import Root
from tests.terraform import run

Block = dict[str, Any]
REFERENCE = re.compile(r"\b(aws_\w+)\.([\w-]+)")


def extract(stack: Path, chosen: Iterable[tuple[str, str]]) -> Block:
    """Returns a stack of the chosen resources and those that they refer to, with a local state.

    Args:
        stack: The directory with the whole stack's cdk.tf.json.
        chosen: Pairs of a type and the start of a construct path (`database/ai-usage`).
    """
    document = json.loads((stack / "cdk.tf.json").read_text())
    pending = [
        (type_, label) for type_, path in chosen for label in list_labels(document, type_, path)
    ]
    extracted: dict[str, Block] = {}
    while pending:
        type_, label = pending.pop()
        if label in extracted.setdefault(type_, {}):
            continue
        block = extracted[type_][label] = document["resource"][type_][label]
        referenced = REFERENCE.findall(json.dumps(block))
        pending += [pair for pair in referenced if pair[1] in document["resource"].get(pair[0], {})]
    terraform = {
        "required_providers": document["terraform"]["required_providers"],
        "backend": {"local": {"path": "terraform.tfstate"}},
    }
    return {
        "//": document["//"],
        "provider": document["provider"],
        "resource": extracted,
        "terraform": terraform,
    }


def list_labels(document: Block, type_: str, path: str) -> list[str]:
    """Returns the labels of a type's resources below a construct path."""
    blocks = document["resource"][type_].items()
    labels = [
        label
        for label, block in blocks
        if block["//"]["metadata"]["path"].partition("/")[2].startswith(path)
    ]
    assert labels, f"no {type_} below {path}"
    return labels


def find_only(document: Block, type_: str, path: str) -> Block:
    """Returns the arguments of the only resource of a type below a construct path."""
    [label] = list_labels(document, type_, path)
    block: Block = document["resource"][type_][label]
    return block


def write(document: Block, directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "cdk.tf.json").write_text(json.dumps(document, indent=1))
    return directory


def apply(directory: Path, root: Root, variables: Mapping[str, str]) -> None:
    run(directory, root, "init", "-input=false", variables=variables)
    run(
        directory,
        root,
        "apply",
        "-auto-approve",
        "-input=false",
        "-parallelism=30",
        variables=variables,
    )


def plan_change(
    applied: Path, change: Callable[[Block], Block | None], root: Root, variables: Mapping[str, str]
) -> tuple[Path, Block]:
    """Changes a copy of an applied stack and plans it, without changing the state.

    Returns:
        The directory of the copy, and the plan.
    """
    document = json.loads((applied / "cdk.tf.json").read_text())
    name = getattr(change, "__name__", "change")
    directory = applied.parent / f"{applied.name}-{name}"
    shutil.copytree(applied, directory, symlinks=True)
    write(change(document) or document, directory)
    file = directory / "plan.tfplan"
    # The state is current, because the stack was applied immediately before.
    run(
        directory,
        root,
        "plan",
        "-refresh=false",
        "-lock=false",
        "-input=false",
        f"-out={file}",
        variables=variables,
    )
    plan: Block = json.loads(run(directory, root, "show", "-json", str(file), variables=variables))
    return directory, plan
