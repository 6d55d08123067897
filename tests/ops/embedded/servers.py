"""An embedded AWS that tests start and kill. It has no database and no cache."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config

from bench.chaos.machine import small_disk
from ops.embedded.certificates import Certificates
from ops.embedded.ports import LOOPBACK, PLAIN_AWS, choose_port, ports_file
from ops.embedded.processes import Process, Processes
from ops.embedded.services import ACCESS_KEY, SECRET_KEY, SERVER, Aws, Recovery
from ops.root import Root, write_json
from tests.waiting import wait_for


class Server:
    """An embedded AWS without a database and a cache."""

    def __init__(self, root: Root, script: Path = SERVER) -> None:
        self.root = root
        self.processes = Processes(root)
        self.aws = Aws(root, self.processes, script)
        self.port = choose_port()
        self.plain_port = choose_port([self.port])
        write_json(ports_file(root), {PLAIN_AWS: self.plain_port})
        self.process: Process

    def start(self) -> Recovery | None:
        self.process = self.aws.start(self.port)
        wait_for(lambda: self.aws.is_ready(self.port), seconds=60, interval=0.05)
        return self.aws.take_recovery()

    def kill(self) -> None:
        os.kill(self.process.pid, 9)
        wait_for(lambda: not self.process.find(), interval=0.01)

    def stop(self) -> None:
        assert self.processes.stop(self.process)

    @property
    def authority(self) -> str:
        return str(Certificates(self.root).authority)

    def client(self, service: Any) -> Any:
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=f"https://{LOOPBACK}:{self.port}",
            verify=self.authority,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(retries={"total_max_attempts": 1}),
        )


@contextmanager
def running_server(script: Path = SERVER) -> Iterator[Server]:
    """Starts a server in a new directory. On exit, stops the server and deletes the directory.

    Args:
        script: The start script of the embedded AWS.
    """
    root = Root(Path(tempfile.mkdtemp(prefix="multitask-")))
    root.prepare()
    server = Server(root, script)
    server.start()
    try:
        yield server
    finally:
        server.processes.stop(server.process)
        shutil.rmtree(root.path)


BALLAST = "ballast"
"""Name of the file that fills a disk."""


@contextmanager
def running_small_server(directory: Path) -> Iterator[Server]:
    """Starts a server whose directory is a disk of 100 MiB. Skips the test if the user is not root.

    Does not call `Root.prepare`, which requires 2 GiB of free space.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    with small_disk(directory, 100 * 1024**2):
        root = Root(directory)
        root.logs.mkdir()
        server = Server(root)
        server.start()
        try:
            yield server
        finally:
            (directory / BALLAST).unlink(missing_ok=True)
            server.processes.stop(server.process)


def fill_disk(server: Server, *, free: int) -> Path:
    """Writes a file that leaves `free` bytes on the server's disk, and returns its path."""
    file = server.root.path / BALLAST
    size = psutil.disk_usage(str(server.root.path)).free - free
    # The server writes at the same time, so the disk may be full before the last byte.
    with suppress(OSError), file.open("wb", buffering=0) as ballast:
        for _ in range(size // 4096):
            ballast.write(bytes(4096))
    return file
