"""Makes a suite's requests and judges the answers."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ops.smoke.person import People
from ops.smoke.suite import Event, Frame, Request, Socket, Suite
from ops.smoke.transport import (
    UPGRADED,
    Ask,
    DirectTransport,
    Exchange,
    Reply,
    SocketTransport,
    Transport,
)

WORKERS = 4
"""Suites at once: more gain little, since each service is mostly waited for."""
CONNECT = "WebSocket connect"
OUT_OF_TIME = "out of time"
REFUSED_TICKET = 403
"""The status of a WebSocket that does not open (API contract)."""
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Check:
    """One request and what came of it."""

    service: str
    request: str
    """Method and path as declared, without values; of a frame its action."""
    ok: bool
    status: int
    """0: none came. A frame has that of its WebSocket."""
    seconds: float
    detail: str = ""
    """What is wrong. Never the content of an answer, which may hold tokens."""


class Smoke:
    """One run.

    Args:
        transport: how services are asked.
        people: who asks.
        deadline: monotonic time, in seconds, after which nothing but clean-up is asked any more.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        transport: Transport,
        people: People,
        deadline: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._people = people
        self._deadline = deadline
        self._clock = clock

    def all(self, suites: Iterable[Suite]) -> list[Check]:
        """Several suites side by side."""
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            return [check for checks in pool.map(self.suite, suites) for check in checks]

    def suite(self, suite: Suite, *, repeatable: bool = False) -> list[Check]:
        """A service's requests in order, then its clean-up, whatever came before.

        Args:
            repeatable: only those that change nothing.
        """
        variables: dict[str, Any] = dict(self._people.variables)
        requests = [request for request in suite.requests if request.repeatable or not repeatable]
        checks = [
            self._check(suite, request, variables) for request in requests if not request.cleanup
        ]
        if isinstance(self._transport, DirectTransport):
            direct = self._transport
            # What must raise counts as an error in Lambda's metrics: it is asked once and not all through a bake.
            checks += [
                self._event(direct, suite, event)
                for event in suite.events
                if not (repeatable and event.error)
            ]
        if suite.socket and isinstance(self._transport, SocketTransport) and not repeatable:
            checks += self._socket(self._transport, suite.service, suite.socket, variables)
        checks += [
            self._check(suite, request, variables, final=True)
            for request in requests
            if request.cleanup and self._missing(request, variables) is None
        ]
        return checks

    def _check(
        self, suite: Suite, request: Request, variables: dict[str, Any], *, final: bool = False
    ) -> Check:
        missing = self._missing(request, variables)
        if missing:
            return _not_asked(suite.service, request.call, f"no earlier answer gave {missing}")
        if not final and self._clock() > self._deadline:
            return _not_asked(suite.service, request.call, OUT_OF_TIME)
        ask = Ask(
            request.method,
            _filled(request.path, variables),
            _filled(request.headers, variables),
            _filled(request.body, variables),
            self._people.token(request.as_),
        )
        begun = self._clock()
        reply = self._transport.send(suite, ask)
        seconds = round(self._clock() - begun, 3)
        if reply.status not in request.expected:
            return Check(
                suite.service,
                request.call,
                False,
                reply.status,
                seconds,
                _wrong(request.expected, reply),
            )
        for name, place in request.keep.items():
            value = _at(reply.body, place)
            if value is None:
                return Check(
                    suite.service,
                    request.call,
                    False,
                    reply.status,
                    seconds,
                    f"the answer has no {place}",
                )
            variables[name] = value
        return Check(suite.service, request.call, ok=True, status=reply.status, seconds=seconds)

    def _event(self, direct: DirectTransport, suite: Suite, event: Event) -> Check:
        begun = self._clock()
        filled = event.model_copy(update={"event": _filled(event.event, self._people.variables)})
        reply = direct.invoke(suite, filled)
        seconds = round(self._clock() - begun, 3)
        raised = reply.error or None
        if raised != event.error:
            detail = (
                f"raised {raised!r}, expected {event.error!r}" if event.error else "raised an error"
            )
            return Check(suite.service, event.name, False, reply.status, seconds, detail)
        ok = event.answer is None or reply.body == event.answer
        return Check(
            suite.service,
            event.name,
            ok,
            reply.status,
            seconds,
            "" if ok else "answered something else",
        )

    def _socket(
        self, transport: SocketTransport, service: str, socket: Socket, variables: Mapping[str, Any]
    ) -> list[Check]:
        """A stranger's ticket, then the person's, and each frame on that one WebSocket."""
        missing = _missing(socket.ticket, variables)
        if missing or self._clock() > self._deadline:
            reason = f"no earlier answer gave {missing}" if missing else OUT_OF_TIME
            return [_not_asked(service, CONNECT, reason)]
        begun = self._clock()
        with transport.open("invented") as (reply, _):
            checks = [
                self._opened(service, f"{CONNECT}, invented ticket", begun, reply, REFUSED_TICKET)
            ]
        begun = self._clock()
        with transport.open(str(_filled(socket.ticket, variables))) as (reply, exchange):
            checks.append(self._opened(service, CONNECT, begun, reply, UPGRADED))
            if reply.status == UPGRADED:
                checks += [
                    self._frame(exchange, service, frame, variables) for frame in socket.frames
                ]
        return checks

    def _opened(self, service: str, name: str, begun: float, reply: Reply, expected: int) -> Check:
        seconds = round(self._clock() - begun, 3)
        ok = reply.status == expected
        return Check(
            service, name, ok, reply.status, seconds, "" if ok else _wrong({expected}, reply)
        )

    def _frame(
        self, exchange: Exchange, service: str, frame: Frame, variables: Mapping[str, Any]
    ) -> Check:
        name = f"WebSocket {frame.send['action']}"
        missing = _missing(str(frame.send), variables)
        if missing or self._clock() > self._deadline:
            return _not_asked(
                service, name, f"no earlier answer gave {missing}" if missing else OUT_OF_TIME
            )
        begun = self._clock()
        reply = exchange({**_filled(frame.send, variables), "requestId": uuid.uuid4().hex})
        seconds = round(self._clock() - begun, 3)
        if reply.status == 0:
            return Check(
                service,
                name,
                False,
                0,
                seconds,
                f"no answer ({reply.error}), expected {frame.expect}",
            )
        answered = (
            reply.body.get("code") if reply.body.get("type") == "error" else reply.body.get("type")
        )
        ok = answered == frame.expect
        detail = "" if ok else f"answered {answered}, expected {frame.expect}"
        return Check(service, name, ok, reply.status, seconds, detail)

    @staticmethod
    def _missing(request: Request, variables: Mapping[str, Any]) -> str | None:
        return _missing(f"{request.path} {request.headers} {request.body}", variables)


def _missing(text: str, variables: Mapping[str, Any]) -> str | None:
    return next((name for name in _VARIABLE.findall(text) if name not in variables), None)


def _not_asked(service: str, name: str, reason: str) -> Check:
    return Check(service, name, ok=False, status=0, seconds=0.0, detail=f"not asked: {reason}")


def _wrong(statuses: Collection[int], reply: Reply) -> str:
    expected = " or ".join(map(str, sorted(statuses)))
    if reply.status == 0:
        return f"no answer ({reply.error.splitlines()[0][:200] if reply.error else 'none'}), expected {expected}"
    code = reply.body.get("code", "") if isinstance(reply.body, dict) else ""
    return f"answered {reply.status}{f' {code}' if code else ''}, expected {expected}"


def _filled(value: Any, variables: Mapping[str, Any]) -> Any:
    """The value with its variables put in; one that is a variable and nothing else keeps its type."""
    if isinstance(value, dict):
        return {key: _filled(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if not isinstance(value, str):
        return value
    whole = _VARIABLE.fullmatch(value)
    if whole:
        return variables[whole[1]]
    return _VARIABLE.sub(lambda match: str(variables[match[1]]), value)


def _at(value: Any, place: str) -> Any:
    for part in place.split("."):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return value
