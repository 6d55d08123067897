"""A synthesized stack as a document to look things up in."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ops.root import PROJECT
from tests.stack.documented_facts import Each, Having, Reference

Block = dict[str, Any]
_REFERENCE = re.compile(r"\$\{(\w+)\.([\w-]+)\.(\w+)")
VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)")


def fixed_variables(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what environment files refer to, so that each run writes the same."""
    files = (PROJECT / "environments").glob("*.yml")
    varying = {name for file in files for name in VARIABLE.findall(file.read_text())}
    kept = {name: value for name, value in os.environ.items() if name not in varying}
    return {**kept, **more}


def synthesize(out: Path, variables: Mapping[str, str] = {}) -> Path:
    """Runs the program into a directory and gives the directory with one folder for each stack."""
    command = [sys.executable, "main.py"]
    environment = fixed_variables({"CDKTF_OUTDIR": str(out), **variables})
    result = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return out / "stacks"


def files(directory: Path) -> dict[str, bytes]:
    """Every file below a directory, by its path there."""
    return {
        file.relative_to(directory).as_posix(): file.read_bytes()
        for file in directory.rglob("*")
        if file.is_file()
    }


def at(block: Any, path: str) -> Any:
    """The value at a path: dots go into blocks, a list of one block counts as that block, `name=x` picks from a list of several, and
    `|json` reads a text as JSON. None where the path leads nowhere."""
    for part in path.split("."):
        segment, _, form = part.partition("|")
        key, picks, wanted = segment.partition("=")
        if picks:
            block = next((item for item in _listed(block) if item.get(key) == wanted), None)
        else:
            [block] = _listed(block) if len(_listed(block)) == 1 else [None]
            block = block.get(segment) if isinstance(block, Mapping) else None
        if block is None:
            return None
        if form == "json":
            block = json.loads(block)
    return block


def _listed(block: Any) -> list[Any]:
    return block if isinstance(block, list) else [block]


@dataclass(frozen=True)
class Stack:
    """One environment's Terraform."""

    environment: str
    directory: Path

    @cached_property
    def document(self) -> Block:
        """All of the stack's files as one."""
        merged: Block = {}
        for file in sorted(self.directory.glob("*.tf.json")):
            _merge(merged, json.loads(file.read_text()))
        return merged

    def resources(self, type_: str) -> dict[str, Block]:
        """All of a type, by label."""
        found: dict[str, Block] = self.document["resource"].get(type_, {})
        return found

    def find(self, type_: str, where: Mapping[str, Any]) -> dict[str, Block]:
        """Those of a type that have these values."""
        return {
            label: block
            for label, block in self.resources(type_).items()
            if all(self.agrees(block.get(key), value) for key, value in where.items())
        }

    def one(self, type_: str, where: Mapping[str, Any]) -> Block:
        """The only one."""
        found = self.find(type_, where)
        assert len(found) == 1, f"{len(found)} of {type_} with {where}: {sorted(found)}"
        return next(iter(found.values()))

    def expected(self, value: Any) -> Any:
        """A documented value as it is in this environment."""
        if isinstance(value, Each):
            value = getattr(value, self.environment)
        if isinstance(value, str):
            return value.replace("{env}", self.environment)
        if isinstance(value, list):
            return [self.expected(item) for item in value]
        if isinstance(value, set):
            return {self.expected(item) for item in value}
        if isinstance(value, dict):
            return {key: self.expected(item) for key, item in value.items()}
        return value

    def resolved(self, value: Any) -> Any:
        """References replaced by what they refer to, where the configuration itself says it."""
        if isinstance(value, str):
            return re.sub(rf"{_REFERENCE.pattern}}}", self._literal, value)
        if isinstance(value, list):
            return [self.resolved(item) for item in value]
        if isinstance(value, dict):
            return {key: self.resolved(item) for key, item in value.items()}
        return value

    def _literal(self, match: re.Match[str]) -> str:
        type_, label, attribute = match.groups()
        value = self.document["resource"].get(type_, {}).get(label, {}).get(attribute)
        return self.resolved(value) if isinstance(value, str) else match[0]

    def agrees(self, value: Any, documented: Any) -> bool:
        """Whether a value is the documented one."""
        documented = self.expected(documented)
        if isinstance(documented, Reference):
            referred = {(match[1], match[2]) for match in _REFERENCE.finditer(str(value))}
            return any(
                (documented.type, label) in referred
                for label in self.find(documented.type, documented.where)
            )
        if isinstance(documented, Having):
            return bool(set(self.expected(documented.parts)) <= set(value))
        if isinstance(documented, list):
            pairs = zip(_listed(value), documented, strict=False)
            return len(_listed(value)) == len(documented) and all(
                self.agrees(*pair) for pair in pairs
            )
        return bool(self.resolved(value) == documented)


def _merge(into: Block, other: Block) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
