"""Decides which connections may still receive a room's frames."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.live.chat_messages import MEMBER_ROLES
from lambdas.common.live.listeners import Connection
from lambdas.common.storage.dynamodb import Key, Table, get_from_tables

RECHECK_INTERVAL = 2.0
"""Seconds for which a confirmed session or membership is not read again. A connection may receive
frames for this long after its session or membership has ended, plus the time to send a frame. The
sum of these two times must stay below 5 seconds (docs/api/websocket.md).
"""

_MAX_CONFIRMED = 10_000
"""Maximum number of cached confirmations. Each confirmation takes a few hundred bytes."""

_Read = tuple[Table, Key]
_Identity = tuple[str, ...]


class Audience(Struct, frozen=True):
    """The connections that may receive a room's frames, and those that may not."""

    admitted: Mapping[str, Sequence[Connection]]
    """For each room, the connections that may receive frames."""
    removed: Mapping[str, Sequence[Connection]]
    """For each room, the connections of users who are not members."""
    ended: Sequence[Connection]
    """Connections whose session has ended."""


class AudienceReader:
    """Checks in DynamoDB which listeners still have a session and a membership.

    The cache alone is not reliable: the Lambda function that ends a membership can be killed before
    it updates the cache, and revoking a session does not close the session's connections.
    """

    def __init__(self, sessions: Table, members: Table, clock: Clock = SYSTEM_CLOCK) -> None:
        self._sessions = sessions
        self._members = members
        self._clock = clock
        self._confirmed: dict[_Identity, float] = {}

    def check(self, listeners: Mapping[str, Sequence[Connection]]) -> Audience:
        """Checks which listeners may receive frames.

        Reads the sessions and memberships that were not confirmed in the last RECHECK_INTERVAL
        seconds, up to 100 at a time."""
        now = self._clock()
        self._forget_old(now)
        reads: dict[_Identity, _Read] = {}
        for room_id, connections in listeners.items():
            for connection in connections:
                # Cache entries written by an older version of the code have the session id "". No
                # session is confirmed for them, so these connections count as ended.
                if connection.session_id:
                    session = {"session_id": connection.session_id}
                    reads[_session(connection)] = self._sessions, session
                member = {"room_id": room_id, "user_id": connection.user_id}
                reads[_membership(room_id, connection)] = self._members, member
        self._confirm({i: read for i, read in reads.items() if i not in self._confirmed}, now)
        current = [c for connections in listeners.values() for c in connections]
        ended = [c for c in dict.fromkeys(current) if _session(c) not in self._confirmed]
        members = {
            room_id: [c for c in connections if _membership(room_id, c) in self._confirmed]
            for room_id, connections in listeners.items()
        }
        return Audience(
            admitted={
                room_id: [c for c in connections if _session(c) in self._confirmed]
                for room_id, connections in members.items()
            },
            removed={
                room_id: [c for c in connections if c not in members[room_id]]
                for room_id, connections in listeners.items()
            },
            ended=ended,
        )

    def _confirm(self, reads: Mapping[_Identity, _Read], now: float) -> None:
        attributes = ("user_id", "expires_at", "role")
        items = get_from_tables(list(reads.values()), attributes)
        for identity, item in zip(reads, items, strict=True):
            user_id = identity[2]
            if item is None or item["user_id"] != user_id:
                continue
            # The item is a session, which has `expires_at`, or a membership, which has `role`.
            if item.get("expires_at", now + 1) > now and item.get("role", "member") in MEMBER_ROLES:
                self._confirmed[identity] = now + RECHECK_INTERVAL

    def _forget_old(self, now: float) -> None:
        if len(self._confirmed) > _MAX_CONFIRMED:
            self._confirmed = {}
        self._confirmed = {i: end for i, end in self._confirmed.items() if end > now}


def _session(connection: Connection) -> _Identity:
    return "session", connection.session_id, connection.user_id


def _membership(room_id: str, connection: Connection) -> _Identity:
    return "member", room_id, connection.user_id
