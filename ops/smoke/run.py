"""Sends the requests of a suite and checks the responses."""

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
    DirectTransport,
    Exchange,
    HttpRequest,
    Response,
    SocketTransport,
    Transport,
)

WORKERS = 4
"""Number of suites that run in parallel. A larger number would hardly make runs faster."""
CONNECT = "WebSocket connect"
OUT_OF_TIME = "out of time"
INVALID_TICKET_STATUS = 403
"""The HTTP status with which API Gateway rejects a WebSocket with an invalid ticket."""
VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Check:
    """The result of checking one response."""

    service: str
    request: str
    """The method and path with unresolved variables, the name of an event, or the action of a
    WebSocket frame.
    """
    ok: bool
    status: int
    """The HTTP status: 101 for a response on a WebSocket, 0 if there was no response."""
    seconds: float
    detail: str = ""
    """The error, if any. Never includes a response body, which may contain tokens."""


class Smoke:
    """Runs suites of smoke tests.

    Args:
        transport: sends the requests.
        people: the users who send them.
        deadline: monotonic time in seconds, after which only clean-up requests are sent.
        clock: returns the monotonic time in seconds.
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

    def run_suites(self, suites: Iterable[Suite]) -> list[Check]:
        """Runs suites in parallel and returns all results."""
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            return [check for checks in pool.map(self.run_suite, suites) for check in checks]

    def run_suite(self, suite: Suite, *, repeatable: bool = False) -> list[Check]:
        """Sends the requests of a suite in order, then its clean-up requests even after failures.

        Args:
            repeatable: True to send only requests that change nothing.
        """
        variables: dict[str, Any] = dict(self._people.variables)
        requests = [request for request in suite.requests if request.repeatable or not repeatable]
        checks = [
            self._check(suite, request, variables) for request in requests if not request.cleanup
        ]
        if isinstance(self._transport, DirectTransport):
            direct = self._transport
            # During a bake period (`repeatable`), the tests skip events for which they expect an
            # error. Lambda's metrics would count the error, and the release would be rolled back.
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
            if request.cleanup
            and not self._reason_not_to_send(request.text(), variables, final=True)
        ]
        return checks

    def _check(
        self, suite: Suite, request: Request, variables: dict[str, Any], *, final: bool = False
    ) -> Check:
        reason = self._reason_not_to_send(request.text(), variables, final=final)
        if reason:
            return _not_sent(suite.service, request.call, reason)
        http_request = HttpRequest(
            request.method,
            resolve(request.path, variables),
            resolve(request.headers, variables),
            resolve(request.body, variables),
            self._people.token(request.as_),
        )
        begun = self._clock()
        response = self._transport.send(suite, http_request)
        error = _status_error(request.expected, response)
        for name, path in () if error else request.keep.items():
            value = _value_at(response.body, path)
            if value is None:
                error = f"the response has no {path}"
                break
            variables[name] = value
        return self._result(suite.service, request.call, begun, response, error)

    def _event(self, direct: DirectTransport, suite: Suite, event: Event) -> Check:
        begun = self._clock()
        filled = event.model_copy(update={"event": resolve(event.event, self._people.variables)})
        response = direct.invoke(suite, filled)
        raised, error = response.error or None, ""
        if raised != event.error:
            expected = f"raised {raised!r}, expected {event.error!r}"
            error = expected if event.error else "raised an error"
        elif event.result is not None and response.body != event.result:
            error = "returned an unexpected result"
        return self._result(suite.service, event.name, begun, response, error)

    def _socket(
        self, transport: SocketTransport, service: str, socket: Socket, variables: Mapping[str, Any]
    ) -> list[Check]:
        """Opens a WebSocket with an invalid ticket, and checks that API Gateway rejects it.

        Then opens one with a valid ticket, sends the suite's frames and checks the responses.
        """
        reason = self._reason_not_to_send(socket.ticket, variables)
        if reason:
            return [_not_sent(service, CONNECT, reason)]
        begun = self._clock()
        with transport.open("invented") as (response, _):
            error = _status_error({INVALID_TICKET_STATUS}, response)
            name = f"{CONNECT}, invalid ticket"
            checks = [self._result(service, name, begun, response, error)]
        begun = self._clock()
        with transport.open(str(resolve(socket.ticket, variables))) as (response, exchange):
            error = _status_error({UPGRADED}, response)
            checks.append(self._result(service, CONNECT, begun, response, error))
            if not error:
                checks += [
                    self._frame(exchange, service, frame, variables) for frame in socket.frames
                ]
        return checks

    def _frame(
        self, exchange: Exchange, service: str, frame: Frame, variables: Mapping[str, Any]
    ) -> Check:
        name = f"WebSocket {frame.send['action']}"
        reason = self._reason_not_to_send(str(frame.send), variables)
        if reason:
            return _not_sent(service, name, reason)
        begun = self._clock()
        response = exchange({**resolve(frame.send, variables), "requestId": uuid.uuid4().hex})
        if response.status == 0:
            error = f"no response ({response.error}), expected {frame.expect}"
        else:
            received = response.body.get("code" if response.body.get("type") == "error" else "type")
            is_expected = received == frame.expect
            error = "" if is_expected else f"received {received}, expected {frame.expect}"
        return self._result(service, name, begun, response, error)

    def _result(
        self, service: str, name: str, begun: float, response: Response, error: str
    ) -> Check:
        seconds = round(self._clock() - begun, 3)
        return Check(service, name, not error, response.status, seconds, error)

    def _reason_not_to_send(
        self, text: str, variables: Mapping[str, Any], *, final: bool = False
    ) -> str | None:
        missing = next((name for name in VARIABLE.findall(text) if name not in variables), None)
        if missing:
            return f"no earlier response contained the variable {missing}"
        return OUT_OF_TIME if not final and self._clock() > self._deadline else None


def _not_sent(service: str, name: str, reason: str) -> Check:
    return Check(service, name, ok=False, status=0, seconds=0.0, detail=f"not sent: {reason}")


def _status_error(statuses: Collection[int], response: Response) -> str:
    if response.status in statuses:
        return ""
    expected = " or ".join(map(str, sorted(statuses)))
    if response.status == 0:
        error = response.error.splitlines()[0][:200] if response.error else "none"
        return f"no response ({error}), expected {expected}"
    code = response.body.get("code", "") if isinstance(response.body, dict) else ""
    return f"returned {response.status}{f' {code}' if code else ''}, expected {expected}"


def resolve(value: Any, variables: Mapping[str, Any]) -> Any:
    """Replaces the variables in a value, such as `${postId}`.

    A string that contains only a variable becomes its value, which may be a number or an object.
    """
    if isinstance(value, dict):
        return {key: resolve(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, variables) for item in value]
    if not isinstance(value, str):
        return value
    whole = VARIABLE.fullmatch(value)
    if whole:
        return variables[whole[1]]
    return VARIABLE.sub(lambda match: str(variables[match[1]]), value)


def _value_at(value: Any, path: str) -> Any:
    for part in path.split("."):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return value
