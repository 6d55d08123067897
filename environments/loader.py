"""Reads environments/<name>.yml, replaces `${VARIABLE}` with its value, and reports all errors."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from environments.model import Environment
from environments.partial import valid_part
from environments.rules import broken_rules

DIRECTORY = Path(__file__).parent

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z][A-Z0-9_]*)(?::-(?P<default>[^}]*))?\}")


class EnvironmentFileError(Exception):
    """An environment file is invalid. Each error is one line: file, key, value, rule."""


class _Loader(yaml.SafeLoader):
    """YAML's safe subset. A repeated key is an error instead of a silent overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' appears twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def environment_names(directory: Path = DIRECTORY) -> list[str]:
    """Returns the names of all environments in alphabetical order."""
    return sorted(file.stem for file in directory.glob("*.yml"))


def load_environment(
    name: str, *, directory: Path = DIRECTORY, variables: Mapping[str, str] | None = None
) -> Environment:
    """Reads one environment.

    Args:
        name: The file's name without `.yml`.
        directory: The directory of the files; by default this package.
        variables: The values of `${NAME}` and `${NAME:-default}`; by default the process
            environment. A key whose value is empty after interpolation counts as absent.

    Raises:
        EnvironmentFileError: The file does not exist or is invalid. Reports all errors at once.
    """
    file = directory / f"{name}.yml"
    if not file.is_file():
        known = ", ".join(environment_names(directory)) or "none"
        raise EnvironmentFileError(
            f"{file.name}: no such environment; known: {known}; to add one, create the file in"
            f" {directory.name}/"
        )
    try:
        raw = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise EnvironmentFileError(f"{file.name}: invalid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise EnvironmentFileError(
            f"{file.name}: expected a mapping of keys to values, not {type(raw).__name__}"
        )
    if "name" in raw:
        raise EnvironmentFileError(
            f"{file.name}: name: {raw['name']!r}: remove this key; the file name is the"
            " environment's name"
        )
    missing: list[str] = []
    values = _interpolate(raw, variables if variables is not None else os.environ, "", missing)
    problems = [f"{file.name}: {line}" for line in missing]
    document = {"name": name, **values}
    try:
        environment = Environment.model_validate(document)
        broken = broken_rules(environment)
    except ValidationError as error:
        problems += [f"{file.name}: {line}" for line in _describe_errors(error)]
        environment = valid_part(document, error)
        broken = broken_rules(environment, is_incomplete=True)
    problems += [f"{file.name}: {line}" for line in broken]
    if problems:
        raise EnvironmentFileError("\n".join(problems))
    return environment


def _interpolate(value: Any, variables: Mapping[str, str], path: str, missing: list[str]) -> Any:
    if isinstance(value, dict):
        return {
            key: _interpolate(item, variables, f"{path}.{key}" if path else str(key), missing)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            _interpolate(item, variables, f"{path}.{index}", missing)
            for index, item in enumerate(value)
        ]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        text = variables.get(match["name"]) or match["default"]
        if text is None:
            missing.append(f"{path}: {value}: set the environment variable {match['name']}")
            return ""
        return text

    result = _VARIABLE.sub(replace, value)
    return None if value and not result else result


def _describe_errors(error: ValidationError) -> list[str]:
    """Returns one line for each validation error: `key path: value: rule`."""
    lines: list[str] = []
    for item in error.errors(include_url=False):
        path = ".".join(str(part) for part in item["loc"] if part != "[key]")
        if item["type"] == "missing":
            lines.append(f"{path}: required, but missing")
        elif item["type"] == "extra_forbidden":
            lines.append(
                f"{path}: {item['input']!r}: unknown key; allowed keys here:"
                f" {', '.join(_allowed_keys(item['loc']))}"
            )
        else:
            shown = "" if isinstance(item["input"], dict) else f" {item['input']!r}:"
            lines.append(f"{path}:{shown} {item['msg']}")
    return lines


def _allowed_keys(location: tuple[int | str, ...]) -> list[str]:
    """Returns the keys that the model allows in the mapping at `location`."""
    model: Any = Environment
    for part in location[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        annotation = field.annotation if field else model
        candidates = (annotation, *getattr(annotation, "__args__", ()))
        model = next((item for item in candidates if hasattr(item, "model_fields")), model)
    return sorted(set(model.model_fields) - {"name"})
