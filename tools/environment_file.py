"""Generates a JSON Schema and a reference page of the environment files from their model.

python -m tools.environment_file

Editors with a YAML language server read environments/schema.json, which each environment file
names, and then complete and explain its keys. The descriptions are the docstrings of the model.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from environments import Environment, model
from ops.root import PROJECT

SCHEMA = PROJECT / "environments" / "schema.json"
PAGE = PROJECT / "docs" / "operations" / "environment-file.md"
VARIABLE = {"type": "string", "pattern": r"\$\{[A-Z][A-Z0-9_]*(:-[^}]*)?\}"}
"""Matches a value that contains `${NAME}` or `${NAME:-default}`."""
INTRODUCTION = """\
# What can an environment file set

`python -m tools.environment_file` generates this page from `environments/model.py`. An environment
is a file `environments/<name>.yml`. Editors with a YAML language server complete and explain the
keys, because each file names [the schema](../../environments/schema.json). Text values can contain
`${NAME}` or `${NAME:-default}`, which environment variables replace. Rules that relate several keys
are in `environments/rules.py`; every command reports all errors with line and column.

Files in `environments/examples/` are examples that are never deployed. The commands
`capacity`, `cost`, `diagram`, `synth` and `environment diff` accept their names, and `ops
environment new NAME --like EXAMPLE` creates an environment with the values of an example. [An
example for ten million users](capacity.md#an-example-for-ten-million-users) describes `scale`.
"""


def docstrings() -> dict[str, dict[str, str]]:
    """Returns the docstrings by class and field. The key `""` has the docstring of the class."""
    result: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(model)).body:
        if isinstance(node, ast.ClassDef):
            texts = {"": ast.get_docstring(node) or ""}
            for field, following in zip(node.body, node.body[1:], strict=False):
                match (field, following):
                    case (
                        ast.AnnAssign(target=ast.Name(id=name)),
                        ast.Expr(value=ast.Constant(value=str(text))),
                    ):
                        texts[name] = inspect.cleandoc(text)
            result[node.name] = texts
    return result


def schema() -> dict[str, Any]:
    """Returns the JSON Schema of an environment file."""
    texts, result = docstrings(), Environment.model_json_schema()
    # An environment file must not contain the environment's name. It may omit the state's location.
    del result["properties"]["name"]
    result["required"] = [key for key in result["required"] if key not in {"name", "state"}]
    del result["$defs"]["State"]["required"]
    for name, section in [("Environment", result), *result["$defs"].items()]:
        section["description"] = _one_line(texts[name][""])
        for key, value in section.get("properties", {}).items():
            value.pop("title", None)
            described = texts[name].get(key) or texts[_reference(value)][""]
            section["properties"][key] = {
                **_with_variables(value),
                "description": _one_line(described),
            }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **result}


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _reference(value: Mapping[str, Any]) -> str:
    return str(value["$ref"]).rpartition("/")[2]


def _with_variables(value: dict[str, Any]) -> dict[str, Any]:
    """Extends each schema of a text so that it also accepts a variable (`${NAME}`)."""
    if "anyOf" in value:
        return {**value, "anyOf": [_with_variables(item) for item in value["anyOf"]]}
    if value.get("type") == "array":
        return {**value, "items": _with_variables(value["items"])}
    if value.get("type") == "string":
        kept = {key: value[key] for key in ("default",) if key in value}
        rest = {key: item for key, item in value.items() if key not in kept}
        return {**kept, "anyOf": [rest, VARIABLE]}
    return value


def page() -> str:
    """Returns the reference page of the environment files, in Markdown."""
    document = schema()
    lines = [INTRODUCTION, *_table(document)]
    for path, name in _sections(document, document, ""):
        section = document["$defs"][name]
        lines += [f"## {path}", "", section["description"], "", *_table(section)]
    return "\n".join(lines)


def _sections(
    document: Mapping[str, Any], section: Mapping[str, Any], path: str
) -> Iterator[tuple[str, str]]:
    """Yields the path and the class name of each section inside a section of the model."""
    for key, value in section["properties"].items():
        inner = {
            name
            for part in _parts(value)
            if "$ref" in part
            for name in [_reference(part)]
            if "properties" in document["$defs"][name]
        }
        for name in sorted(inner):
            here = f"{path}.{key}" if path else key
            if "additionalProperties" in value or "patternProperties" in value:
                here += ".<function>"
            yield here, name
            yield from _sections(document, document["$defs"][name], here)


def _parts(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield value
    for part in value.get("anyOf", ()):
        yield from _parts(part)
    for key in ("items", "additionalProperties"):
        if isinstance(value.get(key), dict):
            yield from _parts(value[key])


def _table(section: Mapping[str, Any]) -> list[str]:
    """Returns a Markdown table of the keys in a section."""
    required = section.get("required", ())
    lines = ["| key | values | default | meaning |", "| --- | --- | --- | --- |"]
    for key, value in section["properties"].items():
        default = "required" if key in required else _default(value)
        meaning = value["description"].replace("|", "\\|")
        lines.append(f"| `{key}` | {_values(value)} | {default} | {meaning} |")
    return [*lines, ""]


def _default(value: Mapping[str, Any]) -> str:
    if any("$ref" in part for part in _parts(value)) or value.get("default") is None:
        return ""
    return f"`{json.dumps(value['default'])}`"


def _values(value: Mapping[str, Any]) -> str:
    """Returns the values that a key allows, as Markdown text."""
    texts = []
    for part in _parts(value):
        if part == VARIABLE or part.get("type") == "null":
            continue
        if "enum" in part:
            texts.append(", ".join(f"`{item}`" for item in part["enum"]))
        elif "const" in part:
            texts.append(f"`{part['const']}`")
        elif "$ref" in part:
            texts.append("see below")
        elif part.get("type") in {"integer", "number"}:
            texts.append(_range(part))
        elif part.get("type") == "boolean":
            texts.append("`true`, `false`")
        elif part.get("type") == "array":
            texts.append("list:")
        elif part.get("type") == "string":
            pattern = part.get("pattern", "").replace("|", "\\|")
            texts.append(f"text like `{pattern}`" if pattern else "text")
    return " ".join(dict.fromkeys(texts))


def _range(part: Mapping[str, Any]) -> str:
    steps = f" in steps of {part['multipleOf']:g}" if "multipleOf" in part else ""
    match (part.get("minimum"), part.get("maximum")):
        case (None, None):
            limits = ""
        case (least, None):
            limits = f" from {least:g}"
        case (least, most):
            limits = f" {least:g} to {most:g}"
    return f"{'integer' if part['type'] == 'integer' else 'number'}{limits}{steps}"


def files() -> dict[Path, str]:
    """Returns the environment files' JSON Schema and reference page, by the path to write."""
    return {SCHEMA: json.dumps(schema(), indent=2) + "\n", PAGE: page()}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(PROJECT))
