"""Generates the reference of the constructs in modules/, one page for each module.

python -m tools.module_reference [DIRECTORY]

The pages contain what each construct creates, its arguments, its attributes and an example. All of
it comes from the source: signatures, docstrings, calls of resource classes, and the shortest
statement that creates the construct.
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ops.root import PROJECT

MODULES = PROJECT / "modules"
PAGES = PROJECT / "docs" / "modules"
PROVIDER = "cdktf_cdktf_provider_aws."
ROOTS = {"Construct", "TerraformStack"}
COMMON = {"names": "The environment's resource names."}
"""Descriptions of arguments that have the same meaning in all constructs."""
COMMAND = "`python -m tools.module_reference` generates this page from"
_ENTRY = re.compile(r"^(?P<names>\w+(?:, \w+)*): (?P<text>.*)$")


@dataclass(frozen=True)
class Source:
    """A Python file of modules/, whose constructs the reference describes."""

    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def name(self) -> str:
        """The name of the module in headings and page addresses, for example `base/queue`."""
        return str(self.path.relative_to(MODULES).with_suffix(""))

    @cached_property
    def resources(self) -> dict[str, str]:
        """Returns the Terraform type of each imported resource class, by the class's local name."""
        return {
            alias.asname or alias.name: _terraform_type(node.module or "")
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PROVIDER)
            for alias in node.names
            if _is_resource(alias.name, node.module or "")
        }

    @cached_property
    def helpers(self) -> dict[str, ast.FunctionDef | ast.ClassDef]:
        """The functions and private classes of the module.

        A resource that such a function or class creates belongs to the constructs that call the
        function or class.
        """
        return {
            node.name: node
            for node in self.tree.body
            if isinstance(node, ast.FunctionDef)
            or (isinstance(node, ast.ClassDef) and node.name.startswith("_"))
        }


@dataclass(frozen=True)
class ConstructClass:
    """The source of a construct's class in modules/."""

    source: Source
    node: ast.ClassDef
    example: str = field(default="", compare=False)
    """A statement that creates the construct. Empty for base classes."""

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def bases(self) -> list[str]:
        return [ast.unparse(base) for base in self.node.bases]

    @cached_property
    def sections(self) -> dict[str, str]:
        """Returns the sections of the docstring by name: `""` for the text before them, `Args`,
        `Attributes`.
        """
        text = ast.get_docstring(self.node) or ""
        parts = re.split(r"^(Args|Attributes|Raises):\n", text, flags=re.MULTILINE)
        titles = zip(parts[1::2], parts[2::2], strict=True)
        return {"": parts[0].strip()} | {
            title: textwrap.dedent(body).strip() for title, body in titles
        }

    def entries(self, section: str) -> dict[str, str]:
        """Returns the entries of a section of the docstring: each name with its description."""
        result: dict[str, str] = {}
        names: list[str] = []
        for line in self.sections.get(section, "").splitlines():
            match = _ENTRY.match(line)
            if match:
                names = match["names"].split(", ")
                result |= dict.fromkeys(names, match["text"])
            else:
                result |= {name: f"{result[name]} {line.strip()}" for name in names}
        return result

    @cached_property
    def constructor(self) -> ast.FunctionDef | None:
        functions = (node for node in self.node.body if isinstance(node, ast.FunctionDef))
        return next((node for node in functions if node.name == "__init__"), None)

    def arguments(self) -> Iterator[tuple[str, str, str, str]]:
        """Yields the name, type, default (or "required") and description of each argument."""
        if self.constructor is None:
            return
        described, signature = self.entries("Args"), self.constructor.args
        defaults = [None] * (len(signature.args) - len(signature.defaults)) + signature.defaults
        both = [
            *zip(signature.args[1:], defaults[1:], strict=True),
            *zip(signature.kwonlyargs, signature.kw_defaults, strict=True),
        ]
        for argument, default in both:
            if argument.arg in {"scope", "id_"}:
                continue
            type_ = ast.unparse(argument.annotation) if argument.annotation else ""
            shown = f"`{ast.unparse(default)}`" if default else "required"
            yield argument.arg, type_, shown, (COMMON | described).get(argument.arg, "")

    def attributes(self) -> Iterator[tuple[str, str]]:
        """Yields the attributes in the docstring, and the public properties and methods.

        Attributes with the same description are one entry.
        """
        described = self.entries("Attributes")
        for text, names in itertools.groupby(described, key=lambda name: described[name]):
            yield "`, `".join(names), text
        for node in self.node.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                summary = (ast.get_docstring(node) or "").partition("\n\n")[0]
                is_property = any(ast.unparse(item) == "property" for item in node.decorator_list)
                parameters = "" if is_property else f"({_parameters(node)})"
                yield f"{node.name}{parameters}", " ".join(summary.split())

    def created(self) -> tuple[list[str], list[str]]:
        """Returns the Terraform types and the names of other constructs that the class creates.

        Includes what its base classes create.
        """
        calls: set[str] = set()
        pending: list[ast.AST] = [self.node]
        seen: set[str] = set()
        while pending:
            for node in ast.walk(pending.pop()):
                if isinstance(node, ast.Call):
                    calls.add(ast.unparse(node.func))
                elif isinstance(node, ast.ClassDef):
                    calls.update(map(ast.unparse, node.bases))
            for name in (calls & self.source.helpers.keys()) - seen:
                seen.add(name)
                pending.append(self.source.helpers[name])
        types = {type_ for name, type_ in self.source.resources.items() if name in calls}
        return sorted(types), sorted(calls)


def _terraform_type(module: str) -> str:
    name = module.removeprefix(PROVIDER)
    is_data = name.startswith("data_aws_")
    return f"data.{name.removeprefix('data_')}" if is_data else f"aws_{name}"


def _parameters(node: ast.FunctionDef) -> str:
    arguments = [*node.args.args[1:], *node.args.kwonlyargs]
    return ", ".join(argument.arg for argument in arguments)


def constructs() -> list[ConstructClass]:
    """Returns all constructs in modules/, in the order of their files."""
    sources = [Source(path) for path in sorted(MODULES.rglob("*.py"))]
    known = ROOTS.union(*(source.resources for source in sources))
    subclasses: list[ConstructClass] = []
    resources = frozenset(known)
    classes = [
        (source, node)
        for source in sources
        for node in source.tree.body
        if isinstance(node, ast.ClassDef)
    ]
    while True:
        more = [
            ConstructClass(source, node)
            for source, node in classes
            if node.name not in known and {ast.unparse(base) for base in node.bases} & known
        ]
        if not more:
            break
        subclasses += more
        known |= {item.name for item in more}
    examples = dict(_examples(sources, known - resources))
    return sorted(
        (
            ConstructClass(item.source, item.node, examples.get(item.name, ""))
            for item in subclasses
            if not item.name.startswith("_")
        ),
        key=lambda item: (item.source.name, item.node.lineno),
    )


def _is_resource(name: str, module: str) -> bool:
    """Returns True if a class is a Terraform resource.

    CDKTF appends A to the names of some resource classes.
    """
    resource = module.removeprefix(PROVIDER).replace("_", "")
    return name.lower() in {resource, f"{resource}a"}


def _examples(sources: Iterable[Source], names: set[str]) -> Iterator[tuple[str, str]]:
    """Yields the statements that create each construct.

    Sorts the statements from longest to shortest. In a dict that is made of the pairs, the last and
    shortest statement of each construct remains.
    """
    calls = [
        (node.func.id, textwrap.dedent(_lines(source.text, node)))
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
    ]
    yield from sorted(calls, key=lambda call: -len(call[1]))


def _lines(text: str, node: ast.Call) -> str:
    return "\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno])


def _page(name: str, group: list[ConstructClass], known: Mapping[str, str]) -> str:
    source = group[0].source
    up = "../" * name.count("/")
    lines = [
        f"# Module {name}",
        "",
        f"{COMMAND} `modules/{name}.py`.",
        "",
        ast.get_docstring(source.tree) or "",
        "",
    ]
    for item in group:
        lines += [f"## {item.name}", "", item.sections[""], ""]
        types, calls = item.created()
        if types:
            lines += _wrapped(f"Creates {', '.join(f'`{type_}`' for type_ in types)}.")
        others = [call for call in calls if call not in {item.name, *item.bases}]
        for verb, names in (("Extends", item.bases), ("Uses", others)):
            links = [
                f"[{name}]({up}{known[name]}.md#{name.lower()})" for name in names if name in known
            ]
            if links:
                lines += _wrapped(f"{verb} {', '.join(links)}.")
        arguments = list(item.arguments())
        if arguments:
            lines += ["| argument | type | default | description |", "| --- | --- | --- | --- |"]
            lines += [
                f"| `{argument}` | `{_cell(type_)}` | {_cell(default)} | {_cell(text)} |"
                for argument, type_, default, text in arguments
            ]
            lines.append("")
        attributes = list(item.attributes())
        if attributes:
            lines += ["| attribute or method | description |", "| --- | --- |"]
            lines += [f"| `{attribute}` | {_cell(text)} |" for attribute, text in attributes]
            lines.append("")
        if item.example:
            lines += ["Example:", "", "```python", item.example, "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _wrapped(text: str) -> list[str]:
    return [*textwrap.wrap(text, 100, break_on_hyphens=False, break_long_words=False), ""]


def pages() -> dict[str, str]:
    """Returns the text of each page by its file name below docs/modules."""
    all_constructs = constructs()
    known = {item.name: item.source.name for item in all_constructs}
    groups: dict[str, list[ConstructClass]] = {}
    for item in all_constructs:
        groups.setdefault(item.source.name, []).append(item)
    index = [
        "# Which constructs are there",
        "",
        f"{COMMAND} `modules/`. Each page shows what the",
        "constructs of a module create, their arguments and attributes, and an example.",
        "[What is the cloud made of](../architecture/modules.md) shows how they work together.",
        "",
        *(
            f"- [{name}]({name}.md): {', '.join(item.name for item in group)}"
            for name, group in groups.items()
        ),
    ]
    return {f"{name}.md": _page(name, group, known) for name, group in groups.items()} | {
        "README.md": "\n".join(index) + "\n"
    }


def write(directory: Path) -> None:
    """Writes all pages, and deletes pages of modules that no longer exist."""
    texts = pages()
    for path in directory.rglob("*.md"):
        if str(path.relative_to(directory)) not in texts:
            path.unlink()
    for name, text in texts.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if sys.argv[1:] else PAGES)
