"""The platform's secrets in SSM: names, ARNs, and Terraform that never contains the values.

CDKTF has no construct for ephemeral blocks, so the parameters are in a separate Terraform file next
to the stack's file. The stack does not refer to these resources. Functions receive the name of a
parameter and read the value at run time.
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
"""The number of letters and digits in a generated secret. They contain 380 random bits, and HS256
requires at least 256 (RFC 7518, 3.2)."""

IGNORED_ARGUMENTS = (
    "allowed_pattern",
    "data_type",
    "description",
    "key_id",
    "tier",
    "type",
    "value_wo_version",
)
"""The arguments of a parameter whose changes Terraform ignores after it created the parameter.

Terraform writes the first value, and operators write later values. After a change of one of these
arguments, provider 5.100 would call PutParameter with an empty value, unless `value_wo_version`
also changed.
"""


@dataclass(frozen=True)
class Parameter:
    """A secret that is stored as a SecureString parameter of SSM."""

    key: str
    """The name within the environment, for example `jwt-secret`."""
    name: str
    """The full name in SSM, for example `/multitask/prod/jwt-secret`."""
    arn: str
    service: str
    """The value of the Service tag."""
    description: str
    generated: bool
    """Whether Terraform generates the first value. If not, an operator sets the value."""


@dataclass(frozen=True)
class Parameters:
    """The SSM parameters of one environment's secrets, without their values."""

    names: Names

    @property
    def jwt_secret(self) -> Parameter:
        """The key that signs access and refresh tokens. A token's `kid` is the key's version."""
        return self._parameter(
            "jwt-secret", "auth", "Signs tokens; its version is their kid", generated=True
        )

    @property
    def cursor_key(self) -> Parameter:
        """The key that signs pagination cursors."""
        return self._parameter("cursor-key", "platform", "Signs list cursors", generated=True)

    @property
    def gemini_api_key(self) -> Parameter:
        """The API key for Gemini. The value is `unset` until an operator stores a key."""
        return self._parameter("gemini-api-key", "ai", "Gemini API key; unset: not configured")

    @property
    def openai_api_key(self) -> Parameter:
        """The API key for OpenAI. The value is `unset` until an operator stores a key."""
        return self._parameter("openai-api-key", "ai", "OpenAI API key; unset: not configured")

    def all(self) -> dict[str, Parameter]:
        """Returns all parameters, by the label of the Terraform resource."""
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
    """Writes the parameters' Terraform file into a stack's folder. The output is deterministic.

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
        # With SSM's own KMS key, ssm:GetParameter on this name is enough to read the value. A
        # customer managed key would cost money per read, for no benefit in one account.
        "type": "SecureString",
        "value_wo": password if parameter.generated else UNSET,
        "value_wo_version": 1,
        "tags": service_tag(parameter.service),
        "lifecycle": {
            "prevent_destroy": prevent_destroy,
            "ignore_changes": list(IGNORED_ARGUMENTS),
        },
    }
