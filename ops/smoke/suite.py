"""Reads requests/<service>.yml: what is asked of a service, and what it must answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

DIRECTORY = Path(__file__).parent / "requests"
REFUSED = frozenset({400, 403, 404, 409, 412, 422})
"""What `refused` stands for: a request that must change nothing was understood and turned down."""


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Request(_Section):
    """One request. `${name}` in its path, headers and body is a variable: see `Suite`."""

    call: Annotated[str, Field(pattern=r"^(GET|POST|PUT|PATCH|DELETE) /")]
    """Method and path."""
    as_: Annotated[Literal["nobody", "anonymous", "person"], Field(alias="as")] = "person"
    """Whose token goes along."""
    body: dict[str, Any] | None = None
    headers: dict[str, str] = {}
    expect: int | list[int] | Literal["refused"]
    """The answer's status."""
    keep: dict[str, str] = {}
    """Variables made of the answer: name, and where its value is (`items.0.slug`)."""
    cleanup: bool = False
    """Made at the end, whatever happened, as soon as its variables are known."""

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
        return (
            frozenset(self.expect)
            if isinstance(self.expect, list)
            else frozenset({int(self.expect)})
        )

    @property
    def repeatable(self) -> bool:
        """It changes nothing and needs nothing that another request made: fit to be asked again and again."""
        return self.method == "GET" and "${" not in self.path


class Event(_Section):
    """One event for a function that is not called by path: only its versions are asked, never over HTTP."""

    name: str
    event: dict[str, Any]
    error: str | None = None
    """What it must raise; None: it must not."""
    answer: dict[str, Any] | None = None
    """What it must return; None: anything."""


class Frame(_Section):
    """One frame on a service's WebSocket."""

    send: dict[str, Any]
    """With an `action`; its `requestId` is made."""
    expect: str
    """`ack`, or the code of an error."""


class Socket(_Section):
    """A service's WebSocket: asked over the network alone, between the requests and their clean-up."""

    ticket: str
    """What opens it, a variable; an invented one must not."""
    frames: list[Frame]


class Suite(_Section):
    """A service's smoke requests, in order.

    Variables: `run` (differs in each run), `email`, `password`, `personId` and `personToken` of the person who asks, and what
    requests `keep`.
    """

    service: str
    path: str | None = None
    """Where its routes are; None: it has none."""
    public: bool = False
    """Its routes have no authorizer."""
    requests: list[Request] = []
    events: list[Event] = []
    socket: Socket | None = None


def load_suites(directory: Path = DIRECTORY) -> Mapping[str, Suite]:
    """All suites, by service."""
    suites = {}
    for file in sorted(directory.glob("*.yml")):
        suites[file.stem] = Suite.model_validate(
            {"service": file.stem, **yaml.safe_load(file.read_text())}
        )
    return suites
