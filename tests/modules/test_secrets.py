from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from environments.resource_names import UNSET
from modules.base.naming import Names
from modules.secrets import SECRETS_FILE, Parameters, write_secrets
from tests.modules.synthesis import environment


def secrets(tmp_path: Path, name: str = "dev") -> dict[str, Any]:
    write_secrets(tmp_path, Names(environment(name)))
    document: dict[str, Any] = json.loads((tmp_path / SECRETS_FILE).read_text(encoding="utf-8"))
    return document


@pytest.fixture
def parameters(tmp_path: Path) -> dict[str, dict[str, Any]]:
    resources: dict[str, dict[str, Any]] = secrets(tmp_path)["resource"]["aws_ssm_parameter"]
    return {resource["name"]: resource for resource in resources.values()}


def test_the_parameters_have_the_documented_names(parameters: dict[str, dict[str, Any]]) -> None:
    keys = ("jwt-secret", "cursor-key", "gemini-api-key", "openai-api-key")
    assert set(parameters) == {f"/multitask/dev/{key}" for key in keys}


def test_a_parameters_arn_contains_no_double_slash() -> None:
    parameter = Parameters(Names(environment())).jwt_secret
    assert parameter.name == "/multitask/dev/jwt-secret"
    assert parameter.arn == "arn:aws:ssm:us-east-1:111122223333:parameter/multitask/dev/jwt-secret"


def test_values_are_encrypted_and_write_only(parameters: dict[str, dict[str, Any]]) -> None:
    for resource in parameters.values():
        assert resource["type"] == "SecureString"
        assert not {"value", "insecure_value"} & set(resource)
        assert resource["value_wo_version"] == 1, (
            "a higher version would overwrite the value that an operator stored"
        )


def test_terraform_updates_only_the_tags_of_an_existing_parameter(
    parameters: dict[str, dict[str, Any]],
) -> None:
    for resource in parameters.values():
        updatable = set(resource) - {"name", "tags", "lifecycle", "value_wo"}
        assert updatable <= set(resource["lifecycle"]["ignore_changes"])


def test_each_platform_key_has_its_own_generated_value(tmp_path: Path) -> None:
    document = secrets(tmp_path)
    passwords = document["ephemeral"]["aws_secretsmanager_random_password"]
    generated = {
        label: resource["value_wo"]
        for label, resource in document["resource"]["aws_ssm_parameter"].items()
        if resource["value_wo"] != UNSET
    }
    assert set(generated) == set(passwords) == {"jwt_secret", "cursor_key"}
    for label, value in generated.items():
        assert value == f"${{ephemeral.aws_secretsmanager_random_password.{label}.random_password}}"
        # HS256 requires 256 bits, which take at least 43 letters and digits.
        assert passwords[label]["password_length"] >= 43


def test_the_initial_value_of_parameters_for_provider_keys_is_the_word_unset(
    parameters: dict[str, dict[str, Any]],
) -> None:
    for provider in ("gemini", "openai"):
        assert parameters[f"/multitask/dev/{provider}-api-key"]["value_wo"] == "unset"


def test_every_parameter_has_the_tag_of_its_service(parameters: dict[str, dict[str, Any]]) -> None:
    tags = {
        name.rsplit("/", 1)[1]: resource["tags"]["Service"] for name, resource in parameters.items()
    }
    assert tags == {
        "jwt-secret": "auth",
        "cursor-key": "platform",
        "gemini-api-key": "ai",
        "openai-api-key": "ai",
    }


@pytest.mark.parametrize(("name", "protected"), [("dev", False), ("prod", True)])
def test_parameters_are_protected_where_data_is_retained(
    tmp_path: Path, name: str, protected: bool
) -> None:
    for resource in secrets(tmp_path, name)["resource"]["aws_ssm_parameter"].values():
        assert resource["lifecycle"]["prevent_destroy"] is protected


def test_the_secrets_file_is_deterministic(tmp_path: Path) -> None:
    names = Names(environment())
    for folder in ("a", "b"):
        write_secrets(tmp_path / folder, names)
    assert (tmp_path / "a" / SECRETS_FILE).read_bytes() == (
        tmp_path / "b" / SECRETS_FILE
    ).read_bytes()
