"""Tests that commands on AWS import only packages of the Pipfile groups that their pipelines
install.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ops.root import PROJECT

PROGRAM = """
import importlib, json, re, sys
from importlib.metadata import packages_distributions

def normalize(name):
    return re.sub(r"[-_.]+", "-", name).lower()

lock = json.load(open("Pipfile.lock"))
allowed = {normalize(name) for group in sys.argv[1].split(",") for name in lock[group]}
absent = {
    module
    for module, distributions in packages_distributions().items()
    if not allowed & {normalize(name) for name in distributions}
}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"{name} is in no group of {sys.argv[1]}", name=name)

sys.meta_path.insert(0, Absent())
for name in sys.argv[2:]:
    importlib.import_module(name)
print(len(absent))
"""
COMMANDS = (
    "ops.__main__",
    "ops.commands.releases",
    "ops.smoke.command",
    "ops.deployment.site",
    "ops.upkeep.logs",
    "ops.embedded",
)
"""The modules that a rollback and its smoke tests import."""
DEPLOYMENT = (
    *COMMANDS,
    "ops.commands.deployment",
    "ops.commands.environment",
    "ops.commands.review",
    "ops.doctor.examination",
    "modules.packaging",
    "modules.app",
)


def import_with(groups: str, *modules: str) -> subprocess.CompletedProcess[str]:
    """Imports modules in a process that can import only packages of these groups."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, groups, *modules],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("groups", "modules"),
    [("default", COMMANDS), ("default,synthesis", DEPLOYMENT)],
    ids=["rollback", "deploy"],
)
def test_commands_import_only_packages_of_their_groups(
    groups: str, modules: tuple[str, ...]
) -> None:
    result = import_with(groups, *modules)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 100, "too few packages of other groups were blocked"


def test_a_package_of_another_group_cannot_be_imported() -> None:
    """Shows that test_commands_import_only_packages_of_their_groups can fail."""
    result = import_with("default", "ministack.app")
    assert "ministack is in no group of default" in result.stderr


def test_groups_lock_the_same_versions() -> None:
    lock = json.loads((PROJECT / "Pipfile.lock").read_text())
    versions: dict[str, set[str]] = {}
    for group in ("default", "synthesis", "local", "develop"):
        for name, entry in lock[group].items():
            versions.setdefault(name, set()).add(entry["version"])
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}
