"""Computes the requests, frames and events per second, from the usage model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ops.capacity.calls import Row
from ops.capacity.model import DAY, Model

INLINE_LIMIT = 100
"""Maximum listeners of a room to which the chat function itself sends frames.

Frames to larger rooms are queued (lambdas/chat/broadcast.py).
"""
TICKET, ANNOUNCED = "POST /v1/chat/tickets", ("frame typing_start", "frame typing_stop")
MESSAGES = (
    "frame send_message",
    "POST /v1/chat/rooms/{roomId}/messages",
    "POST /v1/chat/rooms/{roomId}/messages with an attachment",
)
SIGNALS = (*ANNOUNCED, "frame mark_read", "frame join_room", "frame disconnect")
"""Client frames after which the platform sends a signal (a presence, typing or read frame) to all
other listeners of a room that is not large."""
COUNTED = (
    "PUT /v1/posts/{postId}/like",
    "DELETE /v1/posts/{postId}/like",
    "POST /v1/posts",
    "POST /v1/posts/{postId}/comments",
    "POST /v1/auth/register",
)
"""Requests whose events the statistics function counts."""
REFRESH, ME, REMEMBERED = "POST /v1/auth/refresh", "GET /v1/auth/me", " with a remembered account"
PUBLISH, COUNT = "event publish from the outbox", "event count a statistic"
AUTHORIZE_TOKEN, AUTHORIZE_TICKET = "event authorize a token", "event authorize a ticket"
DELIVER, CHECK = "event deliver a frame", "event check a stored message"
OUTBOX_UNITS = 2
"""Write units for storing an event of up to 1 KB in a transaction."""

Rates = Mapping[str, float]
"""Requests, frames and events per second, by row of calls.yml."""


@dataclass(frozen=True)
class Audience:
    """The rooms of one size: their share of all messages, and the number of listeners who receive
    each message.
    """

    share: float
    """The share of all messages that are sent in these rooms."""
    listeners: float
    room_parts: int
    """Number of parts into which the connections of a large room are divided."""
    has_signals: bool
    """True if the room receives signals, such as who is typing."""

    @property
    def is_queued(self) -> bool:
        return self.listeners > INLINE_LIMIT

    @property
    def parts(self) -> int:
        """The number of executions that send one frame to the listeners of a room."""
        return self.room_parts if self.is_queued else 1


@dataclass(frozen=True)
class Traffic:
    """The requests, frames and events that arrive per second."""

    rates: Rates
    audiences: tuple[Audience, ...]

    @property
    def messages(self) -> float:
        return sum(self.rates.get(name, 0.0) for name in MESSAGES)

    @property
    def rest(self) -> float:
        """Requests of the REST API per second."""
        return sum(rate for name, rate in self.rates.items() if is_route(name))

    @property
    def frames(self) -> float:
        """Messages from clients to the WebSocket API per second, including new connections."""
        return sum(rate for name, rate in self.rates.items() if name.startswith("frame "))


def is_route(name: str) -> bool:
    return not name.startswith(("frame ", "event "))


@dataclass(frozen=True)
class Design:
    """The settings of the stack that determine how much traffic the users cause."""

    authorizer_seconds: float
    """Seconds for which API Gateway caches a token's authorization."""
    room_parts: int = 1
    """Number of parts into which the connections of a large room are divided.

    The parts receive frames in parallel.
    """
    account_seconds: float = 0
    """Seconds for which sessions cache the roles of their users."""
    signal_limit: int = INLINE_LIMIT
    """Maximum number of connections in a room that receives signals."""
    reconnect_seconds: float = 0
    """Seconds over which clients spread their attempts to reconnect.

    If 0, clients choose the time.
    """


def peak_traffic(model: Model, rows: Mapping[str, Row], users: float, design: Design) -> Traffic:
    """Returns the traffic at the peak of an average day with this number of daily active users."""
    people = model.population
    factor = users * people.peak_to_mean.value / DAY
    sessions = people.sessions.value
    day = {name: number.value for name, number in model.requests.items()}
    day |= {f"frame {name}": number.value for name, number in model.frames.items()}
    day |= {
        TICKET: sessions,
        AUTHORIZE_TICKET: sessions,
        "frame connect": sessions,
        "frame disconnect": sessions,
        "frame join_room": sessions * people.rooms_joined_per_session.value,
    }
    rates = {name: value * factor for name, value in day.items()}
    _remember_accounts(rates, model, design)
    requests = sum(rate for name, rate in rates.items() if is_route(name))
    # API Gateway caches the authorizer's results, so it authorizes the token of an online user once
    # per cache period.
    seconds = design.authorizer_seconds
    tokens = users * model.online_share / seconds if seconds else requests
    rates[AUTHORIZE_TOKEN] = min(tokens, requests)
    audiences = tuple(_audiences(model, users, design))
    _add_events(rates, rows, audiences)
    return Traffic(rates, audiences)


def reconnection_seconds(model: Model, design: Design) -> float:
    """Returns the seconds within which clients try to connect again after an outage."""
    return max(model.outage.seconds_to_reconnect.value, design.reconnect_seconds)


def storm_traffic(model: Model, users: float, design: Design) -> Traffic:
    """Returns the traffic after an outage, when all users who are online connect again."""
    per_second = users * model.online_share / reconnection_seconds(model, design)
    rooms = model.population.rooms_joined_per_session.value
    rates = {
        TICKET: per_second,
        AUTHORIZE_TICKET: per_second,
        AUTHORIZE_TOKEN: per_second,
        "frame connect": per_second,
        "frame join_room": per_second * rooms,
        "POST /v1/auth/refresh": per_second * model.outage.share_that_refreshes.value,
        "GET /v1/chat/rooms": per_second,
        "GET /v1/chat/rooms/{roomId}/messages": per_second * rooms,
    }
    _remember_accounts(rates, model, design)
    return Traffic(rates, tuple(_audiences(model, users, design)))


def _remember_accounts(rates: dict[str, float], model: Model, design: Design) -> None:
    """Splits the requests that need a user's roles. Some read the roles from the session, and the
    others from Cognito.
    """
    refreshes = model.requests[REFRESH].value * design.account_seconds / DAY
    if refreshes <= 1:
        return
    for name in {REFRESH, ME} & rates.keys():
        # The first refresh after the cached roles have expired reads them from Cognito.
        rates[name + REMEMBERED] = rates[name] * (1 - 1 / refreshes)
        rates[name] /= refreshes


def _audiences(model: Model, users: float, design: Design) -> Iterator[Audience]:
    for room in model.rooms:
        members = min(float(room.members), users)
        listeners = max(1.0, members * model.online_share)
        has_signals = listeners <= min(design.signal_limit, INLINE_LIMIT)
        yield Audience(room.share, listeners, design.room_parts, has_signals)


def _add_events(
    rates: dict[str, float], rows: Mapping[str, Row], audiences: tuple[Audience, ...]
) -> None:
    """Adds the events that the requests cause."""
    stored: dict[str, float] = defaultdict(float)
    for name, rate in rates.items():
        units = rows[name].units.get("platform-outbox writes", 0.0)
        stored[PUBLISH] += rate * units / OUTBOX_UNITS
    stored[COUNT] = sum(rates.get(name, 0.0) for name in COUNTED)
    messages = sum(rates.get(name, 0.0) for name in MESSAGES)
    stored[DELIVER] = messages * sum(a.share * a.parts for a in audiences if a.is_queued)
    stored[CHECK] = messages
    rates.update(stored)
