"""Runs Terraform for tests, with the executable and environment variables of `ops` commands."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops.root import Root
from ops.terraform.toolchain import terraform, terraform_variables


def run(directory: Path, root: Root, *arguments: str, variables: Mapping[str, str] = {}) -> str:
    """Runs Terraform in a directory and returns its standard output.

    Raises:
        AssertionError: Terraform failed; the message has its output.
    """
    command = [str(terraform(root)), arguments[0], "-no-color", *arguments[1:]]
    environment = terraform_variables(root, {**os.environ, **variables})
    result = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, (
        f"{directory}: terraform {arguments[0]}: {result.stderr[-5000:] or result.stdout[-5000:]}"
    )
    return result.stdout


def plan(
    directory: Path, root: Root, *, variables: Mapping[str, str]
) -> tuple[dict[str, Any], str]:
    """Plans an initialized directory without locking.

    Returns:
        The output of `terraform show -json`, and the output of `terraform plan` with its warnings.
    """
    file = root.path / "test.tfplan"
    options = ("-input=false", "-lock=false", "-parallelism=30", f"-out={file}")
    output = run(directory, root, "plan", *options, variables=variables)
    document: dict[str, Any] = json.loads(
        run(directory, root, "show", "-json", str(file), variables=variables)
    )
    return document, output
