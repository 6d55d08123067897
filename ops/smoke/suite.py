"""Loads requests/<service>.yml: the requests to a service and the expected responses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

DIRECTORY = Path(__file__).parent / "requests"
REFUSED = frozenset({400, 403, 404, 409, 412, 422})
"""The HTTP statuses that match the expectation `refused`."""


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Request(_Section):
    """One request. Path, headers and body may contain variables (`${name}`, see `Suite`)."""

    call: Annotated[str, Field(pattern=r"^(GET|POST|PUT|PATCH|DELETE) /")]
    """The method and the path."""
    as_: Annotated[Literal["nobody", "anonymous", "person"], Field(alias="as")] = "person"
    """The user with whose token the request is sent."""
    body: dict[str, Any] | None = None
    headers: dict[str, str] = {}
    expect: int | list[int] | Literal["refused"]
    """The expected HTTP status, a list of accepted statuses, or `refused` for any in REFUSED."""
    keep: dict[str, str] = {}
    """Variables to set from the response body. A name maps to the path of its value, such as
    `items.0.slug`.
    """
    cleanup: bool = False
    """True to send the request at the end, even after failures, if its variables have values."""

    @property
    def method(self) -> str:
        return self.call.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.call.partition(" ")[2]

    @property
    def expected(self) -> frozenset[int]:
        if self.expect == "refused":
            return REFUSED
        return frozenset(self.expect if isinstance(self.expect, list) else {int(self.expect)})

    def text(self) -> str:
        """Returns the parts of the request that may contain variables, as one text."""
        return f"{self.path} {self.headers} {self.body}"

    @property
    def repeatable(self) -> bool:
        """True if the request changes nothing and does not depend on another request."""
        return self.method == "GET" and "${" not in self.path


class Event(_Section):
    """An event with which the tests invoke a Lambda function, such as a batch of queue messages.

    Skipped if the tests send requests over HTTP.
    """

    name: str
    event: dict[str, Any]
    error: str | None = None
    """The expected error message. None means that the Lambda function must not fail."""
    result: dict[str, Any] | None = None
    """The expected result of the Lambda function. None accepts any result."""


class Frame(_Section):
    """One WebSocket message (frame) that the smoke tests send to a service."""

    send: dict[str, Any]
    """The frame, which must have an `action`. The tests add a `requestId`."""
    expect: str
    """The expected response: `ack` or an error code."""


class Socket(_Section):
    """The WebSocket test of a service.

    It runs only over the network, after the requests and before the clean-up requests.
    """

    ticket: str
    """The variable that contains the ticket for the connection."""
    frames: list[Frame]


class Suite(_Section):
    """The smoke tests of one service, in the order in which they run.

    Requests can use these variables: `run`, which is unique to each run; `email`, `password`,
    `personId` and `personToken` of the registered user; and the variables that earlier requests
    set with `keep`.
    """

    service: str
    path: str | None = None
    """The base path of the service's routes. None if the service has no routes."""
    public: bool = False
    """True if the service's routes have no authorizer."""
    requests: list[Request] = []
    events: list[Event] = []
    socket: Socket | None = None


def load_suites(directory: Path = DIRECTORY) -> Mapping[str, Suite]:
    """Returns all suites, by service."""
    suites = {}
    for file in sorted(directory.glob("*.yml")):
        suites[file.stem] = Suite.model_validate(
            {"service": file.stem, **yaml.safe_load(file.read_text())}
        )
    return suites
