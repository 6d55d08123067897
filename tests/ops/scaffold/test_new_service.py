"""Tests `ops new service`, and the examples of the documentation, in a copy of the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.root import PROJECT
from ops.scaffold.draft import copy_checkout

PAGE = PROJECT / "docs" / "operations" / "add-something.md"
NEW_CODE = (
    "lambdas/notes",
    "modules/services/notes.py",
    "tests/lambdas/notes",
    "tests/modules/services/test_notes.py",
    "tests/e2e/scenarios/notes.py",
)
CHANGED_CODE = (
    "environments/model.py",
    "lambdas/route_tables.py",
    "modules/stack.py",
    "modules/tables.py",
    "tests/lambdas/test_access_matrix.py",
)


@dataclass(frozen=True)
class Copy:
    """A copy of the checkout."""

    path: Path

    def run(self, *command: str, **variables: str) -> str:
        """Runs a Python module in the copy, and returns its output.

        Raises:
            AssertionError: The module failed. The message contains its output.
        """
        result = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.path,
            env={
                **os.environ,
                "PYTHONPATH": str(self.path),
                "PYTHONDONTWRITEBYTECODE": "1",
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def apply(self, patch: str) -> None:
        result = subprocess.run(
            ["git", "apply", "-"],
            cwd=self.path,
            # The copy is not a repository, so git must not search its parent directories for one.
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(self.path.parent)},
            input=patch,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"{result.stderr}\n{patch}"

    def check(self, *more_tests: str) -> None:
        """Checks style and types of the new code, and runs its tests."""
        self.run("ruff", "check", "--quiet", ".")
        self.run("ruff", "format", "--check", "--quiet", ".")
        self.run("mypy", *NEW_CODE, *CHANGED_CODE)
        tests = [path for path in NEW_CODE if "test" in path and "e2e" not in path]
        self.run("pytest", "-q", "-n", "0", *tests, *more_tests)


def section(title: str) -> str:
    """Returns the text of a section of docs/operations/add-something.md."""
    return re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[
        ["", "Add a service", "Add a table", "Add a route", "Add an alarm"].index(title)
    ]


def patches(title: str) -> list[str]:
    return re.findall(r"^```diff\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)


def commands(title: str) -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)


def generate_service(path: Path) -> Copy:
    """Copies the checkout, and runs the documented command that generates a service."""
    copy_checkout(path)
    if (cache := PROJECT / ".mypy_cache").exists():
        shutil.copytree(cache, path / ".mypy_cache")
    copy = Copy(path)
    (command,) = commands("Add a service")
    files = copy.run(*command.split()).splitlines()
    assert set(files) >= {
        "lambdas/notes/handler.py",
        "docs/api/reference/notes.md",
        "docs/architecture/overview.svg",
        *CHANGED_CODE,
    }
    return copy


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Copies the checkout, and applies all examples of docs/operations/add-something.md."""
    copy = generate_service(tmp_path_factory.mktemp("checkout"))
    for title in ("Add a table", "Add a route", "Add an alarm"):
        assert patches(title)
        for patch in patches(title):
            copy.apply(patch)
    assert commands("Add a route") == ["make generate\n"]
    copy.run("tools.generate", "--without-diagrams")
    return copy


@pytest.fixture(scope="module")
def resources(copy: Copy) -> dict[str, Any]:
    """Returns the resources of the copy's environment `local`, by type and name."""
    copy.run("ops", "synth", "local", "--out", "synthesized")
    stack = copy.path / "synthesized" / "stacks" / "local" / "cdk.tf.json"
    document: dict[str, Any] = json.loads(stack.read_text())
    return dict(document["resource"])


def test_the_code_is_formatted_typed_tested_and_documented(copy: Copy) -> None:
    copy.check(
        "tests/lambdas/test_access_matrix.py",
        "tests/docs/test_documents.py",
        "tests/ops/smoke/test_requests.py",
    )


def find(resources: dict[str, Any], type_: str, **attributes: str) -> dict[str, Any]:
    """Returns the only resource of a type with these attributes."""
    (match,) = (
        resource
        for resource in resources[type_].values()
        if all(resource.get(name) == value for name, value in attributes.items())
    )
    return dict(match)


def test_the_stack_has_the_service_and_the_tables(resources: dict[str, Any]) -> None:
    function = find(resources, "aws_lambda_function", function_name="notes-lambda-local")
    variables = function["environment"]["variables"]
    for variable, name, range_key in (
        ("DYNAMODB_TABLE_ITEMS", "notes-items-local", "item_id"),
        ("DYNAMODB_TABLE_REVISIONS", "notes-revisions-local", "revision"),
    ):
        label = variables[variable].split(".")[1]
        table = resources["aws_dynamodb_table"][label]
        assert (table["name"], table["range_key"]) == (name, range_key)
    assert find(resources, "aws_api_gateway_resource", path_part="notes")


def test_the_role_has_the_permission_of_the_new_route(resources: dict[str, Any]) -> None:
    policy = find(resources, "aws_iam_role_policy", name="notes-policy-local")["policy"]
    statements = {item["Sid"]: item for item in json.loads(policy)["Statement"]}
    assert set(statements["Revisions"]["Action"]) == {"dynamodb:PutItem", "dynamodb:Query"}


def test_the_stack_has_the_alarm(resources: dict[str, Any]) -> None:
    alarm = find(resources, "aws_cloudwatch_metric_alarm", alarm_name="notes-writes-alarm-local")
    assert "notes-items" in alarm["dimensions"]["TableName"]
    assert alarm["alarm_actions"]


def test_the_description_of_the_api_has_the_new_route(copy: Copy) -> None:
    description = json.loads((copy.path / "docs" / "api" / "openapi.json").read_text())
    route = description["paths"]["/v1/notes/{itemId}/revisions"]["get"]
    assert route["operationId"] == "notes_list_revisions"


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_a_generated_service_passes_all_checks_and_works_on_the_platform() -> None:
    # PostgreSQL's system user cannot read pytest's temporary directory.
    parent = Path(tempfile.mkdtemp(prefix="checkout-"))
    parent.chmod(0o755)
    try:
        copy = generate_service(parent / "copy")
        packages = Path("tools/api/node_modules")
        (copy.path / packages).symlink_to(PROJECT / packages)
        copy.check("tests/lambdas", "tests/modules", "tests/tools", "tests/docs/test_documents.py")
        try:
            copy.run("ops", "up")
            copy.run("ops", "smoke", "local")
            copy.run("ops", "review", "local", "--no-checkov", "--fail-on", "review")
            copy.run(
                *(
                    "pytest",
                    "-q",
                    "-n",
                    "0",
                    "tests/e2e/auth/test_role_permissions.py",
                    "-k",
                    "notes",
                ),
                PLATFORM_ROOT=str(copy.path / ".local"),
            )
        finally:
            copy.run("ops", "down", "--purge")
    finally:
        shutil.rmtree(parent)
