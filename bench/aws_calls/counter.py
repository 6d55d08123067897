"""Counts AWS calls, capacity units, cache commands, SQL statements and sent WebSocket frames."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pg8000.core
from botocore.client import BaseClient
from redis.connection import Connection

from bench.aws_calls.capacity_units import UnitCounter
from lambdas.common.live.fanout import Outcome


@dataclass
class Counts:
    """The AWS calls, capacity units, cache commands and SQL statements that one request caused."""

    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """AWS calls by `service.Operation`."""
    units: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """DynamoDB capacity units, with keys such as `profile-profiles reads`."""
    cache: int = 0
    """Commands to the cache."""
    statements: int = 0
    """SQL statements, including those that begin and end transactions."""

    def keep_largest(self, other: Counts) -> None:
        """Replaces each count with that of `other` if the count of `other` is larger."""
        for name, calls in other.calls.items():
            self.calls[name] = max(self.calls[name], calls)
        for name, units in other.units.items():
            self.units[name] = max(self.units[name], units)
        self.cache = max(self.cache, other.cache)
        self.statements = max(self.statements, other.statements)

    def divide_increase(self, larger: Counts, parts: int) -> Counts:
        """Returns the increase from these counts to `larger`, divided by `parts`.

        Rounds all counts down except the capacity units.
        """
        return Counts(
            {name: (total - self.calls[name]) // parts for name, total in larger.calls.items()},
            {name: (total - self.units[name]) / parts for name, total in larger.units.items()},
            (larger.cache - self.cache) // parts,
            (larger.statements - self.statements) // parts,
        )

    def document(self) -> dict[str, Any]:
        """Returns the counts that are not 0, in a stable order."""
        values = {
            "calls": {name: count for name, count in sorted(self.calls.items()) if count},
            "units": {name: round(units, 2) for name, units in sorted(self.units.items()) if units},
            "cache": self.cache,
            "statements": self.statements,
        }
        return {name: value for name, value in values.items() if value}


ABSENT = frozenset({"ResendConfirmationCode"})
"""Operations that moto does not support. They are counted and return nothing."""


class Counter:
    """Adds each call to `current`, regardless of the thread that makes the call.

    Counts nothing if `current` is None.
    """

    def __init__(self) -> None:
        self.current: Counts | None = None
        self._lock = threading.Lock()

    def post(self, _connection_id: str, _frame: bytes) -> Outcome:
        """Counts a frame that a function sends to a WebSocket connection. Does not send it."""
        self._add("execute-api.PostToConnection")
        return "sent"

    def close(self, _connection_id: str) -> None:
        self._add("execute-api.DeleteConnection")

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Counts all calls of this process in a `with` block."""
        counter, make_call = self, vars(BaseClient)["_make_api_call"]
        core = pg8000.core.CoreConnection
        run, run_prepared, receive = (
            core.execute_simple,
            core.execute_named,
            Connection.read_response,
        )

        def counted_call(client: BaseClient, operation: str, parameters: Any) -> Any:
            service = client.meta.service_model.service_name
            counter._add(f"{service}.{operation}")
            if operation in ABSENT:
                return {}
            counts = counter.current
            if service != "dynamodb" or counts is None:
                return make_call(client, operation, parameters)
            units = UnitCounter(lambda name, arguments: make_call(client, name, arguments))
            result = units.run(
                operation, parameters, lambda: make_call(client, operation, parameters)
            )
            with counter._lock:
                for name, value in units.used.items():
                    counts.units[name] += value
            return result

        def counted(attribute: str, function: Any) -> Any:
            def count(*arguments: Any, **named: Any) -> Any:
                counts = counter.current
                if counts is not None:
                    with counter._lock:
                        setattr(counts, attribute, getattr(counts, attribute) + 1)
                return function(*arguments, **named)

            return count

        with (
            patch.object(BaseClient, "_make_api_call", counted_call),
            patch.object(core, "execute_simple", counted("statements", run)),
            patch.object(core, "execute_named", counted("statements", run_prepared)),
            patch.object(Connection, "read_response", counted("cache", receive)),
        ):
            yield

    @contextmanager
    def counting(self) -> Iterator[Counts]:
        """Yields counts that start at 0, and adds the calls in a `with` block to them."""
        self.current = counts = Counts()
        try:
            yield counts
        finally:
            self.current = None

    def _add(self, name: str) -> None:
        if self.current is not None:
            with self._lock:
                self.current.calls[name] += 1
