"""Synthesizes a single construct, so that a test can check its Terraform."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from cdktf import TerraformStack, Testing
from cdktf_cdktf_provider_aws.provider import AwsProvider

import modules  # noqa: F401  (loads the bindings lazily, before cdktf)
from environments import Environment, FunctionName, load_environment
from modules.base.artifact import Artifact
from modules.base.function import FunctionPlatform
from modules.base.naming import Names

Block = dict[str, Any]


@dataclass(frozen=True)
class Synthesized:
    """The Terraform JSON of a stack."""

    document: Block

    def all(self, type_: str) -> list[Block]:
        """Returns all resources of a type, for example `aws_sqs_queue`."""
        return list(self.document.get("resource", {}).get(type_, {}).values())

    def find_only(self, type_: str, **attributes: Any) -> Block:
        """Returns the only resource of a type whose attributes have these values."""
        matches = [
            item
            for item in self.all(type_)
            if all(item.get(key) == value for key, value in attributes.items())
        ]
        assert len(matches) == 1, (
            f"expected one {type_} with {attributes}, but the stack has {len(matches)}: "
            f"{[sorted(item) for item in matches]}"
        )
        return matches[0]

    def policy(self, type_: str, attribute: str = "policy", **attributes: Any) -> list[Block]:
        """Returns the statements of the policy document in a resource's attribute."""
        statements = json.loads(self.find_only(type_, **attributes)[attribute])["Statement"]
        return list(statements)

    def role_statements(self, policy: str) -> dict[str, Block]:
        """Returns the statements of a role's inline policy by Sid."""
        return {item["Sid"]: item for item in self.policy("aws_iam_role_policy", name=policy)}

    def variables(self, function: str) -> dict[str, str]:
        """Returns the environment variables of a function."""
        resource = self.find_only("aws_lambda_function", function_name=function)
        return dict(resource["environment"]["variables"])

    @property
    def types(self) -> set[str]:
        """Returns the types of all resources."""
        return set(self.document.get("resource", {}))


def environment(name: str = "dev", **changes: Any) -> Environment:
    """Reads an environment file, ignores the process's variables, and replaces top-level keys."""
    return load_environment(name, variables={}).model_copy(update=changes)


def synthesize(
    build: Callable[[TerraformStack, Environment, Names], object], env: Environment | None = None
) -> Synthesized:
    """Returns the Terraform JSON of a stack with the constructs that `build` adds."""
    env = env or environment()
    stack = TerraformStack(Testing.app(), "spec")
    AwsProvider(stack, "aws", region=env.region)
    build(stack, env, Names(env))
    return Synthesized(json.loads(Testing.synth(stack)))


def function_platform(env: Environment, artifacts: Path) -> FunctionPlatform:
    """Returns the settings and resources that all functions share. Each artifact is an empty file
    in `artifacts`.
    """
    packages = {}
    for function in get_args(FunctionName):
        path = artifacts / f"{function}.zip"
        path.write_bytes(b"")
        packages[function] = Artifact(function, path, f"digest-of-{function}")
    return FunctionPlatform(
        names=Names(env),
        artifacts=packages,
        artifact_bucket="platform-artifacts-bucket",
        alerts_topic_arn="arn:aws:sns:us-east-1:111122223333:multitask-alerts-dev",
    )
