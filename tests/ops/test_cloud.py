"""Tests which AWS role and account the commands use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError
from typer.core import TyperGroup
from typer.testing import CliRunner

from environments import load_environment
from ops.__main__ import app
from ops.cloud import Cloud, connect, locate
from ops.commands.index import ENTRIES
from ops.root import Root

SHARED, DEV = "arn:aws:iam::123456789012:role/shared", "arn:aws:iam::123456789012:role/own"
ARGUMENTS = {"service": "health", "email": "ann@example.com", "role": "admin", "name": "jwt-secret"}
"""Values of required arguments, by name. All other required arguments have the value `dev`."""
OPTIONS = {"invoke": ["--example", "health"]}
"""Options that a command needs to access the environment, by command."""
OFFLINE = {
    "api",
    "capacity",
    "conformance",
    "environment",
    "synth",
    "env",
    "cost",
    "diagram",
    "up",
    "down",
    "dev",
    "code",
    "new",
    "seed",
}
"""Commands that do not access an environment on AWS."""


@pytest.fixture
def moto_account(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes moto's account the account of dev and staging."""
    for name in ("DEV", "STAGING"):
        monkeypatch.setenv(f"{name}_ACCOUNT_ID", "123456789012")


def test_role_variable_of_one_environment_takes_precedence(
    moto_account: None, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connect("dev", root).role is None
    monkeypatch.setenv("OPERATOR_ROLE_ARN", SHARED)
    monkeypatch.setenv("DEV_OPERATOR_ROLE_ARN", DEV)
    for name, role in (("dev", DEV), ("staging", SHARED)):
        cloud = connect(name, root)
        assert cloud.role == role
        assert role.rpartition("/")[2] in cloud.operator


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields all commands with their names."""
    for entry in ENTRIES:
        command = entry.load()
        if isinstance(command, TyperGroup):
            yield from (((entry.name, name), inner) for name, inner in command.commands.items())
        else:
            yield (entry.name,), command


ONLINE = [
    pytest.param(names, command, id=" ".join(names))
    for names, command in commands()
    if names[0] not in OFFLINE
]


@pytest.mark.parametrize(("names", "command"), ONLINE)
def test_every_command_rejects_credentials_of_another_account(
    aws: None,
    root: Root,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
    command: Any,
) -> None:
    monkeypatch.setenv("DEV_ACCOUNT_ID", "999999999999")
    arguments = [*names, "--root", str(root.path), *OPTIONS.get(names[0], [])]
    for parameter in command.params:
        name = parameter.name or ""
        is_argument = parameter.param_type_name == "argument"
        if is_argument and (parameter.required or name == "environment"):
            arguments.append(ARGUMENTS.get(name, "dev"))
        elif name == "environment":
            arguments += ["--env", "dev"]
        elif parameter.required:
            (tmp_path / name).touch()
            arguments += [parameter.opts[0], str(tmp_path / name)]
    result = CliRunner().invoke(app, arguments, input="value\n")
    assert result.exit_code == 1
    # `ops doctor` prints the error as a finding, and all other commands raise it.
    assert (
        "The credentials belong to account 123456789012, but dev allows only 999999999999"
        in f"{result.exception} {result.output}"
    )


def test_locating_an_environment_needs_no_credentials(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/missing")
    monkeypatch.setattr(boto3, "Session", None)
    assert locate("dev", root).variables["AWS_REGION"] == "us-east-1"


@pytest.mark.parametrize("is_embedded", [True, False])
def test_aws_settings_of_the_shell_do_not_affect_calls_to_the_embedded_aws(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_embedded: bool
) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\nregion = eu-north-1\nendpoint_url = http://192.0.2.1\n[broken\n")
    foreign = {
        "AWS_PROFILE": "missing",
        "AWS_DEFAULT_PROFILE": "missing",
        "AWS_CA_BUNDLE": "/missing.pem",
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(config),
        "AWS_ENDPOINT_URL": "http://192.0.2.1",
        "AWS_ENDPOINT_URL_STS": "http://192.0.2.1",
        "AWS_REGION": "eu-north-1",
    }
    for name, value in foreign.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DEV_ACCOUNT_ID", "111111111111")
    endpoint = "http://127.0.0.1:1" if is_embedded else None
    cloud = Cloud(load_environment("dev"), {}, endpoint)
    inherited = cloud.inherited_variables().keys() & foreign.keys()
    assert inherited == (set() if is_embedded else foreign.keys())
    if is_embedded:
        sts = cloud.client("sts")
        assert sts.meta.endpoint_url == endpoint
        assert sts.meta.region_name == "us-east-1"
    else:
        with pytest.raises(BotoCoreError):
            cloud.client("sts")
