"""Starts and stops the embedded cloud as a whole, and puts right what a crash left."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ops.console import say
from ops.embedded.ports import LOOPBACK, choose, is_free
from ops.embedded.processes import Process, Processes, strays
from ops.embedded.services import Aws, Cache, Database, Service
from ops.errors import OperatorError
from ops.root import Root, read_json, write_json

READY_TIMEOUT = 60.0
"""Seconds a service may take to answer; restoring a large saved state takes a few, a first initdb about two."""


@dataclass(frozen=True)
class Addresses:
    """Where the services listen."""

    aws: str
    """Base address, the value of AWS_ENDPOINT_URL."""
    database: str
    """host:port."""
    cache: str
    """host:port."""


@dataclass(frozen=True)
class Started:
    """What `start` found and made."""

    addresses: Addresses
    killed: bool
    """The AWS had been killed: it holds what it last saved and the S3 objects, so Terraform's state may know more than it does."""


class EmbeddedCloud:
    """The services of one root."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._processes = Processes(root)
        # The AWS is told the cache's port when it starts, so the cache comes first.
        self._services: list[Service] = [
            kind(root, self._processes) for kind in (Cache, Database, Aws)
        ]
        self._ports_file = root.path / "ports.json"

    def addresses(self) -> Addresses | None:
        """The addresses of the running services, or None unless all of them run."""
        running = self.running()
        if len(running) < len(self._services):
            return None
        address = {name: f"{LOOPBACK}:{process.port}" for name, process in running.items()}
        return Addresses(f"http://{address[Aws.name]}", address[Database.name], address[Cache.name])

    def running(self) -> dict[str, Process]:
        """The services that run, by name."""
        return {process.name: process for process in self._processes.all() if process.find()}

    def processes(self) -> list[dict[str, Any]]:
        """Each service's name, port, process id, and whether it runs."""
        records = {process.name: process for process in self._processes.all()}
        return [
            {
                "name": service.name,
                "running": bool((record := records.get(service.name)) and record.find()),
                "pid": record.pid if record else None,
                "port": record.port if record else None,
            }
            for service in self._services
        ]

    def start(self) -> Started:
        """Starts what does not run, waits until all answer, and says what it found dead.

        Raises:
            OperatorError: a service does not come up; the message ends with its last log lines.
        """
        running = self.running()
        died = [process for process in self._processes.all() if process.name not in running]
        for process in died:
            say(
                f"{process.name} was not stopped but died (process {process.pid}): starting it again"
            )
            self._processes.forget(process)
        if Aws.name not in running:
            self._end_strays()
        started = []
        for service in self._services:
            if service.name not in running:
                port = self._port(service.name)
                running[service.name] = service.start(port)
                started.append(service)
        for service in started:
            self._await(service, running[service.name])
            service.prepare(running[service.name].port)
        addresses = self.addresses()
        if addresses is None:
            raise OperatorError(
                f"A service of the embedded cloud died while starting: see {self._root.logs}"
            )
        return Started(addresses, killed=any(process.name == Aws.name for process in died))

    def stop(self) -> list[str]:
        """Stops everything, so that each service writes its data; returns the names of those that ran."""
        stopped = []
        for service in reversed(self._services):
            process = self._processes.get(service.name)
            if process:
                if process.find():
                    stopped.append(service.name)
                    if not self._processes.stop(process, service.stop_signal):
                        say(
                            f"{service.name} did not stop by itself and was killed: what it had not saved is lost"
                        )
                else:
                    self._processes.forget(process)
        self._end_strays()
        return stopped

    def reset_aws(self) -> Addresses:
        """Empties the AWS, Terraform's state included; the database and the cache keep their data."""
        process = self._processes.get(Aws.name)
        if process:
            self._processes.stop(process)
        self._end_strays()
        shutil.rmtree(self._root.path / Aws.name, ignore_errors=True)
        return self.start().addresses

    def save(self) -> None:
        """Writes down what the AWS holds, which a kill then leaves; the database and the cache do so by themselves."""
        process = self._processes.get(Aws.name)
        if process:
            Aws(self._root, self._processes).save(process.port)

    def alive(self) -> bool:
        """Whether the AWS still runs."""
        process = self._processes.get(Aws.name)
        return bool(process and process.find())

    def _port(self, name: str) -> int:
        ports: dict[str, int] = read_json(self._ports_file) or {}
        port = ports.get(name)
        if port is None or not is_free(port):
            chosen = choose(ports.values())
            if port is not None:
                say(f"Port {port} of {name} has been taken by another program: using {chosen}")
            ports[name] = port = chosen
            write_json(self._ports_file, ports)
        return port

    def _await(self, service: Service, process: Process) -> None:
        deadline = time.monotonic() + READY_TIMEOUT
        while not service.ready(process.port):
            log = self._root.logs / f"{service.name}.log"
            if not process.find():
                raise OperatorError(
                    f"{service.name} ended while starting; the end of {log}:\n{_tail(log)}"
                )
            if time.monotonic() >= deadline:
                raise OperatorError(
                    f"{service.name} has not answered for {READY_TIMEOUT:.0f} s; the end of {log}:\n{_tail(log)}"
                )
            time.sleep(0.05)

    def _end_strays(self) -> None:
        """Ends function workers whose AWS is gone. Recorded services are not strays."""
        known = {process.pid for process in self.running().values()}
        orphans = [process for process in strays(self._root) if process.pid not in known]
        for orphan in orphans:
            try:
                orphan.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(orphans, timeout=5)


def _tail(file: Path, lines: int = 15) -> str:
    return (
        "\n".join(file.read_text(errors="replace").splitlines()[-lines:]) if file.exists() else ""
    )
