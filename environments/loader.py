"""Reads environments/<name>.yml, replaces `${VARIABLE}` with its value, and reports all errors."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from environments.model import Environment
from environments.partial import valid_part
from environments.rules import broken_rules

DIRECTORY = Path(__file__).parent
EXAMPLES = "examples"
"""The folder of example environments. `load_environment` reads them by name, but
`environment_names` omits them, and no command applies them."""

SIZES = {
    "log_level",
    "rate_limiting",
    "lambdas",
    "dynamodb",
    "rds",
    "elasticache",
    "network",
    "auth",
    "chat",
    "monitoring",
}
"""The keys whose values come from another environment if a file has the key `like`."""

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z][A-Z0-9_]*)(?::-(?P<default>[^}]*))?\}")


class EnvironmentFileError(Exception):
    """An environment file is invalid.

    The message has one line per error, with position, key, value and violated rule.
    """


class UniqueKeyLoader(yaml.SafeLoader):
    """Loads YAML's safe subset.

    A repeated key is an error, because PyYAML would silently keep its last value.
    """

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


def example_names(directory: Path = DIRECTORY) -> list[str]:
    """Returns the names of all example environments in alphabetical order."""
    return environment_names(directory / EXAMPLES)


def find_file(name: str, directory: Path = DIRECTORY) -> Path:
    """Returns the path of an environment's file, or of the example with this name if there is no
    such environment.
    """
    file, example = directory / f"{name}.yml", directory / EXAMPLES / f"{name}.yml"
    return example if example.is_file() and not file.is_file() else file


def load_environment(
    name: str, *, directory: Path = DIRECTORY, variables: Mapping[str, str] | None = None
) -> Environment:
    """Reads one environment or example.

    Args:
        name: The file's name without `.yml`.
        directory: The directory of the files; by default this package.
        variables: The values of `${NAME}` and `${NAME:-default}`; by default the process
            environment. A value that is empty after interpolation becomes None.

    Raises:
        EnvironmentFileError: The file does not exist or is invalid. Reports all errors at once.
    """
    return _load(name, directory, variables, ())


def _load(
    name: str, directory: Path, variables: Mapping[str, str] | None, dependents: tuple[str, ...]
) -> Environment:
    """Reads one environment.

    `dependents` is the chain of environments through whose key `like` this one is being read. It
    is empty if the caller requested this environment itself.
    """
    file = find_file(name, directory)
    if not file.is_file():
        names = environment_names(directory)
        raise EnvironmentFileError(
            f"{file.name}: no such environment;{_suggestion(name, names)} known:"
            f" {', '.join(names) or 'none'}; to add one, create the file in {directory.name}/"
        )
    try:
        text = file.read_text(encoding="utf-8")
        raw = yaml.load(text, Loader=UniqueKeyLoader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        raise EnvironmentFileError(_describe_syntax(file.name, error)) from error
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
    problems: list[str] = []
    values = _interpolate(raw, variables if variables is not None else os.environ, "", problems)
    document = {
        "name": name,
        **values,
        **_sizes(values, directory, variables, (*dependents, name), problems),
    }
    try:
        environment = Environment.model_validate(document)
        broken = broken_rules(environment)
    except ValidationError as error:
        problems += _describe_errors(error)
        environment = valid_part(document, error)
        broken = broken_rules(environment, is_incomplete=True)
    problems += broken
    if problems:
        marks = dict(_find_marks(yaml.compose(text, Loader=UniqueKeyLoader), ()))
        raise EnvironmentFileError(
            "\n".join(f"{file.name}{_position(line, marks)}: {line}" for line in problems)
        )
    return environment


def _sizes(
    values: Mapping[str, Any],
    directory: Path,
    variables: Mapping[str, str] | None,
    dependents: tuple[str, ...],
    problems: list[str],
) -> dict[str, Any]:
    """Returns the settings that the key `like` takes from another environment, or {} without this
    key.
    """
    like = values.get("like")
    if not isinstance(like, str):
        return {}
    if like in dependents:
        problems.append(
            f"like: {like}: refers back to this environment, directly or through other files;"
            " choose another environment"
        )
        return {}
    try:
        other = _load(like, directory, variables, dependents)
    except EnvironmentFileError as error:
        problems.append(f"like: {like}: {str(error).replace(chr(10), '; ')}")
        return {}
    sizes: dict[str, Any] = other.model_dump(include=SIZES, exclude_unset=True)
    platform = (values.get("lambdas") or {}).get("package_platform", "aws")
    sizes["lambdas"]["package_platform"] = platform
    return sizes


def _describe_syntax(file: str, error: yaml.MarkedYAMLError) -> str:
    """Returns the position and reason of a syntax error in one line."""
    mark = error.problem_mark or error.context_mark
    position = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
    hint = ": indent with spaces, not with tabs" if "'\\t'" in (error.problem or "") else ""
    reason = " ".join(part for part in (error.context, error.problem) if part)
    return f"{file}{position}: invalid YAML: {reason}{hint}"


def _find_marks(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[tuple[str, yaml.Mark]]:
    """Yields the dotted path and position of each key and list element below a node."""
    children: list[tuple[str, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        children = [(key.value, key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        children = [(str(index), value, value) for index, value in enumerate(node.value)]
    for name, marked, value in children:
        here = (*path, name)
        yield ".".join(here), marked.start_mark
        yield from _find_marks(value, here)


def _position(line: str, marks: Mapping[str, yaml.Mark]) -> str:
    """Returns the `:line:column` of the key that an error is about.

    If the key is missing, returns the position of the section that should contain the key.
    """
    parts = line.partition(":")[0].split(".")
    for length in range(len(parts), 0, -1):
        mark = marks.get(".".join(parts[:length]))
        if mark:
            return f":{mark.line + 1}:{mark.column + 1}"
    return ""


def _suggestion(word: str, known: Sequence[str]) -> str:
    similar = get_close_matches(word, known, n=1)
    return f" did you mean {similar[0]}?" if similar else ""


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
            allowed = _allowed_keys(item["loc"])
            lines.append(
                f"{path}: {item['input']!r}: unknown key;"
                f"{_suggestion(str(item['loc'][-1]), allowed)} allowed keys here:"
                f" {', '.join(allowed)}"
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
