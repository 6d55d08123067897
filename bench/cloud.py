"""Starts temporary embedded clouds for benchmarks and deletes their data afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from environments import load_environment
from ops.cloud import Cloud, embedded_variables
from ops.deployment.bootstrap import bootstrap_account
from ops.embedded import EmbeddedCloud
from ops.local.platform import stop_platform
from ops.root import Root
from ops.terraform.runner import Terraform
from ops.terraform.synthesis import synthesize
from ops.terraform.toolchain import node_variables, terraform, terraform_variables

ACCOUNT = "000000000000"
"""The account id of the embedded AWS."""


@contextmanager
def fresh_root() -> Iterator[Root]:
    """Yields the directory of a temporary local platform. Stops the platform at the end."""
    with tempfile.TemporaryDirectory() as directory:
        root = Root(Path(directory) / "platform")
        root.prepare()
        try:
            yield root
        finally:
            stop_platform(root, purge=True)


def start_cloud(root: Root, environment: str) -> Cloud:
    """Starts an embedded cloud and bootstraps it for an environment, without applying the stack."""
    addresses = EmbeddedCloud(root).start().addresses
    variables = {
        **embedded_variables(addresses),
        **{f"{name}_ACCOUNT_ID": ACCOUNT for name in ("DEV", "STAGING", "PROD")},
    }
    cloud = Cloud(load_environment(environment, variables=variables), variables, addresses.aws)
    bootstrap_account(cloud, billing=False)
    return cloud


def initialize_terraform(root: Root, cloud: Cloud) -> Terraform:
    """Synthesizes a cloud's environment, and returns its stack after `terraform init`."""
    name = cloud.environment.name
    synthesize([name], root.cdktf_out, cloud.variables)
    stack = Terraform(
        terraform(root),
        root.cdktf_out / "stacks" / name,
        terraform_environment(root, cloud),
        root.logs / "terraform.jsonl",
    )
    stack.init()
    return stack


def terraform_environment(root: Root, cloud: Cloud) -> dict[str, str]:
    """Returns the process environment for Terraform and the CDKTF CLI."""
    inherited = terraform_variables(root, cloud.inherited_variables())
    return {**inherited, **cloud.variables, **node_variables()}
