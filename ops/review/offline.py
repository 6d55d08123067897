"""Plans the difference between the checkout and a commit without AWS and without a state.

Terraform plans both from an empty state, so that each plan creates all resources. Resources that
both plans create with the same values count as unchanged. All other resources count as changed.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from environments import EnvironmentFileError, load_environment
from ops.cloud import AWS_SETTINGS
from ops.console import Progress
from ops.errors import OperatorError
from ops.root import PROJECT, Root, write_json
from ops.terraform.runner import Terraform
from ops.terraform.synthesis import synthesize
from ops.terraform.toolchain import terraform, terraform_variables

NOTE = (
    "Planned without AWS, as the difference from {commit}. Values that AWS assigns are unknown, and"
    " a changed resource may turn out to be replaced: review again with credentials before you"
    " deploy"
)
SHARED = (".build",)
"""Folders of the checkout that the synthesis of the commit also uses, through symbolic links.
`.build` is the cache of the Lambda functions' packages."""
PROVIDER = {
    "access_key": "offline",
    "secret_key": "offline",
    "allowed_account_ids": None,
    "skip_credentials_validation": True,
    "skip_metadata_api_check": "true",
    "skip_region_validation": True,
    "skip_requesting_account_id": True,
}
"""Arguments with which the AWS provider makes no call in a plan without a refresh."""


def plan_offline(environment: str, root: Root, base: str) -> tuple[dict[str, Any], Path, str]:
    """Plans what the checkout changes in comparison with a commit.

    Args:
        base: The commit: a hash, a branch or a tag.

    Returns:
        The plan in the format of `terraform show -json`, the directory of the checkout's stack, and
        a note about the plan's limits.

    Raises:
        OperatorError: The commit does not exist, or synthesis or planning failed.
    """
    try:
        load_environment(environment)
    except EnvironmentFileError as error:
        raise OperatorError(str(error)) from error
    commit = _commit(base)
    root.prepare()
    directory = PROJECT / ".build" / "offline"
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as temporary, ThreadPoolExecutor(2) as pool:
        source = Path(temporary)
        _extract(commit, source)
        with Progress(f"planning {environment} without AWS"):
            before, after = pool.map(
                lambda arguments: _plan(environment, root, *arguments),
                ((source, directory / "before"), (PROJECT, directory / "after")),
            )
    stack = directory / "after" / "stacks" / environment
    return difference(before, after), stack, NOTE.format(commit=f"{base} ({commit[:12]})")


def _commit(base: str) -> str:
    result = _git("rev-parse", "--verify", "--quiet", f"{base}^{{commit}}")
    if result.returncode:
        raise OperatorError(f"{base!r} is not a commit of this checkout: use a hash, branch or tag")
    return result.stdout.decode().strip()


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, check=False)
    except OSError as error:
        raise OperatorError(f"git cannot be run ({error}): install it") from error


def _extract(commit: str, directory: Path) -> None:
    """Writes the files of a commit into a directory.

    Adds links to the folders in SHARED, because git does not contain these folders.
    """
    archive = _git("archive", "--format=tar", commit).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(directory, filter="data")
    for name in SHARED:
        if (PROJECT / name).exists():
            (directory / name).symlink_to(PROJECT / name)


def _plan(environment: str, root: Root, source: Path, out: Path) -> dict[str, Any]:
    """Synthesizes the stack of a source directory and plans it from an empty state.

    Returns:
        The output of `terraform show -json`. Each item of `resource_changes` also has `arguments`,
        the resource's arguments in the synthesized stack.
    """
    synthesize([environment], out, {}, source=source)
    stack = out / "stacks" / environment
    written = json.loads((stack / "cdk.tf.json").read_text(encoding="utf-8"))
    providers = [
        {**PROVIDER, **({"alias": provider["alias"]} if "alias" in provider else {})}
        for provider in written["provider"]["aws"]
    ]
    # Arguments in a file whose name ends in `_override.tf.json` replace those of existing blocks.
    override = {
        "terraform": {"backend": {"local": {"path": "no-state.tfstate"}}},
        "provider": {"aws": providers},
    }
    write_json(stack / "offline_override.tf.json", override)
    _replace_random_secrets(stack / "secrets.tf.json")
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(AWS_SETTINGS)
    }
    runner = Terraform(
        terraform(root),
        stack,
        terraform_variables(root, {**variables, "AWS_EC2_METADATA_DISABLED": "true"}),
        root.logs / f"terraform-offline-{out.name}.jsonl",
    )
    runner.init()
    with runner.temporary_plan("offline", ["-refresh=false", "-lock=false"]) as plan:
        shown = runner.show(plan.file)
    for item in shown.get("resource_changes") or []:
        block = _block(written, item) or _block(_read(stack / "secrets.tf.json"), item)
        item["arguments"] = {name: value for name, value in block.items() if name != "//"}
    return shown


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _block(document: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    block: dict[str, Any] = document.get("resource", {}).get(item["type"], {}).get(item["name"], {})
    return block


def _replace_random_secrets(file: Path) -> None:
    """Replaces the random values of secrets with a constant.

    Terraform would call AWS during the plan to generate the random values.
    """
    document = _read(file)
    document.pop("ephemeral", None)
    for parameter in document["resource"]["aws_ssm_parameter"].values():
        parameter["value_wo"] = "unset"
    write_json(file, document)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a plan of the changes between two plans that each create all their resources.

    Args:
        before: The output of `terraform show -json`. Each item of `resource_changes` also has
            `arguments`, the resource's arguments in the synthesized stack.
        after: The plan of the changed stack, in the same format as `before`.
    """
    old = {item["address"]: item for item in before["resource_changes"]}
    new = {item["address"]: item for item in after["resource_changes"]}
    changes = [
        _resource(old[address], item) if address in old else item for address, item in new.items()
    ]
    changes += [_removed(item) for address, item in old.items() if address not in new]
    outputs = {**before.get("output_changes", {}), **after.get("output_changes", {})}
    return {
        **after,
        "resource_changes": changes,
        "prior_state": {"values": before.get("planned_values", {})},
        "output_changes": {
            name: {
                **change,
                "actions": ["no-op"]
                if before.get("output_changes", {}).get(name)
                == after.get("output_changes", {}).get(name)
                else ["update"],
            }
            for name, change in outputs.items()
        },
    }


def _resource(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the change of a resource that both plans create."""
    was, will = old["change"], new["change"]
    changed = {
        name
        for name in old["arguments"].keys() | new["arguments"].keys()
        if old["arguments"].get(name) != new["arguments"].get(name)
    }
    # A value that is unknown in both plans counts as changed only if the resource's argument of the
    # same name differs.
    unknown = {
        name: value
        for name, value in (will.get("after_unknown") or {}).items()
        if name in changed or value != (was.get("after_unknown") or {}).get(name)
    }
    same = was["after"] == will["after"] and not any(_truths(unknown))
    return {
        **new,
        "change": {
            **will,
            "actions": ["no-op"] if same else ["update"],
            "before": was["after"],
            "before_sensitive": was.get("after_sensitive", {}),
            "after_unknown": {} if same else unknown,
        },
    }


def _truths(value: Any) -> Iterator[bool]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _truths(item)
    elif isinstance(value, list):
        for item in value:
            yield from _truths(item)
    elif value:
        yield True


def _removed(item: Mapping[str, Any]) -> dict[str, Any]:
    change = item["change"]
    return {
        **item,
        "change": {
            **change,
            "actions": ["delete"],
            "before": change["after"],
            "before_sensitive": change.get("after_sensitive", {}),
            "after": None,
            "after_unknown": {},
            "after_sensitive": False,
        },
    }
