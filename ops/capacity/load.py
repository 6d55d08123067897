"""Computes the load that traffic causes: AWS calls, capacity units, executions and sent frames."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from ops.capacity.calls import PER_LISTENER, Row
from ops.capacity.model import Model, Times
from ops.capacity.processor import Processor, load_processor
from ops.capacity.quotas import Quotas
from ops.capacity.stack import Stack
from ops.capacity.traffic import (
    AUTHORIZE_TICKET,
    AUTHORIZE_TOKEN,
    CHECK,
    COUNT,
    DELIVER,
    MESSAGES,
    PUBLISH,
    SIGNALS,
    Audience,
    Traffic,
)

POST = "execute-api.PostToConnection"
POSTS = 32
"""Maximum frames that a function sends at the same time (lambdas/common/live/fanout.py)."""
PARTS_PER_REQUEST = 5
"""Number of messages in one request to SQS (BATCH_SIZE in lambdas/chat/broadcast.py).

Each message contains the frame for one part of a room.
"""
_EVENTS = {
    PUBLISH: "relay",
    COUNT: "statistics",
    DELIVER: "delivery",
    CHECK: "delivery",
    AUTHORIZE_TOKEN: "authorizer",
    AUTHORIZE_TICKET: "authorizer",
}
_MODEL_CALLS = ("ask", "summarize", "translate", "moderate")


@dataclass(frozen=True)
class Load:
    """The AWS calls, capacity units, executions and sent frames that traffic causes per second."""

    traffic: Traffic
    calls: Mapping[str, float]
    """AWS calls by `service.Operation`."""
    units: Mapping[str, float]
    """DynamoDB capacity units by table or index and by kind, for example `chat-rooms writes`."""
    cache: float
    """Commands to the cache."""
    statements: float
    invocations: Mapping[str, float]
    """Invocations by function."""
    concurrency: Mapping[str, float]
    """Concurrent executions by function."""

    @property
    def posts(self) -> float:
        """Calls of PostToConnection per second. Each sends a frame to one WebSocket connection."""
        return self.calls.get(POST, 0.0)


def function_of(name: str) -> str:
    """Returns the function that handles a request, frame or event.

    Args:
        name: The name of the request, frame or event in calls.yml, for example `frame ping`.
    """
    if name.startswith("event "):
        return _EVENTS[name]
    if name.startswith("frame "):
        return "chat"
    part = name.split("/")[2] if "/v1/" in name else "health"
    return "post" if part == "posts" else part


class Loads:
    """Computes the load that traffic causes in one environment.

    Args:
        processor: The measured CPU times. Default: those in processor.yml.
    """

    def __init__(
        self,
        model: Model,
        rows: Mapping[str, Row],
        stack: Stack,
        quotas: Quotas,
        processor: Processor | None = None,
    ) -> None:
        self._model, self._rows, self._stack = model, rows, stack
        self._measured_ms = (processor or load_processor()).requests
        self._mb_per_core = quotas.value("lambda.mb_per_core")

    def cores(self, function: str) -> float:
        """Returns a function's share of a CPU core. At most 1, because Python uses one core."""
        return min(1.0, self._stack.functions[function].memory_mb / self._mb_per_core)

    def duration(self, name: str, row: Row | None = None) -> float:
        """Returns the seconds that a request takes.

        Excludes the time to send frames to additional listeners of a room.
        """
        row = row or self._rows[name]
        times = self._model.times
        calls = {call: count for call, count in row.calls.items() if call != POST}
        cpu = self._cpu_ms(name, row) * times.cpu_factor.value
        waiting = sum(count * _latency(call, times) for call, count in calls.items())
        waiting += row.cache * times.cache_ms.value + row.statements * times.statement_ms.value
        if name.startswith("POST /v1/ai/") and name.endswith(_MODEL_CALLS):
            waiting += times.language_model_ms.value
        seconds = (cpu / self.cores(function_of(name)) + waiting) / 1000
        return seconds + self.posting(function_of(name), row.calls.get(POST, 0))

    def _cpu_ms(self, name: str, row: Row) -> float:
        """Returns the milliseconds of CPU time of a request without its PostToConnection calls."""
        times, posts = self._model.times, row.calls.get(POST, 0)
        measured = self._measured_ms.get(name)
        if measured is not None:
            return max(0.0, measured - posts * times.post_ms.value)
        calls = sum(row.calls.values()) - posts
        return times.handler_ms.value + calls * times.call_cpu_ms.value

    def posting(self, function: str, posts: float) -> float:
        """Returns the seconds that a function takes to send a frame to this number of
        connections.
        """
        if posts <= 0:
            return 0.0
        times = self._model.times
        cpu = posts * times.post_ms.value * times.cpu_factor.value / self.cores(function)
        round_trips = math.ceil(posts / POSTS) * times.post_round_trip_ms.value
        return max(cpu, round_trips) / 1000

    def compute(self, traffic: Traffic) -> Load:
        """Returns the load that traffic causes."""
        calls: dict[str, float] = defaultdict(float)
        units: dict[str, float] = defaultdict(float)
        invocations: dict[str, float] = defaultdict(float)
        concurrency: dict[str, float] = defaultdict(float)
        cache = statements = 0.0

        def add(row: Row, rate: float) -> None:
            nonlocal cache, statements
            for call, count in row.calls.items():
                calls[call] += rate * count
            for key, value in row.units.items():
                units[key] += rate * value
            cache += rate * row.cache
            statements += rate * row.statements

        for name, rate in traffic.rates.items():
            function = function_of(name)
            # Consumers handle batches, so an invocation handles several events.
            batch = self._batch(name)
            add(self._rows[name], rate)
            invocations[function] += rate / batch
            concurrency[function] += rate * self.duration(name) / batch
        listener = self._rows[PER_LISTENER]
        for audience in traffic.audiences:
            for function, messages in self._announcements(traffic, audience):
                extra = max(0.0, audience.listeners - 1)
                add(listener, messages * extra)
                parts = audience.parts
                concurrency[function] += messages * parts * self.posting(function, extra / parts)
            if audience.is_queued:
                requests = math.ceil(audience.parts / PARTS_PER_REQUEST)
                calls["sqs.SendMessage"] += traffic.messages * audience.share * requests
        return Load(traffic, calls, units, cache, statements, invocations, concurrency)

    def _announcements(self, traffic: Traffic, audience: Audience) -> list[tuple[str, float]]:
        """Returns a list with one pair: the Lambda function (`chat` or `delivery`) that sends
        frames to all listeners of the audience's rooms, and the number of these frames per second.
        """
        messages = sum(traffic.rates.get(name, 0.0) for name in MESSAGES) * audience.share
        if audience.is_queued:
            return [("delivery", messages)]
        signals = sum(traffic.rates.get(name, 0.0) for name in SIGNALS) * audience.share
        return [("chat", messages + (signals if audience.has_signals else 0.0))]

    def _batch(self, name: str) -> int:
        """Returns the maximum number of records in a batch of this event."""
        source = {PUBLISH: "relay/stream", CHECK: "delivery/stream"}.get(name)
        return self._stack.event_sources[source].batch_size if source else 1


def _latency(call: str, times: Times) -> float:
    service = call.partition(".")[0]
    if service == "dynamodb":
        return times.dynamodb_ms.value
    return times.cognito_ms.value if service == "cognito-idp" else times.other_call_ms.value
