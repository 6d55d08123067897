"""Tests that each function's artifact is complete, small, and built for arm64."""

from __future__ import annotations

import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import get_args

import pytest

from bench.artifacts import SIZE_GOAL, lay_out_runtime
from environments import FunctionName
from modules.packaging import Platform, package_functions

EM_AARCH64 = 183
"""ELF's number for arm64 (ELF for the Arm 64-bit architecture, 4.1)."""
FUNCTIONS = get_args(FunctionName)


@pytest.fixture(scope="module")
def artifacts() -> dict[Platform, dict[str, Path]]:
    packages = package_functions({"aws", "host"})
    return {
        target: {name: artifact.path for name, artifact in artifacts.items()}
        for target, artifacts in packages.items()
    }


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder that contains only the packages of the Lambda runtime."""
    folder = tmp_path_factory.mktemp("runtime")
    lay_out_runtime(folder)
    return folder


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_handler_needs_only_its_artifact_and_the_runtime(
    artifacts: dict[Platform, dict[str, Path]], runtime: Path, tmp_path: Path, function: str
) -> None:
    with zipfile.ZipFile(artifacts["host"][function]) as archive:
        archive.extractall(tmp_path)
    program = (
        f"import sys; sys.path += {[str(tmp_path), str(runtime)]!r}\n"
        f"from lambdas.{function} import handler\n"
        "print(handler.handler)"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "function" in result.stdout


def test_the_isolated_interpreter_cannot_import_other_packages(runtime: Path) -> None:
    """Shows that test_a_handler_needs_only_its_artifact_and_the_runtime can fail."""
    program = f"import sys; sys.path.append({str(runtime)!r}); import boto3, pydantic"
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False
    )
    assert "No module named 'pydantic'" in result.stderr


@pytest.mark.parametrize("target", get_args(Platform))
@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_artifact_is_within_the_size_goal(
    artifacts: dict[Platform, dict[str, Path]], target: Platform, function: str
) -> None:
    assert artifacts[target][function].stat().st_size <= SIZE_GOAL


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_artifact_for_aws_has_the_same_packages_built_for_arm64(
    artifacts: dict[Platform, dict[str, Path]], function: str
) -> None:
    def packages(target: Platform) -> set[str]:
        with zipfile.ZipFile(artifacts[target][function]) as archive:
            return {name.partition("/")[0].partition("-")[0] for name in archive.namelist()}

    assert packages("aws") == packages("host")
    with zipfile.ZipFile(artifacts["aws"][function]) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            if content.startswith(b"\x7fELF"):
                assert struct.unpack_from("<H", content, 18)[0] == EM_AARCH64, name
                assert "cpython-313-" in name or ".abi3." in name or "cpython" not in name, name


def test_the_auth_artifact_has_shared_objects(artifacts: dict[Platform, dict[str, Path]]) -> None:
    """Shows that test_the_artifact_for_aws_has_the_same_packages_built_for_arm64 examines at least
    one file.
    """
    with zipfile.ZipFile(artifacts["aws"]["auth"]) as archive:
        assert any(name.endswith(".so") for name in archive.namelist())
