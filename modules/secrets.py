"""The platform's secrets in SSM: their names and ARNs, and the Terraform that makes them without ever holding a value.

CDKTF has no construct for ephemeral blocks, so the resources are a Terraform file of its own beside the stack's. Nothing in the stack
refers to them: functions get a parameter's name and read it at run time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.base.naming import Names, service_tag

FILE = "secrets.tf.json"

UNSET = "unset"
"""What an operator-supplied parameter holds until somebody stores a value."""

GENERATED_LENGTH = 64
"""Letters and digits: 380 bits, above the 256 that HS256 asks of its key (RFC 7518, 3.2)."""

WRITTEN_ONCE = (
    "allowed_pattern",
    "data_type",
    "description",
    "key_id",
    "tier",
    "type",
    "value_wo_version",
)
"""Every argument that PutParameter takes. Terraform writes the first value, later ones belong to the operator; but whichever of these
changes, provider 5.100 puts the parameter anew, with an empty value unless `value_wo_version` changes too."""


@dataclass(frozen=True)
class Parameter:
    """One SecureString parameter."""

    key: str
    """Its name within the environment: `jwt-secret`."""
    name: str
    """The documented path, for example `/multitask/prod/jwt-secret`."""
    arn: str
    service: str
    """For the Service tag."""
    description: str
    generated: bool
    """Terraform makes the first value; otherwise an operator supplies it."""


@dataclass(frozen=True)
class Parameters:
    """The parameters of one environment, known by name alone."""

    names: Names

    @property
    def jwt_secret(self) -> Parameter:
        """Signs access and refresh tokens; a token's `kid` is the parameter's version."""
        return self._parameter(
            "jwt-secret", "auth", "Signs tokens; its version is their kid", generated=True
        )

    @property
    def cursor_key(self) -> Parameter:
        """Signs list cursors."""
        return self._parameter("cursor-key", "platform", "Signs list cursors", generated=True)

    @property
    def gemini_api_key(self) -> Parameter:
        """Gemini's key; `unset` until an operator stores one."""
        return self._parameter("gemini-api-key", "ai", "Gemini API key; unset: not configured")

    @property
    def openai_api_key(self) -> Parameter:
        """OpenAI's key; `unset` until an operator stores one."""
        return self._parameter("openai-api-key", "ai", "OpenAI API key; unset: not configured")

    def all(self) -> dict[str, Parameter]:
        """Every parameter, by the label its Terraform resource has."""
        labels = ("jwt_secret", "cursor_key", "gemini_api_key", "openai_api_key")
        return {label: getattr(self, label) for label in labels}

    def _parameter(
        self, key: str, service: str, description: str, *, generated: bool = False
    ) -> Parameter:
        name = self.names.parameter(key)
        return Parameter(
            key, name, self.names.arn("ssm", f"parameter{name}"), service, description, generated
        )


def write_secrets(directory: Path, names: Names) -> None:
    """Writes the parameters' Terraform into a stack's folder, the same bytes for the same names.

    Args:
        directory: where the stack's own Terraform lies, `cdktf.out/stacks/<environment>`.
        names: of the environment.
    """
    directory.mkdir(parents=True, exist_ok=True)
    document = json.dumps(_document(names), indent=2, sort_keys=True)
    (directory / FILE).write_text(document + "\n", encoding="utf-8")


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
        # With SSM's own key: read rights are then the function's ssm:GetParameter on this one name, a customer key would add a
        # price per read and a reference to the stack, and no other account reads these.
        "type": "SecureString",
        "value_wo": password if parameter.generated else UNSET,
        "value_wo_version": 1,
        "tags": service_tag(parameter.service),
        "lifecycle": {"prevent_destroy": prevent_destroy, "ignore_changes": list(WRITTEN_ONCE)},
    }
