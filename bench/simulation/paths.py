"""Simulates a large chat room, the timeline's shards, and the reconnections after an outage."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

from bench.simulation.engine import Process, Queue, Simulation, Slots, Throttle

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""The first and the longest pause of a client between two attempts, in seconds.

The pause doubles after each attempt until it is LONGEST_PAUSE. The client waits a random time
between half of the pause and the whole pause.
"""
BATCH = 10
"""Maximum number of frames that one invocation of the delivery function receives."""


@dataclass(frozen=True)
class Room:
    """A chat room. One message group of the FIFO queue orders its messages."""

    messages_per_second: float
    listeners: int
    post_cpu: float
    """Seconds of CPU time to send a frame to one connection, on the function's share of a core."""
    round_trip: float
    """Mean seconds until API Gateway responds to a frame for one connection."""
    workers: int
    """Maximum number of frames that one invocation sends at the same time."""
    posts_per_second: float
    """API Gateway's quota of frames per second.

    If API Gateway rejects a frame, the function sends one `resync` frame instead of it.
    """
    parts: int = 1
    """Number of parts into which the listeners are divided.

    Each part has its own message group and executions.
    """
    batch: int = BATCH
    """Maximum number of frames that one invocation receives."""


@dataclass(frozen=True)
class RoomResult:
    """The delivery times and the throughput of a simulated room."""

    busy_seconds: float
    """Mean seconds that the delivery function needs per message and part."""
    delivered_per_second: float
    backlog: int
    """Messages that wait in the queue at the end, for the part with the most waiting messages."""


def simulate_room(room: Room, seconds: float, seed: int) -> RoomResult:
    """Simulates messages that arrive at random times, and the delivery of one batch after
    another.
    """
    simulation, rng = Simulation(), random.Random(seed)  # noqa: S311
    throttle = Throttle(simulation, room.posts_per_second)
    states = [{"waiting": 0, "delivered": 0, "is_busy": False} for _ in range(room.parts)]
    busy = [0.0]

    def arrive() -> Process:
        while True:
            yield rng.expovariate(room.messages_per_second)
            for state in states:
                state["waiting"] += 1
                if not state["is_busy"]:
                    state["is_busy"] = True
                    simulation.start(deliver(state))

    def post(cpu: Queue) -> float:
        """Returns the seconds until API Gateway has responded to a frame for one connection."""
        attempts = 1 if throttle.take() else 2
        wait = sum(rng.expovariate(1 / room.round_trip) for _ in range(attempts))
        return cpu.work(attempts * room.post_cpu) + wait

    def deliver(state: dict[str, int]) -> Process:
        while state["waiting"]:
            taken = min(room.batch, state["waiting"])
            state["waiting"] -= taken
            begun, cpu = simulation.now, Queue(simulation)
            ends = [0.0] * room.workers
            for _ in range(taken * room.listeners // room.parts):
                # The first worker that becomes free sends the next frame.
                free_in = ends[0] - simulation.now
                if free_in > 0:
                    yield free_in
                heapq.heapreplace(ends, simulation.now + post(cpu))
            yield max(0.0, max(ends) - simulation.now)
            state["delivered"] += taken
            busy[0] += simulation.now - begun
        state["is_busy"] = False

    simulation.start(arrive())
    simulation.run(seconds)
    deliveries = sum(state["delivered"] for state in states)
    return RoomResult(
        busy[0] / max(1, deliveries),
        deliveries / room.parts / seconds,
        max(state["waiting"] for state in states),
    )


@dataclass(frozen=True)
class Timeline:
    """Posts that are written to the timeline's index, in which each shard is a partition."""

    posts_per_second: float
    shards: int
    units_per_post: float
    units_per_second: float
    """DynamoDB's limit of write units per second for one partition."""
    attempts: int = 2
    """Attempts of each write before the function responds with an error
    (lambdas/common/clients.py).
    """


@dataclass(frozen=True)
class TimelineResult:
    """How many posts per second were stored, and the share of posts that were rejected."""

    stored_per_second: float
    rejected_share: float


def simulate_timeline(timeline: Timeline, seconds: float, seed: int) -> TimelineResult:
    """Simulates posts that arrive at random times, each written to a random shard."""
    simulation, rng = Simulation(), random.Random(seed)  # noqa: S311
    rate = timeline.units_per_second
    partitions = [Throttle(simulation, rate, rate / 10) for _ in range(timeline.shards)]
    counts = {"stored": 0, "rejected": 0}

    def store() -> Process:
        partition = rng.choice(partitions)
        for attempt in range(timeline.attempts):
            if partition.take(timeline.units_per_post):
                counts["stored"] += 1
                return
            if attempt + 1 < timeline.attempts:
                yield rng.uniform(0, 1)
        counts["rejected"] += 1

    def arrive() -> Process:
        while True:
            yield rng.expovariate(timeline.posts_per_second)
            simulation.start(store())

    simulation.start(arrive())
    simulation.run(seconds)
    total = counts["stored"] + counts["rejected"]
    return TimelineResult(counts["stored"] / seconds, counts["rejected"] / max(1, total))


@dataclass(frozen=True)
class Steps:
    """Seconds that the functions need for each request of a user after an outage."""

    refresh: float
    ticket: float
    connect: float
    rooms: float
    join: float
    messages: float


@dataclass(frozen=True)
class Storm:
    """The users who connect again after an outage, and the limits that delay them."""

    users: int
    spread: float
    """Seconds within which the clients make their first attempt."""
    refreshing_share: float
    rooms: int
    rest_per_second: float
    """The throttle of the REST method that serves the chat routes, in requests per second."""
    joins_per_second: float
    """The throttle of the WebSocket route `join_room`, in frames per second."""
    connections_per_second: float
    group_reads_per_second: float
    """Maximum token refreshes per second.

    Cognito's quota for reading the groups of users, divided by the share of refreshes that read
    them.
    """
    chat_executions: float
    auth_executions: float
    steps: Steps


def simulate_storm(storm: Storm, seed: int) -> float:
    """Returns the seconds until every user is connected and has joined all rooms."""
    simulation, rng = Simulation(), random.Random(seed)  # noqa: S311
    rest = Throttle(simulation, storm.rest_per_second)
    joins = Throttle(simulation, storm.joins_per_second)
    connections = Throttle(simulation, storm.connections_per_second)
    groups = Throttle(simulation, storm.group_reads_per_second)
    chat, auth = Slots(storm.chat_executions), Slots(storm.auth_executions)
    finished = [0.0]

    def attempt(slots: Slots, throttle: Throttle, seconds: float) -> Process:
        """Repeats a request until neither the throttle nor the function rejects it."""
        pause = FIRST_PAUSE
        while not (throttle.take() and slots.take()):
            yield rng.uniform(pause / 2, pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
        yield rng.uniform(0.5, 1.5) * seconds
        slots.free()

    def user() -> Process:
        steps = storm.steps
        if rng.random() < storm.refreshing_share:
            yield from attempt(auth, groups, steps.refresh)
        yield from attempt(chat, rest, steps.ticket)
        yield from attempt(chat, connections, steps.connect)
        yield from attempt(chat, rest, steps.rooms)
        for _ in range(storm.rooms):
            yield from attempt(chat, joins, steps.join)
            yield from attempt(chat, rest, steps.messages)
        finished[0] = max(finished[0], simulation.now)

    for _ in range(storm.users):
        simulation.start(user(), rng.uniform(0, storm.spread))
    simulation.run()
    return finished[0]
