"""Starts the platform from an unusual path, in a shell with settings of other programs."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.root import PROJECT

UNREACHABLE = "http://192.0.2.1:9"
"""An address that is reserved for documentation (RFC 5737)."""
FOREIGN = {
    "AWS_ACCESS_KEY_ID": "AKIAFOREIGN",
    "AWS_CA_BUNDLE": "/missing/bundle.pem",
    "AWS_DEFAULT_REGION": "eu-nowhere-1",
    "AWS_ENDPOINT_URL": UNREACHABLE,
    "AWS_ENDPOINT_URL_DYNAMODB": UNREACHABLE,
    "AWS_PROFILE": "missing",
    "AWS_REGION": "eu-nowhere-1",
    "AWS_SECRET_ACCESS_KEY": "foreign",
    "HTTPS_PROXY": UNREACHABLE,
    "HTTP_PROXY": UNREACHABLE,
    "LANG": "C",
    "LC_ALL": "C",
    "TF_CLI_ARGS_plan": "-destroy",
    "TF_CLI_CONFIG_FILE": "/missing/terraform.rc",
    "TF_DATA_DIR": "/missing",
    "TF_WORKSPACE": "elsewhere",
    "VIRTUAL_ENV": "/missing/environment",
    "http_proxy": UNREACHABLE,
}
OPEN_FILES = 256
"""The default limit of open files in shells on macOS."""


def _restrict() -> None:
    os.umask(0o077)
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, allowed))


@pytest.fixture
def checkout() -> Iterator[Path]:
    """Yields a copy of the checkout. The copy uses the installed packages of the original."""
    # PostgreSQL's system user cannot read pytest's temporary directory.
    parent = Path(tempfile.mkdtemp(prefix="häuser und 平台 "))
    parent.chmod(0o755)
    folder = parent / "ein haus"
    command = ["git", "worktree", "add", "--quiet", "--detach", str(folder), "HEAD"]
    subprocess.run(command, cwd=PROJECT, check=True)
    try:
        for name in (".venv", "node_modules"):
            (folder / name).symlink_to(PROJECT / name)
        # The copy reuses the functions' installed packages, so it needs no package index.
        subprocess.run([sys.executable, "-m", "ops", "synth", "local"], cwd=PROJECT, check=True)
        (folder / ".build").mkdir()
        (folder / ".build" / "dependencies").symlink_to(PROJECT / ".build" / "dependencies")
        yield folder
    finally:
        command = ["git", "worktree", "remove", "--force", str(folder)]
        subprocess.run(command, cwd=PROJECT, check=True)
        parent.rmdir()


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_the_platform_starts_despite_foreign_settings_and_non_ascii_paths(
    checkout: Path, tmp_path: Path
) -> None:
    config = tmp_path / ".aws" / "config"
    config.parent.mkdir()
    config.write_text(f"[default]\nregion = eu-nowhere-1\nendpoint_url = {UNREACHABLE}\n[broken\n")
    environment = {**os.environ, **FOREIGN, "HOME": str(tmp_path)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run(*arguments: str) -> str:
        result = subprocess.run(
            [str(checkout / ".venv" / "bin" / "python"), "-m", "ops", *arguments],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=_restrict,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    try:
        platform = json.loads(run("up", "--json"))
        assert platform["apiUrl"].startswith("https://127.0.0.1:")
        assert json.loads(run("status", "--json"))["health"]["status"] == 200
        checks = json.loads(run("smoke", "local", "--json"))
        assert [check for check in checks if not check["ok"]] == []
    finally:
        run("down", "--purge")
