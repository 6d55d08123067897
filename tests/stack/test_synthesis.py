"""Tests that synthesis is deterministic and writes no secrets."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from environments import environment_names
from ops.root import PROJECT
from tests.stack.stacks import fixed_variables, read_files, synthesize

SECRET_NAME = re.compile(r"password|secret|token|api_?key|private_?key|credential", re.IGNORECASE)
SECRET_VALUE = re.compile(
    r"(AKIA|ASIA)[0-9A-Z]{16}|-----BEGIN|AIza[\w-]{30}|\bsk-[\w-]{20}|gh[pousr]_\w{30}"
    r"|eyJ[\w-]+\.eyJ"
)
"""AWS access keys, PEM, Google, OpenAI and GitHub keys, JWTs."""
NO_SECRET = re.compile(
    r"\$\{.*\}|/multitask/\w+/[\w-]+|true|false|\d+|unset|minutes|ROTATE"
    r"|\$request\.header\.[\w-]+|arn:aws:\S+|[\w-]+_(PARAMETER|ARN)"
)
"""Values that are not secrets, although SECRET_NAME matches their names.

They are references, names of parameters, booleans, numbers or their units, defaults of the
provider, and `unset`.
"""


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yields the path and value of every scalar in a document."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key != "//":  # CDKTF writes metadata under this key
                yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, path)
    elif value is not None:
        yield path, json.dumps(value).strip('"')


def likely_secrets(document: Any) -> dict[str, str]:
    """Returns the values that look like secrets, or have names of secrets, by path."""
    return {
        path: value
        for path, value in leaves(document)
        if SECRET_VALUE.search(value)
        or (SECRET_NAME.search(path.rpartition(".")[2]) and not NO_SECRET.fullmatch(value))
    }


@pytest.mark.nightly
def test_synthesizing_twice_writes_identical_files(synthesized: Path, tmp_path: Path) -> None:
    again = read_files(synthesize(tmp_path))
    assert again == read_files(synthesized)
    assert {name.partition("/")[0] for name in again} == set(environment_names())


@pytest.mark.nightly
def test_importing_the_whole_provider_does_not_change_the_synthesized_files(
    synthesized: Path, tmp_path: Path
) -> None:
    variables = {"PLATFORM_ENVIRONMENTS": "dev", "PLATFORM_PROVIDER_IMPORT": "ordinary"}
    ordinary = read_files(synthesize(tmp_path, variables) / "dev")
    assert ordinary == read_files(synthesized / "dev")


def test_a_fifth_environment_needs_only_one_more_file(tmp_path: Path) -> None:
    """Uses a copy of the program, so that the checkout does not change."""
    shutil.copy(PROJECT / "main.py", tmp_path)
    shutil.copytree(PROJECT / "environments", tmp_path / "environments")
    for folder in ("modules", "lambdas"):
        (tmp_path / folder).symlink_to(PROJECT / folder)
    dev = (PROJECT / "environments" / "dev.yml").read_text()
    (tmp_path / "environments" / "ada.yml").write_text(dev.replace("/dev/", "/ada/"))
    environment = fixed_variables(
        {"CDKTF_OUTDIR": str(tmp_path / "out"), "PLATFORM_ENVIRONMENTS": "ada"}
    )
    subprocess.run([sys.executable, "main.py"], cwd=tmp_path, env=environment, check=True)
    document = json.loads((tmp_path / "out" / "stacks" / "ada" / "cdk.tf.json").read_text())
    assert (
        document["terraform"]["backend"]["s3"]["key"] == "multitask-platform/ada/terraform.tfstate"
    )
    names = {table["name"] for table in document["resource"]["aws_dynamodb_table"].values()}
    assert "auth-sessions-ada" in names
    assert not [name for name in names if not name.endswith("-ada")]


def test_writing_json_deletes_hcl_and_writing_hcl_deletes_json(
    synthesized: Path, tmp_path: Path
) -> None:
    """Terraform reads every file in a folder, so with both formats it would find duplicates."""
    shutil.copytree(synthesized / "dev", tmp_path / "stacks" / "dev")
    assert (tmp_path / "stacks" / "dev" / "cdk.tf.json").is_file()
    for hcl, written, deleted in (
        ("true", "cdk.tf", "cdk.tf.json"),
        ("", "cdk.tf.json", "cdk.tf"),
    ):
        stack = (
            synthesize(tmp_path, {"PLATFORM_ENVIRONMENTS": "dev", "SYNTH_HCL_OUTPUT": hcl}) / "dev"
        )
        assert (stack / written).is_file()
        assert not (stack / deleted).exists()


@pytest.mark.parametrize("environment", environment_names())
def test_stacks_contain_no_likely_secrets(synthesized: Path, environment: str) -> None:
    for file in (synthesized / environment).glob("*.tf.json"):
        assert not likely_secrets(json.loads(file.read_text()))


def test_likely_secrets_are_detected() -> None:
    """Shows that test_stacks_contain_no_likely_secrets can fail."""
    planted = {
        "a": {"master_password": "hunter2"},
        "b": ["AKIAIOSFODNN7EXAMPLE"],
        "c": {"jwt_secret": "${x.y}"},
    }
    assert likely_secrets(planted).keys() == {".a.master_password", ".b"}
