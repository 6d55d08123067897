"""Tests how environment files are created, and how environments are compared."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from environments import load_environment
from environments.loader import DIRECTORY
from ops.deployment.environment_file import compare_environments, create_environment
from ops.errors import OperatorError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for file in DIRECTORY.glob("*.yml"):
        shutil.copy(file, tmp_path)
    shutil.copytree(DIRECTORY / "examples", tmp_path / "examples")
    return tmp_path


def test_an_environment_file_can_be_created_from_an_example(directory: Path) -> None:
    file = create_environment("big", "scale", directory)
    assert file == directory / "big.yml"
    created = load_environment("big", directory=directory, variables={})
    example = load_environment("scale", directory=directory, variables={})
    assert created.quotas == example.quotas
    assert created.domains
    assert created.domains.api == "api.big.multitask.com"
    assert file.read_text().startswith("# yaml-language-server: $schema=schema.json\n")


@pytest.mark.parametrize("like", ["dev", "staging", "prod"])
def test_a_new_environment_has_its_own_domains_and_account(directory: Path, like: str) -> None:
    file = create_environment("qa", like, directory)
    account = {"QA_ACCOUNT_ID": "777788889999"}
    created = load_environment("qa", directory=directory, variables=account)
    original = load_environment(like, directory=directory, variables={})
    assert created.account_id == "777788889999"
    assert created.domains
    assert original.domains
    names, old = created.domains.model_dump(), original.domains.model_dump()
    for key in ("api", "websocket", "cdn", "site"):
        assert "qa" in names[key]
        assert names[key] != old[key]
        assert names[key].endswith(".multitask.com")
    assert created.state.key == "multitask-platform/qa/terraform.tfstate"
    assert created.rds == original.rds
    lines = (directory / f"{like}.yml").read_text().splitlines()
    assert {line for line in lines if "#" in line} <= set(file.read_text().splitlines())


@pytest.mark.parametrize(
    ("name", "like", "message"),
    [
        ("QA", "dev", "'QA' is not a name for an environment"),
        ("averyveryverylongname", "dev", "2 to 15 lowercase"),
        ("staging", "dev", "staging.yml exists"),
        ("qa", "local", "local cannot be copied: use --like with one of dev, prod, staging"),
        ("qa", "nowhere", "nowhere cannot be copied"),
    ],
)
def test_names_that_cannot_be_created_or_copied_are_refused(
    directory: Path, name: str, like: str, message: str
) -> None:
    before = sorted(directory.iterdir())
    with pytest.raises(OperatorError, match=message):
        create_environment(name, like, directory)
    assert sorted(directory.iterdir()) == before


def test_an_invalid_copy_is_not_kept(directory: Path) -> None:
    source = directory / "dev.yml"
    source.write_text(source.read_text().replace("log_level: debug", "log_level: loud"))
    with pytest.raises(OperatorError, match="qa.yml:.*log_level: 'loud'"):
        create_environment("qa", "dev", directory)
    assert not (directory / "qa.yml").exists()


def test_the_comparison_shows_settings_and_resources_that_differ() -> None:
    comparison = compare_environments("dev", "prod")
    settings = {item.key: (item.first, item.second) for item in comparison.settings}
    assert settings["removal_policy"] == ("destroy", "retain")
    assert settings["rds.backup_retention_days"][0] == 1
    assert "region" not in settings
    resources = {item.key: (item.first, item.second) for item in comparison.resources}
    nat = resources["aws_nat_gateway"]
    assert nat[0] < nat[1]
    assert "aws_vpc" not in resources
