"""The lazy loading of the provider's bindings, and its fallbacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from modules import provider
from ops.root import PROJECT
from ops.toolchain import node_variables

BARREL = Path("node_modules") / "@cdktf" / "provider-aws" / "lib"
HEAD = '"use strict";\nObject.defineProperty(exports, "__esModule", { value: true });\n'
RESOURCE = 'console.log("loaded ' + "{name}" + '"); exports.Name = "{name}";\n'


def _python(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **node_variables(), **variables}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )


def _node(
    folder: Path, barrel: str, program: str, preload: Path = provider.PRELOAD
) -> subprocess.CompletedProcess[str]:
    """Runs a program against a provider package of two resources, under the preload."""
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
    return subprocess.run([node, str(script)], env=environment, capture_output=True, text=True, check=True)


LINES = 'exports.snsTopic = require("./sns-topic");\nexports.sqsQueue = require("./sqs-queue");\n'


def test_only_what_is_used_is_loaded_in_node(tmp_path: Path) -> None:
    made = _node(tmp_path, HEAD + LINES, "console.log(Object.keys(aws), aws.snsTopic.Name, aws.snsTopic.Name);")
    assert made.stdout.splitlines() == ["loaded sns-topic", "[ 'snsTopic', 'sqsQueue' ] sns-topic sns-topic"]


def test_a_barrel_of_another_shape_is_loaded_whole_with_a_warning(tmp_path: Path) -> None:
    made = _node(tmp_path, HEAD + LINES + "exports.other = 1 + 1;\n", "console.log(aws.other);")
    assert made.stdout.splitlines() == ["loaded sns-topic", "loaded sqs-queue", "2"]
    assert "another shape than expected" in made.stderr


def test_only_what_is_used_is_loaded_in_python() -> None:
    program = """
import sys, modules
from cdktf_cdktf_provider_aws.sns_topic import SnsTopic
print(sorted({name.split(".")[1] for name in sys.modules if name.startswith("cdktf_cdktf_provider_aws.")}))
"""
    loaded = _python(program).stdout
    assert loaded.strip() == "['_jsii', 'sns_topic']"


def test_bindings_of_another_shape_are_imported_whole_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / provider.PACKAGE
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, provider.PACKAGE, raising=False)
    with pytest.warns(UserWarning, match="another shape than expected"):
        assert provider.load_lazily() is False


def test_a_checkout_may_lie_below_a_path_with_a_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preload = tmp_path / "a checkout" / "preload.cjs"
    preload.parent.mkdir()
    shutil.copy(provider.PRELOAD, preload)
    monkeypatch.setattr(provider, "PRELOAD", preload)
    monkeypatch.setenv("NODE_OPTIONS", "--no-warnings")
    provider._preload_in_node()
    provider._preload_in_node()
    assert os.environ["NODE_OPTIONS"].count("--require") == 1
    node = node_variables()["JSII_NODE"]
    program = "console.log(require('node:module')._extensions['.js'].toString().includes('BARREL'))"
    done = subprocess.run([node, "-e", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "true"
