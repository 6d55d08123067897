"""Compares the figures of the capacity model with those of the simulation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bench.simulation.paths import (
    Room,
    Steps,
    Storm,
    Timeline,
    simulate_room,
    simulate_storm,
    simulate_timeline,
)
from ops.capacity.forecast import Forecast
from ops.capacity.load import POSTS
from ops.capacity.quotas import Quotas
from ops.capacity.traffic import REFRESH, REMEMBERED, TICKET, reconnection_seconds

SEED = 1
STEPS = (
    "POST /v1/auth/refresh",
    TICKET,
    "frame connect",
    "GET /v1/chat/rooms",
    "frame join_room",
    "GET /v1/chat/rooms/{roomId}/messages",
)
"""The requests and frames of each user after an outage, in the order of `Steps`."""
TIMELINE_UNITS = 1.0
"""Write units that a post consumes in the timeline's index."""


@dataclass(frozen=True)
class Comparison:
    """One figure, such as a duration, computed by the capacity model and by the simulation."""

    what: str
    model: float
    simulation: float

    @property
    def difference(self) -> float:
        """The difference between the figures of the simulation and of the model, divided by the
        model's figure.
        """
        return self.simulation / self.model - 1


def compare(forecast: Forecast, quotas: Quotas) -> Iterator[Comparison]:
    """Yields delivery times, stored posts and recovery times, below and above each limit."""
    yield from _room(forecast, quotas)
    yield from _room_in_parts(forecast, quotas)
    yield from _timeline(forecast, quotas)
    yield from _storm(forecast, quotas)


def _room(forecast: Forecast, quotas: Quotas) -> Iterator[Comparison]:
    times, cores = forecast.model.times, forecast.loads.cores("delivery")
    listeners, duration = 150, 150
    seconds = forecast.loads.posting("delivery", listeners)
    for share in (0.5, 0.8):
        room = Room(
            share / seconds,
            listeners,
            times.post_ms.value / cores / 1000,
            times.post_round_trip_ms.value / 1000,
            POSTS,
            quotas.value("apigateway.requests"),
        )
        result = simulate_room(room, duration, SEED)
        yield Comparison(
            f"large room at {share:.0%} of its maximum rate: seconds of delivery for each message",
            seconds,
            result.busy_seconds,
        )
    overloaded = Room(
        2 / seconds, listeners, room.post_cpu, room.round_trip, POSTS, room.posts_per_second
    )
    result = simulate_room(overloaded, duration, SEED)
    yield Comparison(
        "large room, overloaded: messages per second", 1 / seconds, result.delivered_per_second
    )


def _room_in_parts(forecast: Forecast, quotas: Quotas) -> Iterator[Comparison]:
    """Yields comparisons for a room whose listeners are divided into parts.

    The parts receive frames in parallel, and each part receives one frame after the other.
    """
    times, cores = forecast.model.times, forecast.loads.cores("delivery")
    parts, listeners = 4, 600
    seconds = forecast.loads.posting("delivery", listeners / parts)
    room = Room(
        0.5 / seconds,
        listeners,
        times.post_ms.value / cores / 1000,
        times.post_round_trip_ms.value / 1000,
        POSTS,
        # This quota is larger than what all parts can use together, so it does not limit them.
        quotas.value("apigateway.requests"),
        parts,
        batch=1,
    )
    result = simulate_room(room, 150, SEED)
    yield Comparison(
        f"large room in {parts} parts: seconds of delivery for each message and part",
        seconds,
        result.busy_seconds,
    )
    result = simulate_room(replace(room, messages_per_second=2 / seconds), 150, SEED)
    yield Comparison(
        f"large room in {parts} parts, overloaded: messages per second",
        1 / seconds,
        result.delivered_per_second,
    )


def _timeline(forecast: Forecast, quotas: Quotas) -> Iterator[Comparison]:
    shards = forecast.stack.shards
    partition = quotas.value("dynamodb.partition_writes")
    allowed = shards * partition / TIMELINE_UNITS
    for share in (0.8, 1.5):
        result = simulate_timeline(
            Timeline(share * allowed, shards, TIMELINE_UNITS, partition), 5, SEED
        )
        yield Comparison(
            f"timeline at {share:.0%} of its maximum rate: posts stored per second",
            min(share, 1.0) * allowed,
            result.stored_per_second,
        )


def _storm(forecast: Forecast, quotas: Quotas) -> Iterator[Comparison]:
    for users in (30_000, 100_000, 200_000):
        yield compare_outage(forecast, quotas, users)
    # No client refreshes its token in this comparison, so only the throttles of the chat routes
    # delay clients.
    users = 200_000
    storm = replace(_storm_of(forecast, quotas, users), refreshing_share=0.0)
    yield Comparison(
        f"outage with {users:,} daily users whose tokens are valid:"
        " seconds until all are connected",
        forecast.recovery_seconds(users, without=("Cognito", "concurrent executions of auth")),
        simulate_storm(storm, SEED),
    )


def compare_outage(forecast: Forecast, quotas: Quotas, users: int) -> Comparison:
    """Compares the seconds from an outage until all users are connected again."""
    return Comparison(
        f"outage with {users:,} daily users: seconds until all are connected",
        forecast.recovery_seconds(users),
        simulate_storm(_storm_of(forecast, quotas, users), SEED),
    )


def _storm_of(forecast: Forecast, quotas: Quotas, users: int) -> Storm:
    """Returns the simulation's parameters for the outage that the capacity model describes."""
    model, stack = forecast.model, forecast.stack
    seconds = forecast.loads.duration
    rooms = int(model.population.rooms_joined_per_session.value)
    online = users * model.online_share
    spread = reconnection_seconds(model, stack.design)
    steps = Steps(*(seconds(name) for name in STEPS))
    # If the session's item contains a copy of the account, most refreshes do not read the user's
    # groups from Cognito. These refreshes take less time.
    rates = forecast.point(users).storm.traffic.rates
    remembering = rates.get(REFRESH + REMEMBERED, 0.0)
    reading_share = rates[REFRESH] / (rates[REFRESH] + remembering)
    if remembering:
        without = seconds(REFRESH + REMEMBERED)
        steps = replace(steps, refresh=without + reading_share * (steps.refresh - without))
    # The model also counts the executions that send presence frames to the rooms. The simulation
    # adds their time to that of joining a room.
    whole = forecast.point(users).storm.concurrency["chat"] * spread / online
    known = steps.ticket + steps.connect + steps.rooms + rooms * (steps.join + steps.messages)
    steps = replace(steps, join=steps.join + (whole - known) / rooms)
    return Storm(
        int(online),
        spread,
        model.outage.share_that_refreshes.value,
        rooms,
        stack.rest.rate,
        stack.websocket.rate,
        quotas.value("apigateway.connections"),
        quotas.value("cognito.UserResourceRead") / reading_share,
        stack.functions["chat"].reserved or quotas.value("lambda.concurrency"),
        stack.functions["auth"].reserved or quotas.value("lambda.concurrency"),
        steps,
    )
