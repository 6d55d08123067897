"""Validates stacks as HCL, and plans stacks as JSON against an empty embedded cloud.

Every run validates each environment once: in the plan of its JSON, as HCL, or in the end-to-end
tests. The nightly tests plan and validate all environments.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import pytest

from environments import environment_names
from ops.cloud import embedded_variables
from ops.embedded import Addresses
from ops.root import Root
from ops.terraform.synthesis import HCL, format_hcl
from tests.stack.conftest import ACCOUNT
from tests.stack.stacks import Stack, synthesize
from tests.stack.test_synthesis import likely_secrets
from tests.terraform import plan, run

PLANNED = {"prod"}
"""The environments that every run plans against an empty cloud."""
APPLIED = {"local"}
"""The environments that every run applies and plans in the end-to-end tests.

The environments in PLANNED and APPLIED together have each type of resource and each argument that
the other environments have.
"""


def nightly_except(environments: Collection[str]) -> pytest.MarkDecorator:
    """Parametrizes a test with all environments, and marks all except the given ones as nightly."""
    return pytest.mark.parametrize(
        "environment",
        [
            pytest.param(name, marks=[] if name in environments else [pytest.mark.nightly])
            for name in environment_names()
        ],
    )


def test_the_planned_and_applied_environments_have_each_argument_of_the_others(
    synthesized: Path,
) -> None:
    arguments = {
        environment: {
            f"{type_}.{argument}"
            for type_, blocks in Stack(environment, synthesized / environment)
            .document["resource"]
            .items()
            for block in blocks.values()
            for argument in block
        }
        for environment in environment_names()
    }
    planned = {name for environment in PLANNED | APPLIED for name in arguments[environment]}
    assert sorted({name for names in arguments.values() for name in names} - planned) == []


@pytest.fixture(scope="session")
def hcl(tmp_path_factory: pytest.TempPathFactory, root: Root) -> Path:
    """Synthesizes the stacks as formatted HCL."""
    stacks = synthesize(tmp_path_factory.mktemp("hcl"), HCL)
    for environment in environment_names():
        format_hcl(stacks / environment, root)
    return stacks


@nightly_except(set(environment_names()) - PLANNED - APPLIED)
def test_hcl_is_valid_formatted_and_free_of_warnings(
    hcl: Path, root: Root, environment: str
) -> None:
    check_hcl(hcl / environment, root)


def check_hcl(directory: Path, root: Root) -> None:
    """Fails if a stack's HCL is invalid or not formatted, or causes a warning."""
    check_valid(directory, root)
    assert run(directory, root, "fmt", "-check") == ""
    assert (directory / "cdk.tf").read_text().count("\n\nresource ") > 300


def check_valid(directory: Path, root: Root) -> None:
    """Fails if Terraform rejects a stack, or warns."""
    run(directory, root, "init", "-backend=false", "-input=false")
    output = run(directory, root, "validate")
    assert "Success! The configuration is valid" in output
    assert "Warning:" not in output


def test_formatted_hcl_adds_no_newline_to_texts_with_several_lines(
    tmp_path: Path, root: Root
) -> None:
    """CDKTF appends a newline to a text with several lines. `format_hcl` must remove it."""
    texts = {"without": "first\nlast", "with": "first\nlast\n"}
    (tmp_path / "cdk.tf").write_text(
        "".join(
            f'output "{name}" {{\nvalue = <<EOF\n{text}\nEOF\n}}\n' for name, text in texts.items()
        )
    )
    format_hcl(tmp_path, root)
    run(tmp_path, root, "init", "-input=false")
    run(tmp_path, root, "apply", "-auto-approve", "-input=false")
    outputs = json.loads(run(tmp_path, root, "output", "-json"))
    assert {name: output["value"] for name, output in outputs.items()} == texts


@pytest.fixture(scope="session")
def embedded_stacks(tmp_path_factory: pytest.TempPathFactory, empty_cloud: Addresses) -> Path:
    """Synthesizes the stacks with the embedded AWS's account instead of their own."""
    stacks = synthesize(tmp_path_factory.mktemp("planned"), embedded_variables(empty_cloud))
    use_embedded_account(stacks)
    return stacks


def use_embedded_account(stacks: Path) -> None:
    """Replaces the account of each stack with the account of the embedded AWS."""
    for file in stacks.glob("*/cdk.tf.json"):
        text = file.read_text()
        providers = json.loads(text)["provider"]["aws"]
        for account in {
            account for provider in providers for account in provider["allowed_account_ids"]
        }:
            text = text.replace(account, ACCOUNT)
        file.write_text(text)


@nightly_except(PLANNED)
def test_a_plan_against_an_empty_cloud_has_no_warnings_and_only_creates_resources(
    embedded_stacks: Path, empty_cloud: Addresses, root: Root, environment: str
) -> None:
    check_plan(embedded_stacks / environment, root, empty_cloud)


def check_plan(directory: Path, root: Root, empty_cloud: Addresses) -> None:
    """Fails if the plan of a stack causes a warning, or updates, replaces or destroys a resource.

    Terraform validates the configuration before it plans.
    """
    variables = embedded_variables(empty_cloud)
    # The embedded AWS does not resolve bucket host names, so the backend uses path-style addresses.
    run(
        directory,
        root,
        "init",
        "-input=false",
        "-backend-config=use_path_style=true",
        variables=variables,
    )
    shown, output = plan(directory, root, variables=variables)
    assert "Warning:" not in output
    actions = {tuple(item["change"]["actions"]) for item in shown["resource_changes"]}
    assert actions == {("create",)}
    assert len(shown["resource_changes"]) > 300
    after = {item["address"]: item["change"]["after"] for item in shown["resource_changes"]}
    assert not likely_secrets(after)
    parameters = [
        value for address, value in after.items() if address.startswith("aws_ssm_parameter.")
    ]
    assert len(parameters) == 4
    assert not [
        parameter for parameter in parameters if parameter.get("value") or parameter.get("value_wo")
    ]
