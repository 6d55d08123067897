"""Caches synthesized stacks for commands that only read them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from environments import EnvironmentFileError, load_environment
from ops.errors import OperatorError
from ops.root import PROJECT
from ops.terraform.source_digest import digest, source_files
from ops.terraform.stack_document import Synthesized, read_synthesized
from ops.terraform.synthesis import synthesize

DIRECTORY = PROJECT / ".build" / "stacks"
SOURCES = ("environments", "modules", "lambdas", "web", "main.py", "cdktf.json", "Pipfile.lock")
"""The files and folders that main.py reads. The key of a cached stack also covers the loaded
settings of the environment (such as dev), because an environment's file may refer to environment
variables of the process.
"""


def read_cached_stack(
    name: str,
    announce: Callable[[str], None],
    *,
    directory: Path = DIRECTORY,
    synthesize: Callable[[list[str], Path, Mapping[str, str]], None] = synthesize,
) -> Synthesized:
    """Returns an environment's stack. Synthesizes the stack only if its sources have changed.

    Args:
        announce: Receives a message before synthesis, which takes seconds.
        directory: The cache, which contains a directory for each environment.

    Raises:
        OperatorError: The environment does not exist, its file is invalid, or synthesis failed.
    """
    try:
        environment = load_environment(name).model_dump_json()
    except EnvironmentFileError as error:
        raise OperatorError(str(error)) from error
    key = hashlib.sha256(
        f"{digest(source_files(PROJECT, SOURCES))} {environment}".encode()
    ).hexdigest()
    cached, stamp = directory / name, directory / name / "sources"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != key:
        announce(f"Synthesizing {name}, because its sources have changed")
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as temporary:
            synthesize([name], Path(temporary), dict(os.environ))
            synthesized = Path(temporary) / "stacks" / name
            (synthesized / "sources").write_text(key, encoding="utf-8")
            shutil.rmtree(cached, ignore_errors=True)
            synthesized.replace(cached)
    return read_synthesized(cached)
