"""Runs the platform of the end-to-end tests in a separate process.

The process deploys the platform while other tests run, and stops it when the tests end.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from ops.cloud import ROLE_VARIABLE, connect
from ops.embedded import EmbeddedCloud
from ops.embedded.ports import LOOPBACK, choose_port
from ops.errors import OperatorError
from ops.local.platform import stop_platform
from ops.root import PROJECT, Root
from tests.e2e.support.commands import run_ops
from tests.e2e.support.operators import (
    CREATE_ACTIONS,
    DEPLOY_POLICIES,
    RESOURCE_ACTIONS,
    TAG_ACTIONS,
    EmptyCloud,
    create_operator,
)
from tests.e2e.support.sharing import Sharing
from tests.lambdas.ai.servers import MODEL
from tests.waiting import wait_for

HOST = pytest.StashKey["PlatformHost"]()
"""The key under which pytest's configuration stores the platform's host."""
INTERVAL = 1.0
"""Seconds between attempts to stop the platform while `ops up` still holds the lock of the root
directory.
"""
DEPLOYMENT_LIMIT = 900.0
"""Seconds. The deployment takes 90 s on an idle machine."""


class PlatformHost:
    """The process that runs the platform. All pytest processes of a run share it.

    Args:
        root: the working directory of the platform.
        variables: environment variables that point the ai service to local ports for fake
            providers, and hide real API keys. All commands on this platform need them.
        is_chosen_here: True if this pytest process chose the directory. False if it received the
            directory from another pytest process of the run.
    """

    def __init__(
        self, root: Path, variables: Mapping[str, str], *, is_chosen_here: bool = False
    ) -> None:
        self.root = root
        self._is_chosen_here = is_chosen_here
        self._variables = dict(variables)
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def choose(cls) -> PlatformHost:
        """Chooses a directory and ports. The process starts later."""
        # PostgreSQL's system user cannot read pytest's temporary directory.
        root = Path(tempfile.gettempdir()) / f"multitask-{uuid.uuid4().hex[:12]}"
        gemini = choose_port()
        variables = {
            "GEMINI_BASE_URL": f"http://{LOOPBACK}:{gemini}/v1beta",
            "OPENAI_BASE_URL": f"http://{LOOPBACK}:{choose_port([gemini])}/v1",
            "GEMINI_MODEL": MODEL,
            "OPENAI_MODEL": MODEL,
            "OPENAI_REASONING_EFFORT": "",
            "GEMINI_API_KEY": "",
            "OPENAI_API_KEY": "",
        }
        return cls(root, variables, is_chosen_here=True)

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> PlatformHost:
        return cls(Path(description["root"]), description["variables"])

    @property
    def description(self) -> dict[str, Any]:
        """The data that another pytest process needs to use the same platform."""
        return {"root": str(self.root), "variables": self._variables}

    def start(self) -> None:
        """Starts the process that deploys the platform. Does nothing if the process runs."""
        if self._process:
            return
        command = [sys.executable, "-m", "tests.e2e.support.host", str(self.root)]
        # Ctrl-C sends SIGINT to the tests. The platform's process runs in a separate session, so it
        # does not receive SIGINT and can still clean up.
        self._process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**os.environ, **self._variables},
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def wait_until_deployed(self) -> None:
        """Waits for the deployment, and sets the host's `variables` in this process's environment.

        Raises:
            AssertionError: the deployment failed. The message contains the traceback.
        """
        result = _result_file(self.root)
        wait_for(result.exists, seconds=DEPLOYMENT_LIMIT)
        error = result.read_text()
        assert not error, error
        os.environ.update(self._variables)

    def stop(self) -> None:
        """Stops the platform and deletes its files, if this pytest process started the platform."""
        if self._process:
            self._process.communicate()
        if self._is_chosen_here:
            shutil.rmtree(self._sharing_directory, ignore_errors=True)

    @property
    def sharing(self) -> Sharing:
        """The locks with which several workers share the platform."""
        return Sharing(self._sharing_directory)

    @property
    def _sharing_directory(self) -> Path:
        return self.root.with_suffix(".sharing")


def _result_file(root: Path) -> Path:
    """Returns the path of the file with the deployment's error, which is empty after a success."""
    return root / "deployment-result"


def _deploy(root: Path) -> None:
    try:
        _deploy_first_time(root)
        error = ""
    except Exception:
        error = traceback.format_exc()
    partial = _result_file(root).with_suffix(".partial")
    partial.write_text(error)
    partial.replace(_result_file(root))


def _deploy_first_time(root: Path) -> None:
    """Deploys the platform to an empty account, with only the policies of docs/policies/.

    This proves that these policies suffice. Later updates use the root key.
    """
    working_directory = Root(root)
    EmbeddedCloud(working_directory).start()
    empty = EmptyCloud(connect("local", working_directory))
    policies = ("bootstrap", "operator", *DEPLOY_POLICIES, "administer-identity")
    extra_actions = [*RESOURCE_ACTIONS, *TAG_ACTIONS, *CREATE_ACTIONS]
    with create_operator(empty, "first-operator", policies, extra_actions=extra_actions) as role:
        run_ops(root, "up", "--json", variables={ROLE_VARIABLE: role})


def main(root: Path) -> None:
    """Deploys the platform. Stops it and deletes its directory when standard input is closed.

    The test process closes standard input at the end. If the test process is killed, the operating
    system closes it.
    """
    Root(root).prepare()
    deployment = threading.Thread(target=_deploy, args=[root], daemon=True)
    deployment.start()
    sys.stdin.read()
    if deployment.is_alive():
        # Interrupts only `ops up`. `stop_platform` stops the other child processes.
        for child in psutil.Process().children():
            if "up" in child.cmdline():
                child.send_signal(signal.SIGINT)
    while True:
        try:
            stop_platform(Root(root), purge=True)
        except OperatorError:
            time.sleep(INTERVAL)
        else:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
