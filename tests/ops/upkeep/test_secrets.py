"""secrets list, set, rotate; and the keys that `up` is given."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from environments.resource_names import UNSET
from modules.base.naming import Names
from modules.secrets import Parameters
from ops import __main__ as program
from ops import env_file
from ops.cloud import Cloud
from ops.commands import secrets as verbs
from ops.env_file import ADDRESSES, KEYS, provider_addresses, provider_keys
from ops.errors import OperatorError
from ops.root import PROJECT
from ops.upkeep import secrets
from ops.upkeep.secrets import DATABASE, Secrets, supply_provider_keys

REGION = "us-east-1"
VALUE = "sk-tell-tale-0123456789"


@pytest.fixture(scope="module", autouse=True)
def shared_service_models() -> Iterator[None]:
    """Reading AWS's service models once for all takes most of each test's time away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            botocore.session, "create_loader", functools.cache(botocore.loaders.create_loader)
        )
        yield


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The in-process AWS without the policies that other commands' tests need, which take a second to load."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield


@pytest.fixture
def ssm(aws: None) -> Any:
    return boto3.client("ssm", region_name=REGION)


@pytest.fixture
def found(cloud: Cloud, ssm: Any, monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """The secrets of dev as Terraform leaves them."""
    parameters = Parameters(Names(cloud.environment)).all().values()
    for parameter in parameters:
        value = f"made-of-{parameter.key}" if parameter.generated else UNSET
        ssm.put_parameter(Name=parameter.name, Value=value, Type="SecureString")
    made = boto3.client("secretsmanager", region_name=REGION).create_secret(
        Name="rds!cluster", SecretString="made"
    )
    outputs = {
        "secrets": {
            p.key: {"name": p.name, "generated": p.generated, "description": p.description}
            for p in parameters
        },
        "database_cluster_id": "catalog-aurora-dev",
        "database_secret_arn": made["ARN"],
    }
    monkeypatch.setattr(secrets, "outputs", lambda _: outputs)
    return Secrets(cloud)


def value(ssm: Any, key: str) -> str:
    return str(
        ssm.get_parameter(Name=f"/multitask/dev/{key}", WithDecryption=True)["Parameter"]["Value"]
    )


@pytest.fixture
def aged(found: Secrets, ssm: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Makes what was stored so far seem so old."""
    get = found._ssm.get_parameter

    def age(by: timedelta) -> None:
        def older(**arguments: Any) -> Any:
            reply = get(**arguments)
            reply["Parameter"]["LastModifiedDate"] -= by
            return reply

        monkeypatch.setattr(found._ssm, "get_parameter", older)

    return age


class TestList:
    def test_names_everything_and_shows_no_value(self, found: Secrets) -> None:
        listed = {secret.name: secret for secret in found.all()}
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
        found.store("gemini-api-key", VALUE)
        text = json.dumps([secret.as_dict() for secret in found.all()])
        assert VALUE not in text
        assert "made" not in text.replace("made with", "")

    def test_knows_all_that_terraform_makes(self, found: Secrets) -> None:
        assert set(KEYS) <= {secret.name for secret in found.all()}

    def test_an_environment_deployed_by_an_older_program_is_told(
        self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(secrets, "outputs", lambda _: {})
        with pytest.raises(OperatorError, match="run `ops deploy dev`"):
            Secrets(cloud)


class TestSet:
    def test_a_value_is_stored_once_and_taken_away_once(self, found: Secrets, ssm: Any) -> None:
        name = "openai-api-key"
        assert [found.store(name, f"{VALUE}\n"), found.store(name, VALUE)] == [True, False]
        assert value(ssm, name) == VALUE
        assert found.is_set(name)
        assert ssm.get_parameter(Name=f"/multitask/dev/{name}")["Parameter"]["Version"] == 2
        assert [found.clear(name), found.clear(name)] == [True, False]
        assert not found.is_set(name)

    @pytest.mark.parametrize(
        "wrong", ["", " \n", "two words", "two\nlines", "snow☃", "x" * 4097, "tab\there"]
    )
    def test_what_no_header_can_hold_is_refused_without_being_shown(
        self, found: Secrets, ssm: Any, wrong: str
    ) -> None:
        with pytest.raises(OperatorError) as refused:
            found.store("gemini-api-key", wrong)
        assert value(ssm, "gemini-api-key") == UNSET
        assert not wrong.strip() or wrong not in str(refused.value)

    def test_what_the_platform_makes_is_not_supplied(self, found: Secrets, ssm: Any) -> None:
        for name in ("jwt-secret", "cursor-key", DATABASE):
            with pytest.raises(OperatorError, match=f"ops secrets rotate dev {name}"):
                found.store(name, VALUE)
        assert value(ssm, "jwt-secret") == "made-of-jwt-secret"

    def test_an_unknown_name_is_told(self, found: Secrets) -> None:
        known = "cursor-key, gemini-api-key, jwt-secret, openai-api-key, database"
        with pytest.raises(OperatorError, match=f"dev has no secret azure-key: use one of {known}"):
            found.store("azure-key", VALUE)


class TestRotate:
    @pytest.mark.parametrize("name", ["jwt-secret", "cursor-key"])
    def test_a_new_value_follows_the_old_one(self, found: Secrets, ssm: Any, name: str) -> None:
        assert found.rotate(name) == 2
        new = value(ssm, name)
        assert len(new) == 64
        assert new.isalnum()
        assert new != f"made-of-{name}"
        kept = ssm.get_parameter(Name=f"/multitask/dev/{name}:1", WithDecryption=True)["Parameter"]
        assert kept["Value"] == f"made-of-{name}"

    def test_the_signing_key_is_not_changed_twice_in_a_sessions_life(
        self, found: Secrets, ssm: Any, aged: Callable[[timedelta], None]
    ) -> None:
        found.rotate("jwt-secret")
        aged(timedelta(days=6, hours=23))
        with pytest.raises(
            OperatorError, match="signs out users who have not refreshed their session since"
        ):
            found.rotate("jwt-secret")
        assert found.rotate("jwt-secret", force=True) == 3
        with pytest.raises(OperatorError, match="--force"):
            found.rotate("jwt-secret")
        aged(timedelta(days=7))
        assert found.rotate("jwt-secret") == 4

    def test_a_leaked_key_is_changed_at_once_and_so_that_it_is_no_longer_accepted(
        self, found: Secrets, ssm: Any
    ) -> None:
        found.rotate("jwt-secret")
        assert found.rotate("jwt-secret", leaked=True) == 4
        values = {
            ssm.get_parameter(Name=f"/multitask/dev/jwt-secret:{version}", WithDecryption=True)[
                "Parameter"
            ]["Value"]
            for version in range(1, 5)
        }
        assert len(values) == 4

    def test_a_cursor_key_is_changed_as_often_as_one_likes(self, found: Secrets) -> None:
        assert [found.rotate("cursor-key") for _ in range(3)] == [2, 3, 4]

    def test_a_providers_key_is_changed_there(self, found: Secrets) -> None:
        with pytest.raises(OperatorError, match="ops secrets set dev gemini-api-key"):
            found.rotate("gemini-api-key")

    def test_the_database_password_is_rdss_to_change(
        self, found: Secrets, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[dict[str, Any]] = []
        client = cloud.client

        class Rds:
            def modify_db_cluster(self, **arguments: Any) -> None:
                calls.append(arguments)

        monkeypatch.setattr(
            Cloud, "client", lambda _, service: Rds() if service == "rds" else client(service)
        )
        assert found.rotate(DATABASE) is None
        assert calls == [
            {
                "DBClusterIdentifier": "catalog-aurora-dev",
                "RotateMasterUserPassword": True,
                "ApplyImmediately": True,
            }
        ]


class TestVerbs:
    @pytest.fixture
    def run(
        self, found: Secrets, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[..., Any]:
        monkeypatch.setattr(verbs, "connect", lambda *_: cloud)
        return lambda *arguments, **more: CliRunner().invoke(
            program.app, ["secrets", *arguments], **more
        )

    def test_a_value_is_read_from_standard_input_and_never_shown(
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
        for answer in (result, listed, as_json):
            assert VALUE not in answer.output

    def test_a_value_is_no_argument(self, run: Callable[..., Any]) -> None:
        assert run("set", "dev", "gemini-api-key", VALUE).exit_code == 2

    def test_rotation_says_what_it_did(self, run: Callable[..., Any], ssm: Any) -> None:
        result = run("rotate", "dev", "jwt-secret", "--json")
        assert json.loads(result.stdout) == {"name": "jwt-secret", "version": 2}
        assert value(ssm, "jwt-secret") not in result.output
        assert (
            "earlier versions are rejected" in run("rotate", "dev", "cursor-key", "--leaked").stderr
        )


class TestKeysOfTheLocalPlatform:
    @pytest.fixture
    def file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        for name in (*KEYS.values(), *ADDRESSES):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(env_file, "FILE", tmp_path / ".env")
        return tmp_path / ".env"

    def test_without_file_and_variables_there_are_none(self, file: Path) -> None:
        assert (provider_keys(), provider_addresses()) == ({}, {})

    def test_the_file_and_the_environment_which_wins(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file.write_text(
            'GEMINI_API_KEY="from the file"\nexport OPENAI_API_KEY=o$1  # mine\nGEMINI_BASE_URL=http://127.0.0.1:1/v1beta\nOTHER=x\n'
        )
        assert provider_keys() == {"gemini-api-key": "from the file", "openai-api-key": "o$1"}
        assert provider_addresses() == {"GEMINI_BASE_URL": "http://127.0.0.1:1/v1beta"}
        monkeypatch.setenv("GEMINI_API_KEY", "from the environment")
        monkeypatch.setenv("OPENAI_API_KEY", "")
        assert provider_keys() == {"gemini-api-key": "from the environment"}

    def test_the_file_is_git_ignored(self) -> None:
        assert "/.env" in (PROJECT / ".gitignore").read_text().splitlines()
        assert env_file.FILE == PROJECT / ".env"

    def test_given_keys_are_stored_once(
        self, found: Secrets, ssm: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for _ in range(2):
            supply_provider_keys(found, {"openai-api-key": VALUE})
        assert value(ssm, "openai-api-key") == VALUE
        said = capsys.readouterr().err
        assert said.splitlines() == ["Stored openai-api-key"]

    def test_without_any_it_says_what_to_do_and_goes_on(
        self, found: Secrets, capsys: pytest.CaptureFixture[str]
    ) -> None:
        supply_provider_keys(found, {})
        said = " ".join(capsys.readouterr().err.split())
        assert "503 ai_not_configured. Set GEMINI_API_KEY or OPENAI_API_KEY" in said
        found.store("gemini-api-key", VALUE)
        supply_provider_keys(found, {})
        assert capsys.readouterr().err == ""
