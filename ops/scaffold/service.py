"""Generates a service with one table and three routes, with its tests and documentation."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable
from pathlib import Path

from ops.errors import OperatorError
from ops.root import PROJECT
from ops.scaffold.draft import Draft, draft_of

TEMPLATE = Path(__file__).with_name("template")
"""The files of a service called `sample`. Python files have the additional extension .txt, so that
no tool imports or checks them."""

NAME = re.compile(r"[a-z][a-z0-9]{1,15}")
"""Matches valid names of services. They have at most 16 characters, because X-Ray limits the name
of the group `<name>-service-staging` to 32."""


def create_service(
    name: str, *, checkout: Path = PROJECT, show: Callable[[str], None] = lambda _line: None
) -> list[Path]:
    """Adds a service to the checkout. Changes nothing if it fails or is interrupted.

    Args:
        name: The name of the service and its Lambda function. Its routes begin with /v1/NAME.
        checkout: The checkout to change.
        show: Called with a description of each step.

    Returns:
        The written files, relative to the checkout.

    Raises:
        OperatorError: The name is invalid or in use, or a step failed.
    """
    check_name(name, checkout)
    show("copying the checkout")
    with draft_of(checkout) as draft:
        _write_files(draft, name)
        _register(draft, name)
        show("formatting the new code")
        code = [str(file) for file in draft.changed_files() if file.suffix == ".py"]
        draft.run("ruff", "check", "--quiet", "--fix", "--select", "I", *code)
        draft.run("ruff", "format", "--quiet", *code)
        show("generating the documentation")
        draft.run("tools.generate")
        return draft.publish()


def check_name(name: str, checkout: Path = PROJECT) -> None:
    """Checks that a service can have this name.

    Raises:
        OperatorError: The name is invalid or in use.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise OperatorError(
            f"{name!r} is not a name for a service: use 2 to 16 lowercase letters and digits,"
            " starting with a letter, for example notes"
        )
    taken = {
        folder.name if folder.is_dir() else folder.stem
        for pattern in ("lambdas/*", "lambdas/common/*", "modules/*", "modules/services/*.py")
        for folder in checkout.glob(pattern)
    }
    stack = (checkout / "modules" / "stack.py").read_text(encoding="utf-8")
    tables = (checkout / "modules" / "tables.py").read_text(encoding="utf-8")
    routes = [file.read_text(encoding="utf-8") for file in checkout.glob("lambdas/*/routes.py")]
    if (
        name in taken
        or re.search(rf"\b{name.capitalize()}\b", stack)
        or f'service="{name}"' in tables
        or any(re.search(rf'"/v1/{name}["/]', text) for text in routes)
    ):
        raise OperatorError(
            f"{name} is already the name of a Lambda function, a route or a construct: choose"
            " another name, for example notes"
        )


def _write_files(draft: Draft, name: str) -> None:
    for source in sorted(TEMPLATE.rglob("*")):
        if source.is_file():
            path = str(source.relative_to(TEMPLATE)).replace("sample", name)
            target = draft.path / path.removesuffix(".txt")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_rename(source.read_text(encoding="utf-8"), name), encoding="utf-8")


def _rename(text: str, name: str) -> str:
    for old, new in (
        ("sample", name),
        ("Sample", name.capitalize()),
        ("SAMPLE", name.upper()),
    ):
        text = text.replace(old, new)
    return text


def _register(draft: Draft, name: str) -> None:
    """Adds the service to each list of services in the code, the tests and docs/README.md."""
    draft.insert("environments/model.py", '    "authorizer",\n', f'    "{name}",\n')
    draft.insert("lambdas/route_tables.py", '"health")', f'"{name}", ')
    draft.insert(
        "modules/tables.py",
        '    TableDefinition(\n        service="platform",',
        f"    TableDefinition(\n"
        f'        service="{name}", resource="items", hash_key="user_id", range_key="item_id"\n'
        f"    ),\n",
    )
    draft.insert(
        "modules/stack.py",
        "from modules.storage import",
        f"from modules.services.{name} import {name.capitalize()}\n",
    )
    draft.insert(
        "modules/stack.py",
        "        constructs = (auth, ",
        f'        {name} = {name.capitalize()}(self, "{name}", platform=platform)\n',
    )
    draft.insert("modules/stack.py", "authorizer, self._delivery)", f"{name}, ")
    draft.insert(
        "tests/lambdas/test_access_matrix.py",
        "health   public",
        "".join(
            f"{name:<8} users   {method:<6} /v1/{name}/a\n" for method in ("GET", "PUT", "DELETE")
        ),
    )
    draft.insert(
        "docs/README.md",
        "- Fields, limits and error codes of",
        f"- [How does the {name} service work](api/{name}.md)\n",
    )
