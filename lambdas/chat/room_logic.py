"""What rooms and members do, rule by rule; it knows no HTTP event and no frame of a client."""

from collections.abc import Iterator
from typing import Any

from msgspec import structs

from lambdas.chat.broadcast import Broadcast
from lambdas.chat.models import (
    DIRECT_LIMIT,
    GROUP_LIMIT,
    CreateRoom,
    MemberView,
    RoomsQuery,
    RoomType,
    RoomView,
    UpdateMember,
    UpdateRoom,
)
from lambdas.chat.people import People
from lambdas.chat.rooms import (
    ADMIN,
    BANNED,
    MEMBER,
    MODERATOR,
    OWNER,
    RANKS,
    ChangedError,
    Counters,
    Member,
    MemberExistsError,
    PairExistsError,
    Room,
    RoomFullError,
    RoomStore,
    pair_key,
)
from lambdas.common.caller import ADMIN as PLATFORM_ADMIN
from lambdas.common.caller import MODERATOR as PLATFORM_MODERATOR
from lambdas.common.caller import Caller
from lambdas.common.clock import SYSTEM_CLOCK, Clock, new_id, timestamp
from lambdas.common.live.fanout import Delivery
from lambdas.common.messaging.outbox import Outbox
from lambdas.common.people.profiles import UNKNOWN_NAME
from lambdas.common.problems import FieldError, Problem
from lambdas.common.web.pagination import Cursors, PageQuery
from lambdas.common.web.preconditions import IfMatch

OPEN: frozenset[RoomType] = frozenset({"public", "announcement"})
"""Types of rooms that people join by themselves; an announcement room is in nobody's list but its members'."""

INVITERS: dict[RoomType, int] = {
    "public": RANKS[MEMBER],
    "group": RANKS[MEMBER],
    "direct": RANKS[OWNER],
    "private": RANKS[MODERATOR],
    "announcement": RANKS[MODERATOR],
}
"""The rank that may invite, by the room's type."""

LIMITS: dict[RoomType, int] = {"group": GROUP_LIMIT, "direct": DIRECT_LIMIT}
"""Members at most, in the types that have a limit of their own; it is also what such a room has when none is given."""


_NOBODY = ""
"""The role of whoever was banned and is so no more."""


class Place:
    """A caller's standing in a room: what the room is, their membership or ban, and what they may.

    Every method raises Problem 403 where the caller may not.
    """

    def __init__(self, room: Room, member: Member | None, caller: Caller) -> None:
        self.room = room
        self._found = member
        self.caller = caller

    @property
    def banned(self) -> bool:
        return self._found is not None and self._found.role == BANNED

    @property
    def membership(self) -> Member | None:
        return None if self.banned else self._found

    @property
    def rank(self) -> int:
        """The member's rank; the platform's moderators and administrators rank as the room's where they may see it."""
        own = self.membership.rank if self.membership else 0
        if self.caller.roles & {PLATFORM_MODERATOR, PLATFORM_ADMIN} and (
            own or self.room.type == "public"
        ):
            return max(own, RANKS[MODERATOR])
        return own

    def read(self) -> None:
        """Seeing the room and its messages: members, in public rooms everybody who is not banned."""
        if self.banned:
            raise _banned()
        if self.membership is None and self.room.type != "public" and not self.rank:
            raise _not_a_member()

    def member(self) -> Member:
        """Acting as a member; gives the membership."""
        if self.banned:
            raise _banned()
        if self.membership is None:
            raise _not_a_member()
        return self.membership

    def speak(self) -> Member:
        """Sending messages and signals."""
        member = self.member()
        if member.muted:
            raise Problem.forbidden("You are muted in this room.", "muted")
        if self.room.type == "announcement" and self.rank < RANKS[MODERATOR]:
            raise Problem.forbidden(
                "Only moderators post in an announcement room.", "moderators_only"
            )
        return member

    def require(self, rank: int) -> None:
        """Something for that rank and above."""
        self.read()
        if self.rank < rank:
            raise Problem.forbidden("Your role in this room does not allow it.", "role_required")


class RoomService:
    """Each method is one call of the API. All raise Problem as the API contract says."""

    def __init__(
        self,
        *,
        rooms: RoomStore,
        people: People,
        broadcast: Broadcast,
        outbox: Outbox,
        cursors: Cursors,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._rooms = rooms
        self._people = people
        self._broadcast = broadcast
        self._outbox = outbox
        self._cursors = cursors
        self._clock = clock

    def place(self, caller: Caller, room_id: str) -> Place:
        """The caller's standing in a room. Raises Problem 404."""
        room, member = self._rooms.find(room_id, caller.user_id)
        if room is None:
            raise no_room()
        return Place(room, member, caller)

    def list_rooms(self, caller: Caller, query: RoomsQuery) -> dict[str, Any]:
        """First the caller's own rooms, then the public ones they are in none of."""
        scope = f"chat-rooms {caller.user_id}"
        own, after = self._cursors.position(query, scope) or (True, None)
        found: list[tuple[bool, RoomView]] = []
        for mine, view in self._listed(caller, query.type, own, after, query.limit + 1):
            found.append((mine, view))
            if len(found) > query.limit:
                break
        page = found[: query.limit]
        position = [page[-1][0], page[-1][1].room_id] if len(found) > query.limit else None
        return self._cursors.page([view for _, view in page], query, scope, position)

    def create(self, caller: Caller, body: CreateRoom) -> RoomView:
        limit = LIMITS.get(body.type)
        if limit and body.max_members and body.max_members > limit:
            raise Problem.invalid(
                [FieldError("maxMembers", f"must be at most {limit} in a {body.type} room")]
            )
        now = timestamp(self._clock())
        room = Room(
            room_id=new_id(),
            type=body.type,
            name=body.name,
            description=body.description,
            created_by=caller.user_id,
            created_at=now,
        )
        owner = self._new_member(room, caller, OWNER)
        most = body.max_members or limit
        event = self._event("RoomCreated", caller.user_id, room, name=room.name, type=room.type)
        self._rooms.create(room, owner, most, [event])
        return _view(room, Counters(seq=0, last_activity=now, members=1, max_members=most), owner)

    def get(self, caller: Caller, room_id: str) -> RoomView:
        place = self.place(caller, room_id)
        place.read()
        return self._shown(place.room, place.membership)

    def update(self, caller: Caller, room_id: str, body: UpdateRoom, if_match: IfMatch) -> RoomView:
        place = self.place(caller, room_id)
        place.require(RANKS[ADMIN])
        room = place.room
        if_match.check(room.version)
        limit = LIMITS.get(room.type)
        if limit and body.max_members and body.max_members > limit:
            raise Problem.invalid(
                [FieldError("maxMembers", f"must be at most {limit} in a {room.type} room")]
            )
        changed = structs.replace(
            room,
            name=room.name if body.name is None else body.name,
            description=room.description if body.description is None else body.description,
        )
        try:
            changed = self._rooms.change(changed, body.max_members)
        except ChangedError:
            raise Problem.stale() from None
        except RoomFullError:
            raise Problem.conflict("The room has more members than that.", "room_full") from None
        return self._shown(changed, place.membership)

    def delete(self, caller: Caller, room_id: str) -> None:
        place = self.place(caller, room_id)
        place.require(RANKS[OWNER])
        self._rooms.remove(room_id, self._clock())
        self._broadcast.close(room_id)

    def join(self, caller: Caller, room_id: str) -> RoomView:
        """Joins a room that is open; for members it changes nothing."""
        place = self.place(caller, room_id)
        member = self.join_as(place)
        return self._shown(place.room, member)

    def join_as(self, place: Place) -> Member:
        """The caller's membership, made now if need be."""
        caller, room = place.caller, place.room
        if place.banned:
            raise _banned()
        if place.membership:
            return place.membership
        if room.type not in OPEN:
            raise Problem.forbidden("This room is by invitation.", "invitation_required")
        if caller.is_anonymous and room.type != "public":
            raise Problem.forbidden(
                "Anonymous users chat in public rooms only.", "anonymous_not_allowed"
            )
        member = self._new_member(room, caller, MEMBER)
        return self._add(member, actor_id=caller.user_id)

    def leave(self, caller: Caller, room_id: str) -> None:
        """The owner stays until the room is somebody else's, or is deleted."""
        place = self.place(caller, room_id)
        member = place.member()
        if member.role == OWNER:
            detail = "The owner cannot leave: make somebody else the owner, or delete the room."
            raise Problem.conflict(detail, "owner_cannot_leave")
        self._take_out(place.room, member, actor_id=caller.user_id, reason="left")

    def members(self, caller: Caller, room_id: str, query: PageQuery) -> dict[str, Any]:
        self.place(caller, room_id).read()
        scope = f"chat-members {room_id}"
        after = self._cursors.position(query, scope)
        found = self._rooms.members(room_id, query.limit + 1, after)
        page = found[: query.limit]
        names = self._people.member_names(page, caller)
        views = [_member_view(member, names[member.user_id]) for member in page]
        return self._cursors.page(
            views, query, scope, page[-1].user_id if len(found) > query.limit else None
        )

    def invite(self, caller: Caller, room_id: str, user_id: str) -> MemberView:
        """Makes somebody a member at once. Repeated, it changes nothing.

        Raises Problem 404 for whom there is no profile. One is made within seconds of registering, or by its owner's first look at it:
        for somebody just registered the same again succeeds shortly. Anonymous users have none, and join public rooms by themselves.
        Raises Problem 403 in a direct room with somebody who takes no direct messages, unless the two have theirs already.
        """
        place = self.place(caller, room_id)
        place.require(INVITERS[place.room.type])
        if user_id == caller.user_id:
            return _member_view(place.member(), self._people.public_name(caller))
        invited = self._people.find(user_id)
        if invited is None:
            raise Problem.not_found("There is no such user.", "user_not_found")
        pair = pair_key(caller.user_id, user_id) if place.room.type == "direct" else None
        if pair and not invited.personal.allow_direct_messages and not self._rooms.has_pair(pair):
            raise Problem.forbidden(
                "This user takes no direct messages.", "direct_messages_refused"
            )
        member = Member(
            room_id=room_id,
            user_id=user_id,
            role=MEMBER,
            room_type=place.room.type,
            display_name=invited.name_for(None),
            joined_at=timestamp(self._clock()),
        )
        added = self._add(member, actor_id=caller.user_id, pair=pair)
        return _member_view(added, self._people.member_names([added], caller)[user_id])

    def update_member(
        self, caller: Caller, room_id: str, user_id: str, body: UpdateMember, if_match: IfMatch
    ) -> MemberView:
        """Roles: the owner, and administrators below their own. Muting and banning: moderators, those below their own rank."""
        place = self.place(caller, room_id)
        place.require(RANKS[MODERATOR])
        target = self._rooms.member(room_id, user_id)
        if target is not None:
            if_match.check(target.version)
        try:
            changed = self._changed(place, user_id, target, body)
        except ChangedError:
            raise Problem.stale() from None
        except MemberExistsError:
            raise Problem.stale() from None
        return _member_view(changed, self._people.member_names([changed], caller)[user_id])

    def remove_member(self, caller: Caller, room_id: str, user_id: str) -> None:
        if user_id == caller.user_id:
            self.leave(caller, room_id)
            return
        place = self.place(caller, room_id)
        place.require(RANKS[MODERATOR])
        target = self._rooms.member(room_id, user_id)
        if target is None or target.role == BANNED:
            raise _no_member()
        _outrank(place, target)
        self._take_out(place.room, target, actor_id=caller.user_id, reason="removed")

    def _changed(
        self, place: Place, user_id: str, target: Member | None, body: UpdateMember
    ) -> Member:
        if body.ban is not None:
            return self._ban(place, user_id, target) if body.ban else self._unban(target)
        if target is None or target.role == BANNED:
            raise _no_member()
        changed = target
        if body.mute is not None:
            _outrank(place, target)
            changed = structs.replace(changed, muted=body.mute)
        if body.role is not None and body.role != target.role:
            if body.role == OWNER:
                return self._hand_over(place, changed, target)
            if place.rank < RANKS[ADMIN] or RANKS[body.role] >= place.rank:
                raise Problem.forbidden(
                    "You cannot give a role that is not below your own.", "role_required"
                )
            _outrank(place, target)
            changed = structs.replace(changed, role=body.role)
        if changed is target:
            return target
        self._rooms.replace((target, changed))
        return structs.replace(changed, version=target.version + 1)

    def _hand_over(self, place: Place, changed: Member, target: Member) -> Member:
        owner = place.member()
        if owner.role != OWNER:
            raise Problem.forbidden(
                "Only the owner makes somebody else the owner.", "role_required"
            )
        if target.anonymous:
            raise Problem.forbidden("An anonymous user cannot own a room.", "anonymous_not_allowed")
        new_owner = structs.replace(changed, role=OWNER)
        self._rooms.replace((owner, structs.replace(owner, role=ADMIN)), (target, new_owner))
        return structs.replace(new_owner, version=target.version + 1)

    def _ban(self, place: Place, user_id: str, target: Member | None) -> Member:
        if user_id == place.caller.user_id:
            raise Problem.forbidden("You cannot ban yourself.", "role_required")
        if target is None:
            ban = Member(
                room_id=place.room.room_id,
                user_id=user_id,
                role=BANNED,
                room_type=place.room.type,
                display_name=known.name_for(None)
                if (known := self._people.find(user_id))
                else UNKNOWN_NAME,
                joined_at=timestamp(self._clock()),
            )
            self._rooms.ban(ban)
            return ban
        if target.role == BANNED:
            return target
        _outrank(place, target)
        ban = structs.replace(target, role=BANNED, muted=False)
        self._take_out(place.room, target, actor_id=place.caller.user_id, reason="banned", ban=ban)
        return structs.replace(ban, version=target.version + 1)

    def _unban(self, target: Member | None) -> Member:
        if target is None:
            raise _no_member()
        if target.role == BANNED:
            self._rooms.unban(target)
            return structs.replace(target, role=_NOBODY)
        return target

    def _add(self, member: Member, *, actor_id: str, pair: str | None = None) -> Member:
        room_id = member.room_id
        event = self._event(
            "MemberJoined", actor_id, member, userId=member.user_id, role=member.role
        )
        try:
            self._rooms.add(member, [event], pair)
        except RoomFullError:
            raise Problem.conflict("The room is full.", "room_full") from None
        except MemberExistsError as error:
            if error.member.role == BANNED:
                raise _banned() from None
            return error.member
        except PairExistsError as error:
            detail = "You two have a direct room."
            problem = Problem.conflict(detail, "direct_room_exists")
            problem.members["roomId"] = error.room_id
            raise problem from None
        except ChangedError:
            raise no_room() from None
        self._tell("user_joined", room_id, member)
        return member

    def _take_out(
        self, room: Room, member: Member, *, actor_id: str, reason: str, ban: Member | None = None
    ) -> None:
        event = self._event("MemberLeft", actor_id, room, userId=member.user_id, reason=reason)
        try:
            self._rooms.take_out(member, [event], pair=room.pair, ban=ban)
        except ChangedError:
            raise Problem.stale() from None
        # First their connections, so that not even this reaches them; then the news.
        self._broadcast.evict(room.room_id, member.user_id)
        self._tell("user_left", room.room_id, member)

    def _tell(self, what: str, room_id: str, member: Member) -> None:
        frame = {
            "type": what,
            "roomId": room_id,
            "userId": member.user_id,
            "displayName": member.display_name,
        }
        self._broadcast.send(Delivery(room_id, frame))

    def _listed(
        self, caller: Caller, room_type: RoomType | None, own: bool, after: str | None, chunk: int
    ) -> Iterator[tuple[bool, RoomView]]:
        while own:
            ids = self._rooms.of_user(caller.user_id, room_type, chunk, after)
            for room, counters, member in self._rooms.rooms(ids, caller.user_id):
                yield True, _view(room, counters, member)
            if len(ids) < chunk:
                own, after = False, None
                break
            after = ids[-1]
        while room_type in {None, "public"}:
            ids = self._rooms.of_type("public", chunk, after)
            for room, counters, member in self._rooms.rooms(ids, caller.user_id):
                if member is None:  # own ones have been listed, and who is banned sees none
                    yield False, _view(room, counters, None)
            if len(ids) < chunk:
                return
            after = ids[-1]

    def _shown(self, room: Room, member: Member | None) -> RoomView:
        counters = self._rooms.counters(room.room_id)
        if counters is None:
            raise no_room()
        return _view(room, counters, member)

    def _new_member(self, room: Room, caller: Caller, role: str) -> Member:
        return Member(
            room_id=room.room_id,
            user_id=caller.user_id,
            role=role,
            room_type=room.type,
            display_name=self._people.public_name(caller),
            joined_at=timestamp(self._clock()),
            anonymous=caller.is_anonymous,
        )

    def _event(
        self, event_type: str, actor_id: str, about: Room | Member, **data: Any
    ) -> dict[str, Any]:
        return self._outbox.put(
            event_type, actor_id=actor_id, data={"roomId": about.room_id, **data}
        )


def no_room() -> Problem:
    return Problem.not_found("There is no such room.", "room_not_found")


def _no_member() -> Problem:
    return Problem.not_found("The room has no such member.", "member_not_found")


def _banned() -> Problem:
    return Problem.forbidden("You are banned from this room.", "banned")


def _not_a_member() -> Problem:
    return Problem.forbidden("Only members of the room may do this.", "not_a_member")


def _outrank(place: Place, target: Member) -> None:
    if place.rank <= target.rank:
        raise Problem.forbidden("Their role is not below yours.", "role_required")


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


def _member_view(member: Member, name: str) -> MemberView:
    return MemberView(
        user_id=member.user_id,
        display_name=name,
        role=member.role or None,
        is_muted=member.muted,
        joined_at=member.joined_at,
        version=member.version,
    )
