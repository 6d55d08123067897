"""Tests that the provider's jsii bindings load lazily.

Bindings with an unexpected structure are loaded completely instead.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from modules import provider
from ops.root import PROJECT
from ops.terraform.toolchain import node_variables

BARREL = Path("node_modules") / "@cdktf" / "provider-aws" / "lib"
HEAD = '"use strict";\nObject.defineProperty(exports, "__esModule", { value: true });\n'
RESOURCE = 'console.log("loaded ' + "{name}" + '"); exports.Name = "{name}";\n'


def _python(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **node_variables(), **variables}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )


def _node(
    folder: Path, barrel: str, program: str, preload: Path = provider.PRELOAD
) -> subprocess.CompletedProcess[str]:
    """Runs a Node program with the preload script and a provider package of two resources."""
    lib = folder / BARREL
    lib.mkdir(parents=True)
    (lib / "index.js").write_text(barrel)
    for name in ("sns-topic", "sqs-queue"):
        (lib / name).mkdir()
        (lib / name / "index.js").write_text(RESOURCE.format(name=name))
    script = folder / "program.js"
    script.write_text(f'const aws = require("./{(BARREL / "index.js").as_posix()}");\n{program}')
    node = node_variables()["JSII_NODE"]
    environment = {**os.environ, "NODE_OPTIONS": f'--require "{preload}"'}
    return subprocess.run(
        [node, str(script)], env=environment, capture_output=True, text=True, check=True
    )


EXPORTS = 'exports.snsTopic = require("./sns-topic");\nexports.sqsQueue = require("./sqs-queue");\n'


def test_node_loads_only_the_resources_in_use(tmp_path: Path) -> None:
    result = _node(
        tmp_path,
        HEAD + EXPORTS,
        "console.log(Object.keys(aws), aws.snsTopic.Name, aws.snsTopic.Name);",
    )
    assert result.stdout.splitlines() == [
        "loaded sns-topic",
        "[ 'snsTopic', 'sqsQueue' ] sns-topic sns-topic",
    ]


def test_a_barrel_file_with_an_unexpected_structure_is_loaded_completely_with_a_warning(
    tmp_path: Path,
) -> None:
    result = _node(tmp_path, HEAD + EXPORTS + "exports.other = 1 + 1;\n", "console.log(aws.other);")
    assert result.stdout.splitlines() == ["loaded sns-topic", "loaded sqs-queue", "2"]
    assert "an unexpected structure" in result.stderr


def test_python_loads_only_the_resources_in_use() -> None:
    program = """
import sys, modules
from cdktf_cdktf_provider_aws.sns_topic import SnsTopic
names = [name.split(".") for name in sys.modules]
print(sorted({name[1] for name in names if name[0] == "cdktf_cdktf_provider_aws" and name[1:]}))
"""
    loaded = _python(program).stdout
    assert loaded.strip() == "['_jsii', 'sns_topic']"


def test_bindings_with_an_unexpected_structure_are_imported_completely_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / provider.PACKAGE
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, provider.PACKAGE, raising=False)
    with pytest.warns(UserWarning, match="an unexpected structure"):
        assert provider.load_lazily() is False


def test_the_checkouts_path_may_contain_spaces_quotes_and_any_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preload = tmp_path / 'a "checkout" für 平台' / "preload.cjs"
    shutil.copytree(provider.PRELOAD.parent, preload.parent)
    monkeypatch.setattr(provider, "PRELOAD", preload)
    monkeypatch.setenv("NODE_OPTIONS", "--no-warnings")
    provider._preload_in_node()
    provider._preload_in_node()
    assert os.environ["NODE_OPTIONS"].count("--require") == 1
    node = node_variables()["JSII_NODE"]
    program = "console.log(require('node:module')._extensions['.js'].toString().includes('BARREL'))"
    done = subprocess.run([node, "-e", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "true"


def test_the_jsii_kernel_runs_in_the_node_process_that_python_started() -> None:
    program = """
import psutil, modules
from cdktf import App
App()
print(len(psutil.Process().children(recursive=True)))
"""
    assert _python(program).stdout.strip() == "1"


LAUNCHER = (
    '// "--preserve-symlinks",(0,s.resolve)(__dirname,"..","lib","program.js")],'
    '{stdio:["ignore","pipe","pipe","pipe"]})'
)
KERNEL = """
const fs = require("node:fs");
fs.writeSync(3, fs.readFileSync(0).toString().toUpperCase());
console.log("a line"); console.error("an error");
fs.writeSync(3, String(process.execArgv.includes("--preserve-symlinks")));
"""


def _runtime(folder: Path, launcher: str) -> subprocess.CompletedProcess[str]:
    """Runs a file instead of jsii's runtime, with the preload script and one message on stdin."""
    for name, content in (("bin/jsii-runtime.js", launcher), ("lib/program.js", KERNEL)):
        file = folder / name
        file.parent.mkdir()
        file.write_text(content)
    environment = {
        **os.environ,
        "NODE_OPTIONS": f'--preserve-symlinks --require "{provider.PRELOAD}"',
    }
    command = [node_variables()["JSII_NODE"], str(folder / "bin" / "jsii-runtime.js")]
    return subprocess.run(
        command, env=environment, input="message ", capture_output=True, text=True, check=True
    )


def test_the_jsii_kernel_writes_messages_to_stdout_and_logs_to_stderr(tmp_path: Path) -> None:
    done = _runtime(tmp_path, LAUNCHER)
    assert done.stdout == "MESSAGE true"
    printed = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(name, base64.b64decode(text)) for line in printed for name, text in line.items()] == [
        ("stdout", b"a line\n"),
        ("stderr", b"an error\n"),
    ]


def test_a_jsii_runtime_with_an_unexpected_structure_runs_unchanged_with_a_warning(
    tmp_path: Path,
) -> None:
    done = _runtime(tmp_path, 'console.log("passes messages on")')
    assert done.stdout == "passes messages on\n"
    assert "an unexpected structure" in done.stderr
