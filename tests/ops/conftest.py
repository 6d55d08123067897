from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws
from rich.console import Console

from environments import load_environment
from ops.cloud import Cloud
from ops.root import Root
from tests.service_models import shared_service_models


@pytest.fixture(scope="session", autouse=True)
def service_models() -> Iterator[None]:
    with shared_service_models():
        yield


@pytest.fixture
def root(tmp_path: Path) -> Root:
    result = Root(tmp_path / "root")
    result.prepare()
    return result


SetTerminal = Callable[..., None]
"""Makes standard error a terminal. Takes arguments of rich's Console, such as the width."""


@pytest.fixture
def set_terminal(monkeypatch: pytest.MonkeyPatch) -> SetTerminal:
    def set_console(*, is_terminal: bool = True, **options: Any) -> None:
        terminal = Console(stderr=True, force_terminal=is_terminal, **options)
        monkeypatch.setattr("ops.console.err", terminal)

    return set_console


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Replaces AWS with moto in this process, and hides the developer's AWS configuration.

    Moto's IAM has no AWS managed policies, because loading them takes more than a second.
    """
    for name, value in {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield


VARIABLES = {"DEV_ACCOUNT_ID": "123456789012", "GITHUB_REPOSITORY": "example/platform"}
"""Variables to which environments/dev.yml refers. The account id is moto's."""


@pytest.fixture
def dev_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets VARIABLES, so that commands can use the dev environment on moto."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def cloud(aws: None) -> Cloud:
    """Returns the dev environment and its AWS clients, which use moto."""
    return Cloud(load_environment("dev", variables=VARIABLES), {})
