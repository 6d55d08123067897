"""The console's connection to its environment, which survives restarts of the platform."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botocore.config import Config
from botocore.session import Session

from ops.cloud import EMBEDDED, Cloud, connect
from ops.embedded import Addresses, EmbeddedCloud
from ops.embedded.services import Aws
from ops.errors import OperatorError
from ops.root import Root
from ops.terraform.state import attributes, outputs, state_digest
from ops.web_console.descriptions import short_loader

TIMEOUTS = Config(
    connect_timeout=2, read_timeout=20, retries={"mode": "standard", "max_attempts": 2}
)
"""Short timeouts in seconds, so that the console soon reports an unreachable service."""
STATE_CHECK_INTERVAL = 15.0
"""Minimum seconds between two checks whether an apply has changed Terraform's state."""


@dataclass(frozen=True)
class ConsoleCloud(Cloud):
    """A connection to an environment that creates each AWS client once, because that takes time and
    memory.
    """

    def _botocore_session(self) -> Session:
        session = super()._botocore_session()
        session.register_component("data_loader", short_loader())
        return session

    @cached_property
    def _clients(self) -> dict[tuple[Any, ...], Any]:
        return {}

    @cached_property
    def _creation(self) -> threading.Lock:
        return threading.Lock()

    def client(
        self, service: Any, region: str | None = None, settings: Config | None = None
    ) -> Any:
        """Returns the client of a service. It has short timeouts unless `settings` is passed."""
        if settings:
            return super().client(service, region, settings)
        with self._creation:
            key = (service, region)
            if key not in self._clients:
                self._clients[key] = super().client(service, region, TIMEOUTS)
            return self._clients[key]


class Source:
    """The environment that the console shows.

    Args:
        environment: The name of the environment.
        root: The directory of the platform on this machine.
        write: Whether the operator allowed changes with `--write`.
        connect: Connects to the environment.
    """

    def __init__(
        self,
        environment: str,
        root: Root,
        *,
        write: bool = False,
        connect: Callable[[str, Root, type[Cloud]], Cloud] = connect,
    ) -> None:
        self.environment, self.root, self._write = environment, root, write
        self._connect = connect
        self._lock = threading.RLock()
        self._cloud: Cloud | None = None
        self._server: object = None
        self._outputs: dict[str, Any] = {}
        self._policies: list[dict[str, Any]] = []
        self._digest: str | None = None
        self._checked = -STATE_CHECK_INTERVAL

    @property
    def is_local(self) -> bool:
        """True for the platform on this machine."""
        return self.environment == EMBEDDED

    @cached_property
    def embedded(self) -> EmbeddedCloud | None:
        """The embedded cloud, or None for an environment on AWS."""
        return EmbeddedCloud(self.root) if self.is_local else None

    @property
    def addresses(self) -> Addresses | None:
        """The addresses of the embedded cloud. None on AWS, or if an embedded service is not
        running.
        """
        return self.embedded.addresses() if self.embedded else None

    def parts(self) -> list[dict[str, Any]]:
        """Returns the services of the embedded cloud, and whether each is running."""
        return self.embedded.processes() if self.embedded else []

    def cloud(self) -> Cloud:
        """Returns the connection to the environment. Connects again after a restart of the embedded
        AWS.

        Raises:
            OperatorError: The platform is not running, or the credentials are not valid.
        """
        with self._lock:
            server = None
            if self.embedded:
                server = self.embedded.running().get(Aws.name)
                if server is None:
                    raise OperatorError("The embedded AWS is not running: start it with `make up`")
            if self._cloud is None or server != self._server:
                self._cloud = self._connect(self.environment, self.root, ConsoleCloud)
                self._server, self._digest, self._checked = server, None, -STATE_CHECK_INTERVAL
            return self._cloud

    def client(self, service: str) -> Any:
        """Returns an AWS client."""
        return self.cloud().client(service)

    def outputs(self) -> Mapping[str, Any]:
        """Returns the stack's outputs. Reads the state again only if it has changed."""
        self._refresh()
        return self._outputs

    def policies(self) -> list[dict[str, Any]]:
        """Returns the role and the document of each inline role policy in Terraform's state."""
        self._refresh()
        return self._policies

    def _refresh(self) -> None:
        with self._lock:
            cloud = self.cloud()
            if time.monotonic() - self._checked < STATE_CHECK_INTERVAL:
                return
            digest = state_digest(cloud)
            if digest is None or digest != self._digest:
                self._outputs = outputs(cloud)
                self._policies = [
                    {name: item.get(name) for name in ("role", "policy")}
                    for item in attributes(cloud, "aws_iam_role_policy")
                ]
                self._digest = digest
            self._checked = time.monotonic()

    @property
    def may_write(self) -> bool:
        """True if the console may change the environment.

        With `--write`, this is always True. Without `--write`, it is True only for an environment
        on this machine whose `retains_data` is False.
        """
        if self._write:
            return True
        return self.is_local and not self.cloud().environment.retains_data

    def name(self, kind: str, key: str) -> str:
        """Returns the name of a table, queue or function from the outputs.

        Raises:
            OperatorError: The resource does not exist in the environment.
        """
        names: Mapping[str, str] = self.outputs()[kind]
        if key not in names:
            raise OperatorError(f"{self.environment} has no {key}: use one of {', '.join(names)}")
        return names[key]

    def port(self, service: str, product: str) -> int:
        """Returns the port of a service of the embedded cloud.

        Raises:
            OperatorError: The service is not running, or the environment is on AWS.
        """
        if self.embedded is None:
            raise OperatorError(
                f"{product} of {self.environment} is in private subnets, which this machine cannot"
                " reach"
            )
        process = self.embedded.running().get(service)
        if process is None:
            raise OperatorError(f"The {service} is not running: start it with `make up`")
        return process.port
