"""Tests the secrets commands, and the provider keys of the local platform."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from environments.resource_names import UNSET
from modules.base.naming import Names
from modules.secrets import Parameters
from ops import __main__ as program
from ops.cloud import Cloud
from ops.env_file import FILE, KEYS, SETTINGS, provider_keys, provider_settings
from ops.errors import OperatorError
from ops.root import PROJECT
from ops.upkeep.secrets import DATABASE, Secrets, supply_provider_keys
from tests.ops.clouds import FakeCloud, store_state

REGION = "us-east-1"
VALUE = "sk-tell-tale-0123456789"


@pytest.fixture
def ssm(aws: None) -> Any:
    return boto3.client("ssm", region_name=REGION)


class AgedSsm:
    """An SSM client that subtracts `age` from the modification times of parameters."""

    def __init__(self, ssm: Any) -> None:
        self._ssm, self.age = ssm, timedelta()

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._ssm, operation)

    def get_parameter(self, **arguments: Any) -> Any:
        response = self._ssm.get_parameter(**arguments)
        response["Parameter"]["LastModifiedDate"] -= self.age
        return response


class FakeRds:
    """An RDS client that records changes of clusters."""

    def __init__(self) -> None:
        self.changes: list[dict[str, Any]] = []

    def modify_db_cluster(self, **arguments: Any) -> None:
        self.changes.append(arguments)


@pytest.fixture
def aged_ssm(ssm: Any) -> AgedSsm:
    return AgedSsm(ssm)


@pytest.fixture
def rds() -> FakeRds:
    return FakeRds()


@pytest.fixture
def stored(cloud: Cloud, ssm: Any, aged_ssm: AgedSsm, rds: FakeRds) -> Secrets:
    """Returns the secrets that dev has after its first apply."""
    parameters = Parameters(Names(cloud.environment)).all().values()
    for parameter in parameters:
        value = f"generated-{parameter.key}" if parameter.generated else UNSET
        ssm.put_parameter(Name=parameter.name, Value=value, Type="SecureString")
    password = boto3.client("secretsmanager", region_name=REGION).create_secret(
        Name="rds!cluster", SecretString="generated-password"
    )
    outputs = {
        "secrets": {
            p.key: {"name": p.name, "generated": p.generated, "description": p.description}
            for p in parameters
        },
        "database_cluster_id": "catalog-aurora-dev",
        "database_secret_arn": password["ARN"],
    }
    store_state(cloud, outputs)
    return Secrets(FakeCloud(cloud.environment, {}, clients={"ssm": aged_ssm, "rds": rds}))


def value(ssm: Any, key: str) -> str:
    return str(
        ssm.get_parameter(Name=f"/multitask/dev/{key}", WithDecryption=True)["Parameter"]["Value"]
    )


class TestList:
    def test_list_contains_every_secret_but_no_value(self, stored: Secrets) -> None:
        listed = {secret.name: secret for secret in stored.all()}
        assert {
            name: (secret.kind, secret.state, secret.version) for name, secret in listed.items()
        } == {
            "cursor-key": ("generated", "set", 1),
            "gemini-api-key": ("supplied", "unset", 1),
            "jwt-secret": ("generated", "set", 1),
            "openai-api-key": ("supplied", "unset", 1),
            DATABASE: ("managed", "set", None),
        }
        assert all(
            secret.changed and datetime.now(UTC) - secret.changed < timedelta(hours=1)
            for secret in listed.values()
        )
        stored.store("gemini-api-key", VALUE)
        text = json.dumps([secret.as_dict() for secret in stored.all()])
        assert VALUE not in text
        assert "generated-" not in text

    def test_provider_keys_are_among_the_secrets_of_the_stack(self, stored: Secrets) -> None:
        assert set(KEYS) <= {secret.name for secret in stored.all()}

    def test_a_state_without_the_names_of_secrets_is_rejected(self, cloud: Cloud) -> None:
        store_state(cloud, {"api_url": "https://api"})
        with pytest.raises(OperatorError, match="run `ops deploy dev`"):
            Secrets(cloud)


class TestSet:
    def test_storing_and_clearing_are_idempotent(self, stored: Secrets, ssm: Any) -> None:
        name = "openai-api-key"
        assert [stored.store(name, f"{VALUE}\n"), stored.store(name, VALUE)] == [True, False]
        assert value(ssm, name) == VALUE
        assert stored.is_set(name)
        assert ssm.get_parameter(Name=f"/multitask/dev/{name}")["Parameter"]["Version"] == 2
        assert [stored.clear(name), stored.clear(name)] == [True, False]
        assert not stored.is_set(name)

    @pytest.mark.parametrize(
        "wrong", ["", " \n", "two words", "two\nlines", "snow☃", "x" * 4097, "tab\there"]
    )
    def test_value_that_is_invalid_in_an_http_header_is_rejected_and_not_printed(
        self, stored: Secrets, ssm: Any, wrong: str
    ) -> None:
        with pytest.raises(OperatorError) as refused:
            stored.store("gemini-api-key", wrong)
        assert value(ssm, "gemini-api-key") == UNSET
        assert not wrong.strip() or wrong not in str(refused.value)

    def test_generated_secrets_cannot_be_supplied(self, stored: Secrets, ssm: Any) -> None:
        for name in ("jwt-secret", "cursor-key", DATABASE):
            with pytest.raises(OperatorError, match=f"ops secrets rotate dev {name}"):
                stored.store(name, VALUE)
        assert value(ssm, "jwt-secret") == "generated-jwt-secret"

    def test_unknown_secret_is_rejected_with_the_known_names(self, stored: Secrets) -> None:
        known = "cursor-key, gemini-api-key, jwt-secret, openai-api-key, database"
        with pytest.raises(OperatorError, match=f"dev has no secret azure-key: use one of {known}"):
            stored.store("azure-key", VALUE)


class TestRotate:
    @pytest.mark.parametrize("name", ["jwt-secret", "cursor-key"])
    def test_rotation_keeps_the_previous_version(
        self, stored: Secrets, ssm: Any, name: str
    ) -> None:
        assert stored.rotate(name) == 2
        new = value(ssm, name)
        assert len(new) == 64
        assert new.isalnum()
        assert new != f"generated-{name}"
        previous = ssm.get_parameter(Name=f"/multitask/dev/{name}:1", WithDecryption=True)[
            "Parameter"
        ]
        assert previous["Value"] == f"generated-{name}"

    def test_signing_key_can_be_rotated_only_once_per_session_lifetime(
        self, stored: Secrets, ssm: Any, aged_ssm: AgedSsm
    ) -> None:
        stored.rotate("jwt-secret")
        aged_ssm.age = timedelta(days=6, hours=23)
        with pytest.raises(
            OperatorError, match="signs out users who have not refreshed their session since"
        ):
            stored.rotate("jwt-secret")
        assert stored.rotate("jwt-secret", force=True) == 3
        with pytest.raises(OperatorError, match="--force"):
            stored.rotate("jwt-secret")
        aged_ssm.age = timedelta(days=7)
        assert stored.rotate("jwt-secret") == 4

    def test_leaked_key_is_replaced_twice_so_that_it_becomes_invalid(
        self, stored: Secrets, ssm: Any
    ) -> None:
        stored.rotate("jwt-secret")
        assert stored.rotate("jwt-secret", leaked=True) == 4
        values = {
            ssm.get_parameter(Name=f"/multitask/dev/jwt-secret:{version}", WithDecryption=True)[
                "Parameter"
            ]["Value"]
            for version in range(1, 5)
        }
        assert len(values) == 4

    def test_cursor_key_can_be_rotated_at_any_time(self, stored: Secrets) -> None:
        assert [stored.rotate("cursor-key") for _ in range(3)] == [2, 3, 4]

    def test_provider_key_cannot_be_rotated(self, stored: Secrets) -> None:
        with pytest.raises(OperatorError, match="ops secrets set dev gemini-api-key"):
            stored.rotate("gemini-api-key")

    def test_rds_generates_the_database_password(self, stored: Secrets, rds: FakeRds) -> None:
        assert stored.rotate(DATABASE) is None
        assert rds.changes == [
            {
                "DBClusterIdentifier": "catalog-aurora-dev",
                "RotateMasterUserPassword": True,
                "ApplyImmediately": True,
            }
        ]


class TestCommands:
    @pytest.fixture
    def run(self, stored: Secrets, dev_variables: None) -> Callable[..., Any]:
        return lambda *arguments, **options: CliRunner().invoke(
            program.app, ["secrets", *arguments], **options
        )

    def test_value_is_read_from_standard_input_and_never_printed(
        self, run: Callable[..., Any], ssm: Any
    ) -> None:
        result = run("set", "dev", "gemini-api-key", input=f"{VALUE}\n")
        assert (result.exit_code, result.stdout) == (0, "")
        assert "Stored gemini-api-key" in result.stderr
        assert value(ssm, "gemini-api-key") == VALUE
        listed = run("list", "dev")
        as_json = run("list", "dev", "--json")
        assert "gemini-api-key" in listed.stdout
        assert {item["name"]: item["state"] for item in json.loads(as_json.stdout)}[
            "gemini-api-key"
        ] == "set"
        assert "already has this value" in run("set", "dev", "gemini-api-key", input=VALUE).stderr
        assert "Cleared gemini-api-key" in run("set", "dev", "gemini-api-key", "--clear").stderr
        for printed in (result, listed, as_json):
            assert VALUE not in printed.output

    def test_value_cannot_be_an_argument(self, run: Callable[..., Any]) -> None:
        assert run("set", "dev", "gemini-api-key", VALUE).exit_code == 2

    def test_rotation_prints_the_new_version(self, run: Callable[..., Any], ssm: Any) -> None:
        result = run("rotate", "dev", "jwt-secret", "--json")
        assert json.loads(result.stdout) == {"name": "jwt-secret", "version": 2}
        assert value(ssm, "jwt-secret") not in result.output
        assert (
            "earlier versions are rejected" in run("rotate", "dev", "cursor-key", "--leaked").stderr
        )


class TestProviderKeysOfTheLocalPlatform:
    @pytest.fixture
    def file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        for name in (*KEYS.values(), *SETTINGS):
            monkeypatch.delenv(name, raising=False)
        return tmp_path / ".env"

    def test_settings_are_empty_without_file_and_variables(self, file: Path) -> None:
        assert (provider_keys(file), provider_settings(file)) == ({}, {})

    def test_process_environment_overrides_the_file(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file.write_text(
            'GEMINI_API_KEY="from the file"\n'
            "export OPENAI_API_KEY=o$1  # mine\n"
            "GEMINI_BASE_URL=http://127.0.0.1:1/v1beta\n"
            "OTHER=x\n"
        )
        assert provider_keys(file) == {"gemini-api-key": "from the file", "openai-api-key": "o$1"}
        assert provider_settings(file) == {"GEMINI_BASE_URL": "http://127.0.0.1:1/v1beta"}
        monkeypatch.setenv("GEMINI_API_KEY", "from the environment")
        monkeypatch.setenv("OPENAI_API_KEY", "")
        assert provider_keys(file) == {"gemini-api-key": "from the environment"}

    def test_file_is_git_ignored(self) -> None:
        assert "/.env" in (PROJECT / ".gitignore").read_text().splitlines()
        assert FILE == PROJECT / ".env"

    def test_supplied_keys_are_stored_once(
        self, stored: Secrets, ssm: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for _ in range(2):
            supply_provider_keys(stored, {"openai-api-key": VALUE})
        assert value(ssm, "openai-api-key") == VALUE
        printed = capsys.readouterr().err
        assert printed.splitlines() == ["Stored openai-api-key"]

    def test_missing_keys_are_reported_with_the_remedy(
        self, stored: Secrets, capsys: pytest.CaptureFixture[str]
    ) -> None:
        supply_provider_keys(stored, {})
        printed = " ".join(capsys.readouterr().err.split())
        assert "503 ai_not_configured. Set the variable GEMINI_API_KEY or OPENAI_API_KEY" in printed
        stored.store("gemini-api-key", VALUE)
        supply_provider_keys(stored, {})
        assert capsys.readouterr().err == ""
