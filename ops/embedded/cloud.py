"""Starts and stops the embedded cloud: AWS emulator, PostgreSQL, Valkey. Recovers from crashes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from ops.console import report
from ops.embedded.certificates import Certificates
from ops.embedded.ports import LOOPBACK, PLAIN_AWS, choose_port, is_soon_free, ports_file
from ops.embedded.processes import Process, Processes, describe_process, find_processes
from ops.embedded.services import Aws, Cache, CacheProxy, Database, DatabaseProxy, Service
from ops.errors import OperatorError
from ops.root import Root, read_json, write_json

READY_TIMEOUT = 60.0
"""Seconds to wait for a service. Loading a large saved state takes a few seconds, initdb about
two seconds."""


@dataclass(frozen=True)
class Addresses:
    """The addresses of the embedded cloud's services."""

    aws: str
    """Base URL of the embedded AWS, which is the value of AWS_ENDPOINT_URL."""
    plain_aws: str
    """Base URL of the embedded AWS without TLS."""
    database: str
    """host:port of the database's proxy, which requires TLS and IAM authentication."""
    cache: str
    """host:port of the cache's proxy, which requires TLS and IAM authentication."""
    database_server: str
    """host:port of PostgreSQL without the proxy, for commands that copy databases."""
    authority: str
    """Path of the certificate with which clients verify the embedded AWS and the proxies."""


@dataclass(frozen=True)
class StartedCloud:
    """The result of starting the embedded cloud."""

    addresses: Addresses
    has_started_services: bool
    """True if at least one service was not running before."""
    aws_may_lack_changes: bool
    """True if a saved file of the embedded AWS was damaged. The embedded AWS may then lack
    resources that Terraform's state contains.

    After a kill without damage, at most the changes of the last second are missing.
    """


class EndedError(OperatorError):
    """Raised if the process of a service ends during its start."""


class EmbeddedCloud:
    """The embedded cloud of one root (the directory of a local platform)."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._processes = Processes(root)
        self._services: list[Service] = [
            service(root, self._processes)
            for service in (Cache, Database, Aws, DatabaseProxy, CacheProxy)
        ]
        self._ports_file = ports_file(root)

    def addresses(self) -> Addresses | None:
        """Returns the addresses of the services, or None if a service is not running."""
        running = self.running()
        if len(running) < len(self._services):
            return None
        address = {name: f"{LOOPBACK}:{process.port}" for name, process in running.items()}
        return Addresses(
            aws=f"https://{address[Aws.name]}",
            plain_aws=f"http://{LOOPBACK}:{self.plain_port}",
            database=address[DatabaseProxy.name],
            cache=address[CacheProxy.name],
            database_server=address[Database.name],
            authority=str(Certificates(self._root).authority),
        )

    @property
    def plain_port(self) -> int:
        """The port of the embedded AWS without TLS."""
        ports: dict[str, int] = read_json(self._ports_file) or {}
        return ports[PLAIN_AWS]

    def plain_site_url(self, site_url: str) -> str:
        """Returns a site's plain HTTP URL, for which browsers show no certificate warning."""
        label = urlsplit(site_url).netloc.partition(".")[0]
        return f"http://{label}.plain.localhost:{self.plain_port}"

    def running(self) -> dict[str, Process]:
        """Returns the processes of the running services by service name."""
        return {name: process for name, process in self._recorded().items() if process.find()}

    def processes(self) -> list[dict[str, Any]]:
        """Returns the name, port and process ID of each service, and whether it is running."""
        recorded = self._recorded()
        return [
            describe_process(service.name, recorded.get(service.name)) for service in self._services
        ]

    def _recorded(self) -> dict[str, Process]:
        """Returns the recorded processes of services by service name, including those that have
        ended.

        Omits recorded processes that are not services, such as the web console.
        """
        names = {service.name for service in self._services}
        return {process.name: process for process in self._processes.all() if process.name in names}

    def start(self, *, reset: bool = False) -> StartedCloud:
        """Starts the services that are not running, and waits until all of them respond.

        If the cache cannot start with its data, starts the cache without data and keeps a copy of
        the data.

        Args:
            reset: Do the same for every other service that cannot start with its data.

        Raises:
            OperatorError: A service did not start. The message contains its last log lines.
        """
        if Certificates(self._root).renew():
            self._stop_servers_of_old_certificate()
        running = self.running()
        died = [process for name, process in self._recorded().items() if name not in running]
        for process in died:
            report(f"{process.name} (process {process.pid}) ended unexpectedly: restarting it")
            self._processes.forget(process)
        if Aws.name not in running:
            self._kill_orphans()
        started = [service for service in self._services if service.name not in running]
        # All ports are chosen before the first service starts, because the embedded AWS receives
        # the port of the cache's proxy when it starts, and returns this port to its clients.
        ports = {service.name: self.reserve_port(service.name) for service in started}
        if Aws.name in ports:
            self.reserve_port(PLAIN_AWS)
        for service in started:
            running[service.name] = service.start(ports[service.name])
        for service in started:
            process = self._wait_or_replace(service, running[service.name], reset=reset)
            running[service.name] = process
            service.prepare(process.port)
        recovery = Aws(self._root, self._processes).take_recovery()
        for line in recovery.lines() if recovery else ():
            report(line)
        addresses = self.addresses()
        if addresses is None:
            raise OperatorError(
                "A service of the embedded cloud ended while the others started: run the command"
                f" again, or see {self._root.logs}"
            )
        return StartedCloud(
            addresses,
            has_started_services=bool(started),
            aws_may_lack_changes=bool(recovery and recovery.damages),
        )

    def stop(self) -> list[str]:
        """Stops all services normally, so that they save their data.

        Returns:
            The names of the services that were running.
        """
        running = self.running()
        for service in reversed(self._services):
            process = self._processes.get(service.name)
            has_stopped = process and self._processes.stop(process, service.stop_signal)
            if service.name in running and not has_stopped:
                report(f"{service.name} did not stop and was killed: its unsaved data is lost")
        self._kill_orphans()
        return [service.name for service in reversed(self._services) if service.name in running]

    def reset_aws(self) -> Path:
        """Restarts the embedded AWS without data, and thus without Terraform's state.

        The database and the cache keep their data.

        Returns:
            The directory with the previous data, which stays until the operator deletes it.
        """
        process = self._processes.get(Aws.name)
        if process:
            self._processes.stop(process)
        self._kill_orphans()
        copy = self._set_aside(Aws.name)
        self.start()
        return copy

    def _stop_servers_of_old_certificate(self) -> None:
        for service in reversed(self._services):
            process = self._processes.get(service.name)
            if service.has_tls and process and process.find():
                report(f"Restarting {service.name}, because its TLS certificate was renewed")
                self._processes.stop(process, service.stop_signal)

    def _set_aside(self, name: str) -> Path:
        """Renames the data directory of a stopped service, and returns its new path."""
        data = self._root.path / name
        copy = data.with_name(f"{name}-until-{datetime.now():%Y-%m-%dT%H-%M-%S}")
        if data.exists():
            data.rename(copy)
        return copy

    def save_aws(self) -> None:
        """Saves the state of the embedded AWS, so that the state survives a kill of the process.

        The database and the cache need no such call, because they save their data themselves.
        """
        process = self._processes.get(Aws.name)
        if process:
            Aws(self._root, self._processes).save(process.port)

    def is_aws_running(self) -> bool:
        return Aws.name in self.running()

    def reserve_port(self, name: str) -> int:
        """Returns the port stored for a service, the embedded AWS without TLS, or the web console.

        Chooses and stores a new port if none is stored, or if another program uses the stored one.
        """
        ports: dict[str, int] = read_json(self._ports_file) or {}
        port = ports.get(name)
        if port is None or not is_soon_free(port):
            chosen = choose_port(ports.values())
            if port is not None:
                report(f"Another program uses port {port} of {name}: using {chosen} instead")
            ports[name] = port = chosen
            write_json(self._ports_file, ports)
        return port

    def _wait_or_replace(self, service: Service, process: Process, *, reset: bool) -> Process:
        """Waits until a service responds, and returns its process.

        If a service ends during its start, keeps a copy of its data and starts the service without
        data. Without `reset`, only a disposable service is started without data.

        Raises:
            OperatorError: The service does not respond, or must not be started without data.
        """
        try:
            self._wait_until_ready(service, process)
        except EndedError as error:
            if not (reset or service.is_disposable):
                raise OperatorError(
                    f"{error}\nIf the data of {service.name} is damaged, run `ops up --reset`: it"
                    f" starts {service.name} without data and keeps a copy of the data"
                ) from error
            copy = self._set_aside(service.name)
            report(f"{service.name} could not start with its data: starting without data. {error}")
            report(f"Kept the data of {service.name} in {copy}")
            process = service.start(process.port)
            self._wait_until_ready(service, process)
        return process

    def _wait_until_ready(self, service: Service, process: Process) -> None:
        deadline = time.monotonic() + READY_TIMEOUT
        while not service.is_ready(process.port):
            log = self._root.logs / f"{service.name}.log"
            if not process.find():
                raise EndedError(
                    f"{service.name} ended while starting. Last lines of {log}:\n{_tail(log)}"
                )
            if time.monotonic() >= deadline:
                raise OperatorError(
                    f"{service.name} did not respond within {READY_TIMEOUT:.0f} s. Last lines of"
                    f" {log}:\n{_tail(log)}"
                )
            time.sleep(0.05)

    def _kill_orphans(self) -> None:
        """Kills unrecorded processes that were started for this local platform.

        They run Lambda functions for an embedded AWS that has ended.
        """
        recorded = {process.pid for process in self._processes.all() if process.find()}
        orphans = [process for process in find_processes(self._root) if process.pid not in recorded]
        for orphan in orphans:
            try:
                orphan.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(orphans, timeout=5)


def _tail(file: Path, lines: int = 15) -> str:
    text = file.read_text(errors="replace") if file.exists() else ""
    return "\n".join(text.splitlines()[-lines:])
