"""Applies a stack to an emulator as far as possible, and plans it again."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.root import Root
from ops.terraform.toolchain import terraform, terraform_variables
from tests.ops.review.small import REFERENCE, Block, write
from tests.stack.stacks import Stack
from tests.terraform import run

PARALLELISM = "-parallelism=10"
PLAN_LIMIT = 5
"""Maximum number of plans. Each plan after the first omits the resources that could not be read."""


@dataclass
class ApplyResult:
    """The result of applying a stack to an emulator."""

    resources: int = 0
    """The number of resources in the stack."""
    read_back: int = 0
    """The number of resources that were applied and read back."""
    errors: dict[str, set[str]] = field(default_factory=dict)
    """Messages of failed calls by resource type."""
    differences: dict[str, str] = field(default_factory=dict)
    """Attributes (`type.attribute`) that a second apply would change, each with an example."""


def prepare(
    stack: Path, directory: Path, *, without: Iterable[str], replacements: Mapping[str, str]
) -> Block:
    """Copies a stack, replaces its backend with a local file, and returns its merged document.

    Args:
        without: Arguments to remove (`type.argument`).
        replacements: Values by resource type. They replace references to resources of that type,
            which the emulator cannot create.
    """
    shutil.copytree(stack, directory, symlinks=True)
    text = json.dumps(Stack("emulated", directory).document)
    for file in directory.glob("*.tf.json"):
        file.unlink()
    for type_, value in replacements.items():
        text, number = re.subn(rf"\$\{{{type_}\.[\w-]+\.\w+\}}", value, text)
        assert number, f"the stack does not refer to any {type_}"
    document: Block = json.loads(text)
    document["terraform"]["backend"] = {"local": {"path": "terraform.tfstate"}}
    document.pop("output", None)
    for provider in document["provider"]["aws"]:
        # With more retries, the provider would spend minutes on calls that the emulator does not
        # implement.
        provider["max_retries"] = 1
    for name in without:
        type_, argument = name.split(".")
        blocks = [block for block in document["resource"][type_].values() if argument in block]
        assert blocks, f"the stack has no {name}"
        for block in blocks:
            del block[argument]
    allow_plain_http(document["resource"])
    write(document, directory)
    return document


def allow_plain_http(resources: Block) -> None:
    """Removes the statements that deny plain HTTP from bucket policies.

    The emulator serves only plain HTTP. moto ignores the condition of these statements, so they
    would deny every request.
    """
    policies = resources["aws_s3_bucket_policy"]
    for name, resource in [*policies.items()]:
        policy = json.loads(resource["policy"])
        statements = [item for item in policy["Statement"] if item["Sid"] != "TlsOnly"]
        assert len(statements) < len(policy["Statement"])
        if statements:
            resource["policy"] = json.dumps({**policy, "Statement": statements})
        else:
            del policies[name]
            assert f"aws_s3_bucket_policy.{name}" not in json.dumps(resources)


def apply_and_plan(
    directory: Path, document: Block, root: Root, variables: Mapping[str, str]
) -> ApplyResult:
    """Applies the prepared stack and plans it again, without the resources that failed.

    Repeats the plan until the emulator can read all remaining resources.
    """
    result = ApplyResult(resources=sum(map(len, document["resource"].values())))
    run(directory, root, "init", "-input=false", variables=variables)
    for address, message in run_with_errors(
        directory, root, "apply", ("-auto-approve", "-input=false", PARALLELISM), variables
    ):
        result.errors.setdefault(address.partition(".")[0], set()).add(message)
    keep_only(document, list_applied(directory))
    file = directory / "plan.tfplan"
    for _ in range(PLAN_LIMIT):
        write(document, directory)
        remove_others_from_state(directory, document)
        options = ("-input=false", "-lock=false", PARALLELISM, f"-out={file}")
        failed = run_with_errors(directory, root, "plan", options, variables)
        for address, message in failed:
            result.errors.setdefault(address.partition(".")[0], set()).add(message)
        if not failed:
            break
        remove_with_dependents(document, {address for address, _ in failed})
    else:
        raise AssertionError(
            f"{directory}: after {PLAN_LIMIT} plans, the emulator cannot read {failed}"
        )
    result.read_back = sum(map(len, document["resource"].values()))
    shown = run(directory, root, "show", "-json", str(file), variables=variables)
    for item in json.loads(shown)["resource_changes"]:
        if item["change"]["actions"] not in (["no-op"], ["delete"]):
            result.differences.update(list_differences(item))
    return result


def run_with_errors(
    directory: Path,
    root: Root,
    command: str,
    options: Iterable[str],
    variables: Mapping[str, str],
) -> list[tuple[str, str]]:
    """Runs Terraform and returns its errors, each with the address of the resource."""
    result = subprocess.run(
        [str(terraform(root)), command, "-json", *options],
        cwd=directory,
        env=terraform_variables(root, {**os.environ, **variables}),
        capture_output=True,
        text=True,
        check=False,
    )
    (directory / f"{command}.jsonl").write_text(result.stdout)
    errors = []
    for line in result.stdout.splitlines():
        diagnostic = json.loads(line).get("diagnostic", {}) if line.startswith("{") else {}
        if diagnostic.get("severity") == "error":
            message = " ".join(f"{diagnostic['summary']} {diagnostic['detail']}".split())
            errors.append((diagnostic.get("address", ""), message))
    unknown = [message for address, message in errors if not address]
    assert not unknown, unknown
    assert bool(errors) == bool(result.returncode), result.stderr[-5000:]
    return errors


def list_applied(directory: Path) -> set[tuple[str, str]]:
    """Returns the type and label of each completely created resource in the state."""
    file = directory / "terraform.tfstate"
    assert file.exists(), f"nothing was applied: {(directory / 'apply.jsonl').read_text()[-3000:]}"
    state = json.loads(file.read_text())
    return {
        (resource["type"], resource["name"])
        for resource in state["resources"]
        if all(instance.get("status") != "tainted" for instance in resource["instances"])
    }


def remove_others_from_state(directory: Path, document: Block) -> None:
    """Removes from the state all resources that the document lacks, so that no plan reads them."""
    file = directory / "terraform.tfstate"
    state = json.loads(file.read_text())
    state["resources"] = [
        resource
        for resource in state["resources"]
        if resource["name"] in document["resource"].get(resource["type"], {})
    ]
    file.write_text(json.dumps(state))


def keep_only(document: Block, kept: set[tuple[str, str]]) -> None:
    """Removes all resources from a document except the kept ones."""
    for type_, blocks in list(document["resource"].items()):
        document["resource"][type_] = {
            label: block for label, block in blocks.items() if (type_, label) in kept
        }
        if not document["resource"][type_]:
            del document["resource"][type_]


def remove_with_dependents(document: Block, addresses: Iterable[str]) -> None:
    """Removes resources from a document, together with all resources that refer to them."""
    removed = {(type_, label.partition("[")[0]) for type_, label in map(_split, addresses)}
    blocks = dict(_list_blocks(document))
    while referring := {
        key
        for key, block in blocks.items()
        if key not in removed and removed.intersection(REFERENCE.findall(json.dumps(block)))
    }:
        removed |= referring
    keep_only(document, blocks.keys() - removed)


def _split(address: str) -> tuple[str, str]:
    type_, _, label = address.partition(".")
    return type_, label


def _list_blocks(document: Block) -> Iterator[tuple[tuple[str, str], Block]]:
    for type_, blocks in document["resource"].items():
        for label, block in blocks.items():
            yield (type_, label), block


def list_differences(item: Mapping[str, Any]) -> dict[str, str]:
    """Returns the attributes that a planned change modifies, with the old and the new value.

    If the change replaces the resource, these are the attributes that force the replacement.
    """
    change = item["change"]
    before, after = change["before"] or {}, change["after"] or {}
    forcing = {str(path[0]) for path in change.get("replace_paths", ())}
    # Attributes that are unknown until the apply follow from other changed attributes, so they are
    # reported only if no other attribute changes.
    unknown = {name for name, value in (change["after_unknown"] or {}).items() if value is True}
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    action = " and ".join(change["actions"])
    return {
        f"{item['type']}.{name}": (
            f"{item['address']} ({action}) {name}: {before.get(name)!r:.300} ->"
            f" {after.get(name)!r:.300}"
        )
        for name in forcing or changed - unknown or unknown
    }
