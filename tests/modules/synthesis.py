"""Synthesizes one construct alone, so that its spec can look at the Terraform it makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdktf import TerraformStack, Testing
from cdktf_cdktf_provider_aws.provider import AwsProvider

import modules  # noqa: F401  (loads the bindings lazily, before cdktf)
from environments import Environment, load_environment
from modules.base.artifact import Artifact
from modules.base.function import FunctionPlatform
from modules.base.naming import Names

Block = dict[str, Any]


@dataclass(frozen=True)
class Synthesized:
    """The Terraform JSON of a stack."""

    document: Block

    def all(self, type_: str) -> list[Block]:
        """Every resource of a type, for example `aws_sqs_queue`."""
        return list(self.document.get("resource", {}).get(type_, {}).values())

    def one(self, type_: str, **attributes: Any) -> Block:
        """The only resource of a type whose attributes have these values."""
        found = [
            item
            for item in self.all(type_)
            if all(item.get(key) == value for key, value in attributes.items())
        ]
        assert len(found) == 1, (
            f"{len(found)} of {type_} with {attributes}: {[sorted(item) for item in found]}"
        )
        return found[0]

    def policy(self, type_: str, attribute: str = "policy", **attributes: Any) -> list[Block]:
        """The statements of the only policy document of a type."""
        statements = json.loads(self.one(type_, **attributes)[attribute])["Statement"]
        return list(statements)

    @property
    def types(self) -> set[str]:
        """The types of all resources."""
        return set(self.document.get("resource", {}))


def environment(name: str = "dev", **changes: Any) -> Environment:
    """A real environment file, read without this process's variables, with some top-level sections replaced."""
    return load_environment(name, variables={}).model_copy(update=changes)


def synthesize(
    build: Callable[[TerraformStack, Environment, Names], object], env: Environment | None = None
) -> Synthesized:
    """The Terraform of what `build` adds to an empty stack."""
    env = env or environment()
    stack = TerraformStack(Testing.app(), "spec")
    AwsProvider(stack, "aws", region=env.region)
    build(stack, env, Names(env))
    return Synthesized(json.loads(Testing.synth(stack)))


def function_platform(env: Environment, artifacts: Path) -> FunctionPlatform:
    """A function platform whose artifacts are empty files in `artifacts`."""
    made = {}
    for function in (
        "auth",
        "profile",
        "chat",
        "post",
        "catalog",
        "ai",
        "authorizer",
        "health",
        "migration",
        "relay",
        "delivery",
        "statistics",
    ):
        path = artifacts / f"{function}.zip"
        path.write_bytes(b"")
        made[function] = Artifact(function, path, f"digest-of-{function}")
    return FunctionPlatform(
        names=Names(env),
        artifacts=made,
        artifact_bucket="platform-artifacts-bucket",
        alerts_topic_arn="arn:aws:sns:us-east-1:111122223333:multitask-alerts-dev",
    )
