"""Checks that the programs that a deployment needs are installed on this machine."""

from __future__ import annotations

from collections.abc import Iterator

from ops.doctor.result import Result, failure, ok
from ops.errors import OperatorError
from ops.root import Root
from ops.terraform.toolchain import (
    TERRAFORM_PINNED,
    installed_terraform,
    node_variables,
    pinned_terraform,
)


def check_tools(root: Root) -> Iterator[Result]:
    """Checks that Terraform and Node.js are available in supported versions."""
    version = installed_terraform()
    if version:
        yield ok(f"Terraform {version}")
    elif pinned_terraform(root).exists():
        yield ok(f"Terraform {TERRAFORM_PINNED} in {root}")
    else:
        yield ok(f"Terraform {TERRAFORM_PINNED} is downloaded at the first use")
    try:
        yield ok(f"Node {node_variables()['JSII_NODE']}")
    except OperatorError as error:
        problem, _, remedy = str(error).partition(": ")
        yield failure(problem, remedy)
