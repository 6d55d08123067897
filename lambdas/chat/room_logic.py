"""The rules for rooms, independent of HTTP events and WebSocket frames."""

import time
from collections.abc import Iterator
from itertools import islice

from msgspec import UNSET, structs

from lambdas.chat.broadcast import Broadcast
from lambdas.chat.models import (
    DIRECT_LIMIT,
    GROUP_LIMIT,
    CreateRoom,
    RoomsQuery,
    RoomType,
    RoomView,
    UpdateRoom,
)
from lambdas.chat.people import People
from lambdas.chat.records import (
    ADMIN,
    FORMER,
    OWNER,
    RANKS,
    ChangedError,
    Counters,
    Member,
    Room,
    RoomFullError,
)
from lambdas.chat.rooms import RoomStore
from lambdas.chat.standing import Standings, room_not_found
from lambdas.common.caller import Caller
from lambdas.common.clock import new_id, timestamp
from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.problems import FieldError, Problem
from lambdas.common.web.pagination import Cursors, Page
from lambdas.common.web.preconditions import IfMatch, repeat_if_changed

LIMITS: dict[RoomType, int] = {"group": GROUP_LIMIT, "direct": DIRECT_LIMIT}
"""For these room types, the highest permitted `max_members`, which is also the default. Rooms of
all other types have no limit unless a request sets `max_members`."""


class RoomService:
    """The room operations of the API (docs/api/chat.md). Methods raise Problem."""

    def __init__(
        self,
        *,
        rooms: RoomStore,
        standings: Standings,
        people: People,
        broadcast: Broadcast,
        outbox: OutboxWriter,
        cursors: Cursors,
    ) -> None:
        self._rooms = rooms
        self._standings = standings
        self._people = people
        self._broadcast = broadcast
        self._outbox = outbox
        self._cursors = cursors

    def list_rooms(self, caller: Caller, query: RoomsQuery) -> Page[RoomView]:
        """Lists the caller's rooms, then the public rooms that the caller is not a member of."""
        scope = f"chat-rooms {caller.user_id}"
        own, after = self._cursors.position(query, scope) or (True, None)
        views = self._list_views(caller, query.type, own, after, query.limit + 1)
        rooms = list(islice(views, query.limit + 1))
        page = rooms[: query.limit]
        position = [page[-1][0], page[-1][1].room_id] if len(rooms) > query.limit else None
        return self._cursors.page([view for _, view in page], query, scope, position)

    def create(self, caller: Caller, body: CreateRoom, room_id: str | None = None) -> RoomView:
        _check_limit(body.type, body.max_members)
        now = timestamp(time.time())
        room = Room(
            room_id=room_id or new_id(),
            type=body.type,
            name=body.name,
            description=body.description,
            created_by=caller.user_id,
            created_at=now,
        )
        owner = room.new_member(caller.user_id, OWNER, self._people.public_name(caller), now)
        max_members = body.max_members or LIMITS.get(body.type)
        data = {"roomId": room.room_id, "type": room.type}
        event = self._outbox.put("RoomCreated", actor_id=caller.user_id, data=data)
        self._rooms.create(room, owner, max_members, event)
        counters = Counters(seq=0, last_activity=now, members=1, max_members=max_members)
        return _view(room, counters, owner)

    def get(self, caller: Caller, room_id: str) -> RoomView:
        standing = self._standings.find(caller, room_id)
        standing.require_reader()
        return self.view(standing.room, standing.membership)

    @repeat_if_changed(ChangedError)
    def update(self, caller: Caller, room_id: str, body: UpdateRoom, if_match: IfMatch) -> RoomView:
        standing = self._standings.find(caller, room_id)
        standing.require_rank(RANKS[ADMIN])
        # Muted members must not change the name and the description, which all members read.
        standing.require_speaker()
        room = standing.room
        if_match.check(room.version)
        max_members = LIMITS.get(room.type) if body.max_members is None else body.max_members
        if max_members is not UNSET:
            _check_limit(room.type, max_members)
        changed = structs.replace(
            room,
            name=room.name if body.name is UNSET else body.name,
            description=room.description if body.description is UNSET else body.description,
        )
        if changed != room or max_members is not UNSET:
            try:
                changed = self._rooms.change(changed, max_members)
            except RoomFullError:
                raise Problem.conflict(
                    "The room has more members than maxMembers. Send a higher maxMembers.",
                    "room_full",
                ) from None
        return self.view(changed, standing.membership)

    def delete(self, caller: Caller, room_id: str) -> None:
        self._standings.find(caller, room_id).require_rank(RANKS[OWNER])
        self._rooms.remove(room_id, time.time())
        self._broadcast.evict(room_id, "deleted")

    def view(self, room: Room, member: Member | None) -> RoomView:
        """Returns the room as `member` sees it. None means a user who is not a member."""
        counters = self._rooms.find_counters(room.room_id)
        if counters is None:
            raise room_not_found()
        return _view(room, counters, member)

    def _list_views(
        self, caller: Caller, room_type: RoomType | None, own: bool, after: str | None, chunk: int
    ) -> Iterator[tuple[bool, RoomView]]:
        """Yields (True, view) for the caller's rooms, then (False, view) for other public rooms.

        If `own` is False, skips the caller's rooms. If `after` is not None, begins after the room
        with this id, which is one of the caller's rooms if `own` is True, or else a public room.
        Reads `chunk` ids at a time.
        """
        while own:
            ids = self._rooms.list_ids_of_user(caller.user_id, room_type, chunk, after)
            for room, counters, member in self._rooms.find_many(ids, caller.user_id):
                yield True, _view(room, counters, member)
            own = len(ids) == chunk
            after = ids[-1] if own else None
        while room_type in {None, "public"}:
            ids = self._rooms.list_ids_of_type("public", chunk, after)
            for room, counters, member in self._rooms.find_many(ids, caller.user_id):
                # Skips rooms in which the caller is a member, because they are already listed, and
                # rooms from which the caller is banned.
                if member is None or member.role == FORMER:
                    yield False, _view(room, counters, None)
            if len(ids) < chunk:
                return
            after = ids[-1]


def _check_limit(room_type: RoomType, max_members: int | None) -> None:
    limit = LIMITS.get(room_type)
    if limit and max_members and max_members > limit:
        rule = f"must be at most {limit} in a {room_type} room"
        raise Problem.invalid([FieldError("maxMembers", rule)])


def _view(room: Room, counters: Counters, member: Member | None) -> RoomView:
    return RoomView(
        room_id=room.room_id,
        name=room.name,
        description=room.description,
        type=room.type,
        created_by=room.created_by,
        created_at=room.created_at,
        member_count=counters.members,
        max_members=counters.max_members,
        last_activity=counters.last_activity,
        role=member.role if member else None,
        version=room.version,
    )
