"""The platform's secrets in SSM: names, ARNs, and Terraform that never contains their values.

CDKTF has no construct for ephemeral blocks, so the resources are in a separate Terraform file next
to the stack's. The stack does not refer to them: functions get a parameter's name and read it at
run time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environments.resource_names import UNSET
from modules.base.access import Access
from modules.base.naming import Names, service_tag
from modules.base.policy import Statement

SECRETS_FILE = "secrets.tf.json"

GENERATED_LENGTH = 64
"""Letters and digits: 380 bits, more than the 256 that HS256 requires (RFC 7518, section 3.2)."""

WRITTEN_ONCE = (
    "allowed_pattern",
    "data_type",
    "description",
    "key_id",
    "tier",
    "type",
    "value_wo_version",
)
"""All arguments of PutParameter.

Terraform writes the first value, and operators write later ones. If any of these changed, provider
5.100 would write the parameter with an empty value unless `value_wo_version` changes too.
"""


@dataclass(frozen=True)
class Parameter:
    """One SecureString parameter."""

    key: str
    """The name within the environment, for example `jwt-secret`."""
    name: str
    """The documented path, for example `/multitask/prod/jwt-secret`."""
    arn: str
    service: str
    """The value of the Service tag."""
    description: str
    generated: bool
    """Whether Terraform generates the first value. Otherwise an operator sets it."""


@dataclass(frozen=True)
class Parameters:
    """The parameters of one environment, without their values."""

    names: Names

    @property
    def jwt_secret(self) -> Parameter:
        """Signs access and refresh tokens. A token's `kid` is the parameter's version."""
        return self._parameter(
            "jwt-secret", "auth", "Signs tokens; its version is their kid", generated=True
        )

    @property
    def cursor_key(self) -> Parameter:
        """Signs list cursors."""
        return self._parameter("cursor-key", "platform", "Signs list cursors", generated=True)

    @property
    def gemini_api_key(self) -> Parameter:
        """Gemini's API key; `unset` until an operator stores one."""
        return self._parameter("gemini-api-key", "ai", "Gemini API key; unset: not configured")

    @property
    def openai_api_key(self) -> Parameter:
        """OpenAI's API key; `unset` until an operator stores one."""
        return self._parameter("openai-api-key", "ai", "OpenAI API key; unset: not configured")

    def all(self) -> dict[str, Parameter]:
        """Returns every parameter by the label of its Terraform resource."""
        labels = ("jwt_secret", "cursor_key", "gemini_api_key", "openai_api_key")
        return {label: getattr(self, label) for label in labels}

    def _parameter(
        self, key: str, service: str, description: str, *, generated: bool = False
    ) -> Parameter:
        name = self.names.parameter(key)
        return Parameter(
            key, name, self.names.arn("ssm", f"parameter{name}"), service, description, generated
        )


def parameter_access(parameter: Parameter) -> Access:
    """Allows reading a parameter, including earlier versions of a rotated key (`name:version`)."""
    resources = [parameter.arn, f"{parameter.arn}:*"]
    return Access(
        {f"{parameter.key.upper().replace('-', '_')}_PARAMETER": parameter.name},
        [Statement(sid="Parameters", actions=["ssm:GetParameter"], resources=resources)],
    )


def write_secrets(directory: Path, names: Names) -> None:
    """Writes the parameters' Terraform into a stack's folder. The output is deterministic.

    Args:
        directory: The folder of the stack's Terraform, `cdktf.out/stacks/<environment>`.
        names: The environment's resource names.
    """
    directory.mkdir(parents=True, exist_ok=True)
    document = json.dumps(_document(names), indent=2, sort_keys=True)
    (directory / SECRETS_FILE).write_text(document + "\n", encoding="utf-8")


def _document(names: Names) -> dict[str, Any]:
    parameters = Parameters(names).all()
    return {
        "ephemeral": {
            "aws_secretsmanager_random_password": {
                label: {"password_length": GENERATED_LENGTH, "exclude_punctuation": True}
                for label, parameter in parameters.items()
                if parameter.generated
            }
        },
        "resource": {
            "aws_ssm_parameter": {
                label: _resource(label, parameter, prevent_destroy=names.environment.retains_data)
                for label, parameter in parameters.items()
            }
        },
    }


def _resource(label: str, parameter: Parameter, *, prevent_destroy: bool) -> dict[str, Any]:
    password = f"${{ephemeral.aws_secretsmanager_random_password.{label}.random_password}}"
    return {
        "name": parameter.name,
        "description": parameter.description,
        # With SSM's own key, ssm:GetParameter on this name is enough to read it. A customer key
        # would cost money per read and add a reference to the stack, for no benefit in one account.
        "type": "SecureString",
        "value_wo": password if parameter.generated else UNSET,
        "value_wo_version": 1,
        "tags": service_tag(parameter.service),
        "lifecycle": {"prevent_destroy": prevent_destroy, "ignore_changes": list(WRITTEN_ONCE)},
    }
