"""Makes a suite's requests and judges the answers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ops.smoke.person import People
from ops.smoke.suite import Event, Request, Suite
from ops.smoke.transport import Ask, DirectTransport, Reply, Transport

WORKERS = 4
"""Suites at once: more gain little, since each service is mostly waited for."""
NOT_BUILT = 501
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Check:
    """One request and what came of it."""

    service: str
    request: str
    """Method and path as declared, without values."""
    ok: bool
    status: int
    """0: none came."""
    seconds: float
    detail: str = ""
    """What is wrong, or that the service is not built yet. Never the content of an answer, which may hold tokens."""


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
        checks = [self._check(suite, request, variables) for request in requests if not request.cleanup]
        if isinstance(self._transport, DirectTransport):
            direct = self._transport
            # What must raise counts as an error in Lambda's metrics: it is asked once and not all through a bake.
            checks += [self._event(direct, suite, event) for event in suite.events if not (repeatable and event.error)]
        checks += [
            self._check(suite, request, variables, final=True)
            for request in requests
            if request.cleanup and self._missing(request, variables) is None
        ]
        return checks

    def _check(self, suite: Suite, request: Request, variables: dict[str, Any], *, final: bool = False) -> Check:
        missing = self._missing(request, variables)
        if missing:
            detail = "not built yet" if suite.unfinished else f"not asked: no earlier answer gave {missing}"
            return Check(suite.service, request.call, suite.unfinished, 0, 0.0, detail)
        if not final and self._clock() > self._deadline:
            return Check(suite.service, request.call, ok=False, status=0, seconds=0.0, detail="not asked: out of time")
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
        if reply.status == NOT_BUILT and suite.unfinished:
            return Check(
                suite.service, request.call, ok=True, status=reply.status, seconds=seconds, detail="not built yet"
            )
        if reply.status not in request.expected:
            return Check(suite.service, request.call, False, reply.status, seconds, _wrong(request, reply))
        for name, place in request.keep.items():
            value = _at(reply.body, place)
            if value is None:
                return Check(suite.service, request.call, False, reply.status, seconds, f"the answer has no {place}")
            variables[name] = value
        return Check(suite.service, request.call, ok=True, status=reply.status, seconds=seconds)

    def _event(self, direct: DirectTransport, suite: Suite, event: Event) -> Check:
        begun = self._clock()
        filled = event.model_copy(update={"event": _filled(event.event, self._people.variables)})
        reply = direct.invoke(suite, filled)
        seconds = round(self._clock() - begun, 3)
        raised = reply.error or None
        ok = raised == event.error
        detail = "" if ok else f"raised {raised!r}, expected {event.error!r}" if event.error else "raised an error"
        return Check(suite.service, event.name, ok, reply.status, seconds, detail)

    @staticmethod
    def _missing(request: Request, variables: Mapping[str, Any]) -> str | None:
        text = f"{request.path} {request.headers} {request.body}"
        return next((name for name in _VARIABLE.findall(text) if name not in variables), None)


def _wrong(request: Request, reply: Reply) -> str:
    expected = " or ".join(map(str, sorted(request.expected)))
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
