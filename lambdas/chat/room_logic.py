"""The rules for rooms and members, independent of HTTP events and WebSocket frames."""

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
"""Types of rooms that users join without an invitation. Only members see announcement rooms listed."""

INVITERS: dict[RoomType, int] = {
    "public": RANKS[MEMBER],
    "group": RANKS[MEMBER],
    "direct": RANKS[OWNER],
    "private": RANKS[MODERATOR],
    "announcement": RANKS[MODERATOR],
}
"""The lowest rank that may invite users, by room type."""

LIMITS: dict[RoomType, int] = {"group": GROUP_LIMIT, "direct": DIRECT_LIMIT}
"""The maximum number of members of a room type, and the default of such a room."""

_BAN_LIFTED = ""
"""The role of a member whose ban was lifted."""


class Standing:
    """The standing of a caller in a room: their membership or ban, and their permissions.

    Every `require_` method raises Problem 403 if the caller lacks the permission.
    """

    def __init__(self, room: Room, member: Member | None, caller: Caller) -> None:
        self.room = room
        self._record = member
        self.caller = caller

    @property
    def is_banned(self) -> bool:
        return self._record is not None and self._record.role == BANNED

    @property
    def membership(self) -> Member | None:
        return None if self.is_banned else self._record

    @property
    def rank(self) -> int:
        """The rank of the caller, 0 without a membership.

        Moderators and administrators of the platform have at least the rank of a moderator in
        public rooms and in rooms that they are a member of.
        """
        own = self.membership.rank if self.membership else 0
        if self.caller.roles & {PLATFORM_MODERATOR, PLATFORM_ADMIN} and (
            own or self.room.type == "public"
        ):
            return max(own, RANKS[MODERATOR])
        return own

    def require_reader(self) -> None:
        """Requires that the caller may see the room and its messages.

        Members may, and in public rooms all users who are not banned.
        """
        if self.is_banned:
            raise _banned()
        if self.membership is None and self.room.type != "public" and not self.rank:
            raise _not_a_member()

    def require_member(self) -> Member:
        """Requires a membership and returns it."""
        if self.is_banned:
            raise _banned()
        if self.membership is None:
            raise _not_a_member()
        return self.membership

    def require_speaker(self) -> Member:
        """Requires that the caller may send messages and signals, and returns the membership."""
        member = self.require_member()
        if member.muted:
            raise Problem.forbidden("You are muted in this room.", "muted")
        if self.room.type == "announcement" and self.rank < RANKS[MODERATOR]:
            raise Problem.forbidden(
                "Only moderators can post in an announcement room.", "moderators_only"
            )
        return member

    def require_rank(self, rank: int) -> None:
        """Requires at least this rank."""
        self.require_reader()
        if self.rank < rank:
            raise Problem.forbidden("Your role in this room does not allow this.", "role_required")


class RoomService:
    """The room operations of the API. Every method raises the Problems of the API contract."""

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

    def standing(self, caller: Caller, room_id: str) -> Standing:
        """Returns the caller's standing in a room. Raises Problem 404 if there is no such room."""
        room, member = self._rooms.find(room_id, caller.user_id)
        if room is None:
            raise room_not_found()
        return Standing(room, member, caller)

    def list_rooms(self, caller: Caller, query: RoomsQuery) -> dict[str, Any]:
        """Lists the caller's rooms, then the public rooms that the caller is not a member of."""
        scope = f"chat-rooms {caller.user_id}"
        own, after = self._cursors.position(query, scope) or (True, None)
        rooms: list[tuple[bool, RoomView]] = []
        for is_own, view in self._list_views(caller, query.type, own, after, query.limit + 1):
            rooms.append((is_own, view))
            if len(rooms) > query.limit:
                break
        page = rooms[: query.limit]
        position = [page[-1][0], page[-1][1].room_id] if len(rooms) > query.limit else None
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
        max_members = body.max_members or limit
        event = self._event("RoomCreated", caller.user_id, room, name=room.name, type=room.type)
        self._rooms.create(room, owner, max_members, [event])
        counters = Counters(seq=0, last_activity=now, members=1, max_members=max_members)
        return _view(room, counters, owner)

    def get(self, caller: Caller, room_id: str) -> RoomView:
        standing = self.standing(caller, room_id)
        standing.require_reader()
        return self._read_view(standing.room, standing.membership)

    def update(self, caller: Caller, room_id: str, body: UpdateRoom, if_match: IfMatch) -> RoomView:
        standing = self.standing(caller, room_id)
        standing.require_rank(RANKS[ADMIN])
        room = standing.room
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
            raise Problem.conflict(
                "The room has more members than maxMembers.", "room_full"
            ) from None
        return self._read_view(changed, standing.membership)

    def delete(self, caller: Caller, room_id: str) -> None:
        standing = self.standing(caller, room_id)
        standing.require_rank(RANKS[OWNER])
        self._rooms.remove(room_id, self._clock())
        self._broadcast.close(room_id)

    def join(self, caller: Caller, room_id: str) -> RoomView:
        """Adds the caller to an open room. Changes nothing for members."""
        standing = self.standing(caller, room_id)
        member = self.join_as(standing)
        return self._read_view(standing.room, member)

    def join_as(self, standing: Standing) -> Member:
        """Returns the caller's membership, and creates it first if the room is open."""
        caller, room = standing.caller, standing.room
        if standing.is_banned:
            raise _banned()
        if standing.membership:
            return standing.membership
        if room.type not in OPEN:
            raise Problem.forbidden("This room requires an invitation.", "invitation_required")
        if caller.is_anonymous and room.type != "public":
            raise Problem.forbidden(
                "Anonymous users can chat only in public rooms.", "anonymous_not_allowed"
            )
        member = self._new_member(room, caller, MEMBER)
        return self._add(member, actor_id=caller.user_id)

    def leave(self, caller: Caller, room_id: str) -> None:
        """Ends the caller's membership. Raises Problem 409 for the owner of the room."""
        standing = self.standing(caller, room_id)
        member = standing.require_member()
        if member.role == OWNER:
            detail = "The owner cannot leave. Make another member the owner, or delete the room."
            raise Problem.conflict(detail, "owner_cannot_leave")
        self._end_membership(standing.room, member, actor_id=caller.user_id, reason="left")

    def members(self, caller: Caller, room_id: str, query: PageQuery) -> dict[str, Any]:
        self.standing(caller, room_id).require_reader()
        scope = f"chat-members {room_id}"
        after = self._cursors.position(query, scope)
        members = self._rooms.members(room_id, query.limit + 1, after)
        page = members[: query.limit]
        names = self._people.member_names(page, caller)
        views = [_member_view(member, names[member.user_id]) for member in page]
        return self._cursors.page(
            views, query, scope, page[-1].user_id if len(members) > query.limit else None
        )

    def invite(self, caller: Caller, room_id: str, user_id: str) -> MemberView:
        """Makes a user a member of the room. Safe to repeat.

        Raises:
            Problem: 404 if the user has no profile. A profile is created within seconds of
                registration, or when its owner first reads it, so a later retry can succeed.
                Anonymous users have no profile; they join public rooms by themselves.
                403 in a direct room if the user does not accept direct messages, unless the two
                users have a direct room already.
        """
        standing = self.standing(caller, room_id)
        standing.require_rank(INVITERS[standing.room.type])
        if user_id == caller.user_id:
            return _member_view(standing.require_member(), self._people.public_name(caller))
        invited = self._people.find(user_id)
        if invited is None:
            raise Problem.not_found("There is no such user.", "user_not_found")
        pair = pair_key(caller.user_id, user_id) if standing.room.type == "direct" else None
        if pair and not invited.personal.allow_direct_messages and not self._rooms.has_pair(pair):
            raise Problem.forbidden(
                "This user does not accept direct messages.", "direct_messages_refused"
            )
        member = Member(
            room_id=room_id,
            user_id=user_id,
            role=MEMBER,
            room_type=standing.room.type,
            display_name=invited.name_for(None),
            joined_at=timestamp(self._clock()),
        )
        added = self._add(member, actor_id=caller.user_id, pair=pair)
        return _member_view(added, self._people.member_names([added], caller)[user_id])

    def update_member(
        self, caller: Caller, room_id: str, user_id: str, body: UpdateMember, if_match: IfMatch
    ) -> MemberView:
        """Changes a member's role, mutes or bans them, or lifts the ban.

        The owner and administrators assign roles below their own. Moderators and higher roles
        mute and ban members whose rank is below their own.
        """
        standing = self.standing(caller, room_id)
        standing.require_rank(RANKS[MODERATOR])
        target = self._rooms.member(room_id, user_id)
        if target is not None:
            if_match.check(target.version)
        try:
            changed = self._change_member(standing, user_id, target, body)
        except (ChangedError, MemberExistsError):
            raise Problem.stale() from None
        return _member_view(changed, self._people.member_names([changed], caller)[user_id])

    def remove_member(self, caller: Caller, room_id: str, user_id: str) -> None:
        if user_id == caller.user_id:
            self.leave(caller, room_id)
            return
        standing = self.standing(caller, room_id)
        standing.require_rank(RANKS[MODERATOR])
        target = self._rooms.member(room_id, user_id)
        if target is None or target.role == BANNED:
            raise _member_not_found()
        _require_outranks(standing, target)
        self._end_membership(standing.room, target, actor_id=caller.user_id, reason="removed")

    def _change_member(
        self, standing: Standing, user_id: str, target: Member | None, body: UpdateMember
    ) -> Member:
        if body.ban is not None:
            return self._ban(standing, user_id, target) if body.ban else self._unban(target)
        if target is None or target.role == BANNED:
            raise _member_not_found()
        changed = target
        if body.mute is not None:
            _require_outranks(standing, target)
            changed = structs.replace(changed, muted=body.mute)
        if body.role is not None and body.role != target.role:
            if body.role == OWNER:
                return self._hand_over(standing, changed, target)
            if standing.rank < RANKS[ADMIN] or RANKS[body.role] >= standing.rank:
                raise Problem.forbidden(
                    "You can only assign roles below your own.", "role_required"
                )
            _require_outranks(standing, target)
            changed = structs.replace(changed, role=body.role)
        if changed is target:
            return target
        self._rooms.replace((target, changed))
        return structs.replace(changed, version=target.version + 1)

    def _hand_over(self, standing: Standing, changed: Member, target: Member) -> Member:
        owner = standing.require_member()
        if owner.role != OWNER:
            raise Problem.forbidden(
                "Only the owner can transfer the ownership of the room.", "role_required"
            )
        if target.anonymous:
            raise Problem.forbidden("An anonymous user cannot own a room.", "anonymous_not_allowed")
        new_owner = structs.replace(changed, role=OWNER)
        self._rooms.replace((owner, structs.replace(owner, role=ADMIN)), (target, new_owner))
        return structs.replace(new_owner, version=target.version + 1)

    def _ban(self, standing: Standing, user_id: str, target: Member | None) -> Member:
        if user_id == standing.caller.user_id:
            raise Problem.forbidden("You cannot ban yourself.", "role_required")
        if target is None:
            ban = Member(
                room_id=standing.room.room_id,
                user_id=user_id,
                role=BANNED,
                room_type=standing.room.type,
                display_name=known.name_for(None)
                if (known := self._people.find(user_id))
                else UNKNOWN_NAME,
                joined_at=timestamp(self._clock()),
            )
            self._rooms.ban(ban)
            return ban
        if target.role == BANNED:
            return target
        _require_outranks(standing, target)
        ban = structs.replace(target, role=BANNED, muted=False)
        self._end_membership(
            standing.room, target, actor_id=standing.caller.user_id, reason="banned", ban=ban
        )
        return structs.replace(ban, version=target.version + 1)

    def _unban(self, target: Member | None) -> Member:
        if target is None:
            raise _member_not_found()
        if target.role == BANNED:
            self._rooms.unban(target)
            return structs.replace(target, role=_BAN_LIFTED)
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
            detail = "You already have a direct room with this user."
            problem = Problem.conflict(detail, "direct_room_exists")
            problem.members["roomId"] = error.room_id
            raise problem from None
        except ChangedError:
            raise room_not_found() from None
        self._announce("user_joined", room_id, member)
        return member

    def _end_membership(
        self, room: Room, member: Member, *, actor_id: str, reason: str, ban: Member | None = None
    ) -> None:
        event = self._event("MemberLeft", actor_id, room, userId=member.user_id, reason=reason)
        try:
            self._rooms.end_membership(member, [event], pair=room.pair, ban=ban)
        except ChangedError:
            raise Problem.stale() from None
        # The connections leave first, so that the removed member does not get this frame.
        self._broadcast.evict(room.room_id, member.user_id)
        self._announce("user_left", room.room_id, member)

    def _announce(self, frame_type: str, room_id: str, member: Member) -> None:
        frame = {
            "type": frame_type,
            "roomId": room_id,
            "userId": member.user_id,
            "displayName": member.display_name,
        }
        self._broadcast.send(Delivery(room_id, frame))

    def _list_views(
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
                # The caller's own rooms are already listed. Banned users do not see the room.
                if member is None:
                    yield False, _view(room, counters, None)
            if len(ids) < chunk:
                return
            after = ids[-1]

    def _read_view(self, room: Room, member: Member | None) -> RoomView:
        counters = self._rooms.counters(room.room_id)
        if counters is None:
            raise room_not_found()
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


def room_not_found() -> Problem:
    return Problem.not_found("There is no such room.", "room_not_found")


def _member_not_found() -> Problem:
    return Problem.not_found("The room has no such member.", "member_not_found")


def _banned() -> Problem:
    return Problem.forbidden("You are banned from this room.", "banned")


def _not_a_member() -> Problem:
    return Problem.forbidden("Only members of the room can do this.", "not_a_member")


def _require_outranks(standing: Standing, target: Member) -> None:
    if standing.rank <= target.rank:
        raise Problem.forbidden("The role of this member is not below your own.", "role_required")


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
