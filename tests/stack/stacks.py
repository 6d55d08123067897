"""Synthesizes stacks and finds resources in them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ops.root import PROJECT
from tests.stack.documented_facts import Containing, PerEnv, Reference

Block = dict[str, Any]
_REFERENCE = re.compile(r"\$\{(\w+)\.([\w-]+)\.(\w+)")
VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)")

REPOSITORY = "example/multitask-platform"


def fixed_variables(added: Mapping[str, str]) -> dict[str, str]:
    """Returns this process's environment variables and the added ones.

    Omits inherited variables to which environment files refer. The synthesized files then do not
    depend on the developer's variables.
    """
    files = (PROJECT / "environments").rglob("*.yml")
    varying = {name for file in files for name in VARIABLE.findall(file.read_text())}
    fixed = {name: value for name, value in os.environ.items() if name not in varying}
    return {**fixed, **added}


def synthesize(
    out: Path, variables: Mapping[str, str] = {}, python: str | Path = sys.executable
) -> Path:
    """Runs main.py and returns the directory that contains one folder for each stack.

    The stacks contain roles for pipelines, because GITHUB_REPOSITORY is set. Fails if main.py warns
    that it cannot load the provider's classes lazily.
    """
    command = [str(python), "main.py"]
    environment = fixed_variables(
        {"CDKTF_OUTDIR": str(out), "GITHUB_REPOSITORY": REPOSITORY, **variables}
    )
    result = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "unexpected structure" not in result.stderr
    return out / "stacks"


def synthesize_variants(
    directory: Path, variants: Mapping[str, Block], variables: Mapping[str, str]
) -> Path:
    """Copies the program to `directory`, adds environment files there, and synthesizes them.

    Args:
        variants: The contents of the environments' files by name.

    Returns:
        The directory that contains one folder for each environment.
    """
    shutil.copy(PROJECT / "main.py", directory)
    shutil.copytree(PROJECT / "environments", directory / "environments")
    for folder in ("modules", "lambdas"):
        (directory / folder).symlink_to(PROJECT / folder)
    for name, content in variants.items():
        (directory / "environments" / f"{name}.yml").write_text(yaml.safe_dump(content))
    environment = fixed_variables(
        {
            **variables,
            "CDKTF_OUTDIR": str(directory / "out"),
            "PLATFORM_ENVIRONMENTS": ",".join(variants),
        }
    )
    command = [sys.executable, "-O", "main.py"]
    result = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return directory / "out" / "stacks"


def read_settings(environment: str) -> Block:
    """Returns the contents of an environment's file."""
    settings: Block = yaml.safe_load((PROJECT / "environments" / f"{environment}.yml").read_text())
    return settings


def read_files(directory: Path) -> dict[str, bytes]:
    """Returns the contents of all files in a directory, by relative path."""
    return {
        file.relative_to(directory).as_posix(): file.read_bytes()
        for file in directory.rglob("*")
        if file.is_file()
    }


def find_value(block: Any, path: str) -> Any:
    """Returns the value at a path, for example `rule.id=age.expiration.days`, or None.

    Each segment is a key of a block, or of the only block of a list. The segment `id=age` selects
    the block of a list whose `id` is `age`. `|json` after a key parses the key's value as JSON.
    """
    for part in path.split("."):
        segment, _, form = part.partition("|")
        key, is_selection, wanted = segment.partition("=")
        if is_selection:
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
    """The synthesized Terraform of one environment."""

    environment: str
    directory: Path

    @cached_property
    def document(self) -> Block:
        """The merged contents of the stack's files."""
        merged: Block = {}
        for file in sorted(self.directory.glob("*.tf.json")):
            _merge(merged, json.loads(file.read_text()))
        return merged

    def resources(self, type_: str) -> dict[str, Block]:
        """Returns the resources of a type by label."""
        resources: dict[str, Block] = self.document["resource"].get(type_, {})
        return resources

    def find(self, type_: str, where: Mapping[str, Any]) -> dict[str, Block]:
        """Returns the resources of a type whose arguments have the given values."""
        return {
            label: block
            for label, block in self.resources(type_).items()
            if all(self.matches(block.get(key), value) for key, value in where.items())
        }

    def find_only(self, type_: str, where: Mapping[str, Any]) -> Block:
        """Returns the only resource that `find` returns."""
        matches = self.find(type_, where)
        assert len(matches) == 1, (
            f"the stack has {len(matches)} {type_} with {where}: {sorted(matches)}"
        )
        return next(iter(matches.values()))

    def fill_environment(self, value: Any) -> Any:
        """Returns a documented value as it applies to this environment.

        Selects the environment's value of each `PerEnv`, and replaces `{env}` in texts.
        """
        if isinstance(value, PerEnv):
            value = getattr(value, self.environment)
        if isinstance(value, str):
            return value.replace("{env}", self.environment)
        if isinstance(value, list):
            return [self.fill_environment(item) for item in value]
        if isinstance(value, set):
            return {self.fill_environment(item) for item in value}
        if isinstance(value, dict):
            return {key: self.fill_environment(item) for key, item in value.items()}
        return value

    def resolve_references(self, value: Any) -> Any:
        """Replaces references to arguments with their values, and keeps other references."""
        if isinstance(value, str):
            return re.sub(rf"{_REFERENCE.pattern}}}", self._argument_value, value)
        if isinstance(value, list):
            return [self.resolve_references(item) for item in value]
        if isinstance(value, dict):
            return {key: self.resolve_references(item) for key, item in value.items()}
        return value

    def _argument_value(self, match: re.Match[str]) -> str:
        type_, label, attribute = match.groups()
        value = self.document["resource"].get(type_, {}).get(label, {}).get(attribute)
        return self.resolve_references(value) if isinstance(value, str) else match[0]

    def matches(self, value: Any, documented: Any) -> bool:
        """Returns True if a value equals the documented one."""
        documented = self.fill_environment(documented)
        if isinstance(documented, Reference):
            referred = {(match[1], match[2]) for match in _REFERENCE.finditer(str(value))}
            return any(
                (documented.type, label) in referred
                for label in self.find(documented.type, documented.where)
            )
        if isinstance(documented, Containing):
            return bool(set(self.fill_environment(documented.elements)) <= set(value))
        if isinstance(documented, list):
            pairs = zip(_listed(value), documented, strict=False)
            return len(_listed(value)) == len(documented) and all(
                self.matches(*pair) for pair in pairs
            )
        return bool(self.resolve_references(value) == documented)


def _merge(into: Block, other: Block) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
