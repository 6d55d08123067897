"""Reads a synthesized stack, including each resource's construct path from CDKTF's metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from environments.resource_names import DEFAULT_REGION
from ops.errors import OperatorError
from ops.terraform.addresses import parse_address

REFERENCE = re.compile(r"\b(aws_\w+)\.([\w-]+)\.(\w+)")
"""Matches references in `${...}`, for example `aws_sqs_queue.messaging_work_queue_0A1B.arn`."""
_EXPRESSION = re.compile(r"\$\{([^}]*)\}")
_UNIQUE_ENDING = re.compile(r"_[0-9A-F]{8}$")
"""Matches the suffix that CDKTF adds to the label of a nested construct's resource."""

Block = dict[str, Any]


@dataclass(frozen=True)
class ConstructPath:
    """The path of the CDKTF construct that defines a resource."""

    path: str
    """The path relative to the stack, for example `database/ai-usage/table`."""
    service: str
    """The value of the resource's tag Service, or the module's name if the tag is missing."""

    @property
    def module(self) -> str:
        """The module that creates the resource: the first construct below the stack."""
        return self.path.partition("/")[0]


@dataclass(frozen=True)
class Resource:
    """One resource of a stack."""

    type: str
    label: str
    construct: ConstructPath
    block: Block
    """The resource's arguments without CDKTF's metadata."""

    @property
    def address(self) -> str:
        return f"{self.type}.{self.label}"

    @cached_property
    def references(self) -> tuple[str, ...]:
        """The addresses of the resources to which the arguments refer. Ignores `depends_on`."""
        arguments = {key: value for key, value in self.block.items() if key != "depends_on"}
        return tuple(dict.fromkeys(f"{type_}.{label}" for type_, label, _ in references(arguments)))


@dataclass(frozen=True)
class Synthesized:
    """The synthesized stack of one environment."""

    environment: str
    region: str
    resources: Mapping[str, Resource]
    """The resources by address."""

    def construct_at(self, address: str, tags: Mapping[str, Any] | None = None) -> ConstructPath:
        """Returns the construct path of a resource.

        Derives the path from the address if the stack does not contain the resource.

        Args:
            tags: The resource's tags, if known.
        """
        resource = self.resources.get(address)
        return resource.construct if resource else construct_of_address(address, tags)


def read_synthesized(directory: Path) -> Synthesized:
    """Reads the synthesized stack of one environment.

    Raises:
        OperatorError: The directory contains no synthesized stack.
    """
    files = sorted(directory.glob("*.tf.json"))
    if not files:
        raise OperatorError(
            f"{directory} contains no synthesized stack: run"
            f" `python -m ops synth {directory.name}` first"
        )
    resources: dict[str, Resource] = {}
    region = DEFAULT_REGION
    for file in files:
        document = json.loads(file.read_text(encoding="utf-8"))
        for provider in document.get("provider", {}).get("aws", []):
            region = region if "alias" in provider else provider.get("region", region)
        for type_, labels in document.get("resource", {}).items():
            for label, body in labels.items():
                resource = _resource(type_, label, body)
                resources[resource.address] = resource
    return Synthesized(directory.name, region, resources)


def _resource(type_: str, label: str, body: Mapping[str, Any]) -> Resource:
    block = {key: value for key, value in body.items() if key != "//"}
    path = body.get("//", {}).get("metadata", {}).get("path", "")
    below = path.partition("/")[2] or f"secrets/{label}"
    service = (block.get("tags") or {}).get("Service") or below.partition("/")[0]
    return Resource(type_, label, ConstructPath(below, service), block)


def construct_of_address(address: str, tags: Mapping[str, Any] | None = None) -> ConstructPath:
    """Derives the construct path of a resource from the label in its Terraform address.

    For the label, CDKTF joins the construct names with `_` and appends eight hexadecimal digits.
    """
    path = _UNIQUE_ENDING.sub("", parse_address(address).name).replace("_", "/")
    return ConstructPath(path, (tags or {}).get("Service") or path.partition("/")[0])


def references(value: Any) -> Iterator[tuple[str, str, str]]:
    """Yields each reference inside a value as type, label and attribute."""
    for text in strings(value):
        for expression in _EXPRESSION.findall(text):
            yield from REFERENCE.findall(expression)


def strings(value: Any) -> Iterator[str]:
    """Yields every string inside a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
