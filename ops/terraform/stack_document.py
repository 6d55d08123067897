"""A synthesized stack as Terraform reads it, with what CDKTF notes beside each resource: where in the program it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ops.errors import OperatorError

REFERENCE = re.compile(r"\b(aws_\w+)\.([\w-]+)\.(\w+)")
"""`aws_sqs_queue.messaging_work_queue_0A1B.arn`, inside `${...}`."""
_EXPRESSION = re.compile(r"\$\{([^}]*)\}")
_UNIQUE_ENDING = re.compile(r"_[0-9A-F]{8}$")
"""What CDKTF ends the label of a nested construct's resource with."""

Block = dict[str, Any]


@dataclass(frozen=True)
class ConstructPath:
    """Where a resource comes from in the program."""

    path: str
    """Of constructs, below the stack: `database/ai-usage/table`."""
    service: str
    """Its tag Service, or the module's name where it has none."""

    @property
    def module(self) -> str:
        """The module that makes it: the first construct below the stack."""
        return self.path.partition("/")[0]


@dataclass(frozen=True)
class Resource:
    """One resource of a stack."""

    type: str
    label: str
    construct: ConstructPath
    block: Block
    """Its arguments, without what CDKTF notes for itself."""

    @property
    def address(self) -> str:
        return f"{self.type}.{self.label}"

    @cached_property
    def references(self) -> tuple[str, ...]:
        """The addresses it refers to; what it merely waits for (`depends_on`) is not among them."""
        arguments = {key: value for key, value in self.block.items() if key != "depends_on"}
        return tuple(dict.fromkeys(f"{type_}.{label}" for type_, label, _ in references(arguments)))


@dataclass(frozen=True)
class Synthesized:
    """One environment's stack."""

    environment: str
    region: str
    resources: Mapping[str, Resource]
    """By address."""

    def construct_at(self, address: str, tags: Mapping[str, Any] | None = None) -> ConstructPath:
        """Where a resource comes from; read from its address where the stack no longer has it.

        Args:
            tags: the resource's own, where they are known.
        """
        found = self.resources.get(address)
        return found.construct if found else construct_of_address(address, tags)


def read_synthesized(directory: Path) -> Synthesized:
    """Reads what synthesis wrote for one environment.

    Raises:
        OperatorError: nothing was synthesized there.
    """
    files = sorted(directory.glob("*.tf.json"))
    if not files:
        raise OperatorError(
            f"{directory} holds no synthesized stack: run `python -m ops synth {directory.name}` first"
        )
    resources: dict[str, Resource] = {}
    region = "us-east-1"
    for file in files:
        document = json.loads(file.read_text(encoding="utf-8"))
        for provider in document.get("provider", {}).get("aws", []):
            region = region if "alias" in provider else provider.get("region", region)
        for type_, labels in document.get("resource", {}).items():
            for label, noted in labels.items():
                resource = _resource(type_, label, noted)
                resources[resource.address] = resource
    return Synthesized(directory.name, region, resources)


def _resource(type_: str, label: str, noted: Mapping[str, Any]) -> Resource:
    block = {key: value for key, value in noted.items() if key != "//"}
    path = noted.get("//", {}).get("metadata", {}).get("path", "")
    below = path.partition("/")[2] or f"secrets/{label}"
    service = (block.get("tags") or {}).get("Service") or below.partition("/")[0]
    return Resource(type_, label, ConstructPath(below, service), block)


def construct_of_address(address: str, tags: Mapping[str, Any] | None = None) -> ConstructPath:
    """Where a resource came from, by its label: CDKTF joins the names of constructs with `_` and ends with eight hexadecimal digits."""
    label = address.rpartition(".")[2].partition("[")[0]
    path = _UNIQUE_ENDING.sub("", label).replace("_", "/")
    return ConstructPath(path, (tags or {}).get("Service") or path.partition("/")[0])


def references(value: Any) -> Iterator[tuple[str, str, str]]:
    """Each reference inside a value, in order: type, label, attribute."""
    for text in strings(value):
        for expression in _EXPRESSION.findall(text):
            yield from REFERENCE.findall(expression)


def strings(value: Any) -> Iterator[str]:
    """Every text inside a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
