"""Tests that an update of ministack cannot silently change code that the corrections replace."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

from ops.embedded.emulator.internals import FILE
from ops.root import PROJECT

ADDED_REQUESTS = {"add_save_request", "add_login_request", "add_events_request"}
"""Functions that add this project's requests to the emulator. They are not corrections."""


def run_python(program: str) -> str:
    """Runs Python code that imports ministack. Uses another process, and returns the output."""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_internals_json_lists_exactly_the_internals_that_the_emulator_uses() -> None:
    program = """
import json
from tools.emulator_internals import list_internals
print(json.dumps(list_internals()))
"""
    assert json.loads(run_python(program)) == json.loads(FILE.read_text()), (
        "run `python -m tools.emulator_internals`"
    )


def test_replaced_functions_classes_and_texts_have_fingerprints() -> None:
    internals = json.loads(FILE.read_text())["internals"]
    for name in (
        "ministack.services.dynamodb._set_item",
        "ministack.services.apigateway_v1._put_integration",
        "ministack.core.lambda_runtime._PYTHON_WORKER_SCRIPT",
        "hypercorn.asyncio.tcp_server.TCPServer",
    ):
        assert internals[name].startswith("sha256:")
    assert internals["ministack.services.sqs._queues"].endswith("AccountRegionScopedDict")


def test_the_emulator_does_not_start_if_another_version_changes_an_internal() -> None:
    program = """
from ops.embedded.emulator.internals import ChangedInternalsError, verify
known = "ministack.services.dynamodb._remove_item"
changed = {known: "sha256:0", "ministack.services.sqs.absent": "builtins.dict",
           "ministack.services.absent.x": "builtins.dict"}
try:
    verify({"versions": {"ministack": "1.0"}, "internals": changed})
except ChangedInternalsError as error:
    print(error)
"""
    message = run_python(program)
    assert (
        "\n- ministack.services.absent.x\n- ministack.services.dynamodb._remove_item\n" in message
    )
    assert "\n- ministack.services.sqs.absent\n" in message
    assert "run `python -m tools.emulator_internals`" in message


def test_the_emulator_starts_with_another_version_that_changes_no_internal() -> None:
    program = """
import json
from ops.embedded.emulator.internals import FILE, verify
verify({**json.loads(FILE.read_text()), "versions": {"ministack": "1.0"}})
print("verified")
"""
    assert run_python(program) == "verified\n"


def test_the_documentation_describes_each_correction() -> None:
    page = (PROJECT / "docs" / "architecture" / "embedded-aws.md").read_text()
    module = ast.parse((FILE.parent / "main.py").read_text())
    [apply_corrections] = [
        node
        for node in module.body
        if isinstance(node, ast.FunctionDef) and node.name == "apply_corrections"
    ]
    local = {
        alias.name
        for node in module.body
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    called = {
        node.func.id
        for node in ast.walk(apply_corrections)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    corrections = (called & local) - ADDED_REQUESTS - {"Journal"}
    assert len(corrections) > 15
    assert {name for name in corrections if f"`{name}`" not in page} == set()
