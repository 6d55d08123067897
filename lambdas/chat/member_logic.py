"""The rules for joining and leaving rooms, and for the roles, mutes and bans of members."""

import time

from msgspec import structs

from lambdas.chat.broadcast import Broadcast
from lambdas.chat.members import MemberStore
from lambdas.chat.models import DIRECT_LIMIT, MembersQuery, MemberView, RoomType, UpdateMember
from lambdas.chat.people import People
from lambdas.chat.records import (
    ADMIN,
    BANNED,
    FORMER,
    MEMBER,
    MODERATOR,
    OWNER,
    RANKS,
    ChangedError,
    Member,
    MemberExistsError,
    PairExistsError,
    RoomFullError,
    pair_key,
)
from lambdas.chat.rooms import RoomStore
from lambdas.chat.standing import Standing, Standings, banned, room_not_found
from lambdas.common.caller import Caller
from lambdas.common.clock import timestamp
from lambdas.common.live.fanout import Delivery, Departure
from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.people.profiles import UNKNOWN_NAME
from lambdas.common.problems import FieldError, Problem
from lambdas.common.web.pagination import Cursors, Page
from lambdas.common.web.preconditions import IfMatch, repeat_if_changed

OPEN_TYPES: frozenset[RoomType] = frozenset({"public", "announcement"})
"""Room types that users can join without an invitation. `list_rooms` returns public rooms to all
callers, and announcement rooms only to their members."""

INVITER_RANKS: dict[RoomType, int] = {
    "public": RANKS[MEMBER],
    "group": RANKS[MEMBER],
    "direct": RANKS[OWNER],
    "private": RANKS[MODERATOR],
    "announcement": RANKS[MODERATOR],
}
"""The lowest rank that may invite users, by room type."""

MEMBERS_ONLY: frozenset[RoomType] = frozenset({"direct", "group", "private", "announcement"})
"""Room types whose messages only members can read. A user who does not accept direct messages can
be invited to these rooms only by users with whom the user already has a direct room.
"""


class MemberService:
    """The member operations of the API (docs/api/chat.md). Methods raise Problem."""

    def __init__(
        self,
        *,
        members: MemberStore,
        rooms: RoomStore,
        standings: Standings,
        people: People,
        broadcast: Broadcast,
        outbox: OutboxWriter,
        cursors: Cursors,
    ) -> None:
        self._members = members
        self._rooms = rooms
        self._standings = standings
        self._people = people
        self._broadcast = broadcast
        self._outbox = outbox
        self._cursors = cursors

    def list_members(self, caller: Caller, room_id: str, query: MembersQuery) -> Page[MemberView]:
        """Lists members. Moderators can also list banned users."""
        standing = self._standings.find(caller, room_id)
        standing.require_reader()
        if query.role == BANNED:
            standing.require_rank(RANKS[MODERATOR])
        scope = f"chat-members {room_id}"
        after = self._cursors.position(query, scope)
        members = self._members.list_page(room_id, query.limit + 1, after, role=query.role)
        page = members[: query.limit]
        names = self._people.member_names(page, caller)
        views = [_view(member, names[member.user_id]) for member in page]
        return self._cursors.page(
            views, query, scope, page[-1].user_id if len(members) > query.limit else None
        )

    def join(self, standing: Standing) -> Member:
        """Returns the caller's membership. If it is missing, creates it in rooms of OPEN_TYPES."""
        caller, room = standing.caller, standing.room
        standing.require_not_banned()
        if standing.membership:
            return standing.membership
        if room.type not in OPEN_TYPES:
            raise Problem.forbidden("This room requires an invitation.", "invitation_required")
        if caller.is_anonymous and room.type != "public":
            raise Problem.forbidden(
                "Anonymous users can chat only in public rooms.", "anonymous_not_allowed"
            )
        member = room.new_member(
            caller.user_id,
            MEMBER,
            self._people.public_name(caller),
            timestamp(time.time()),
            anonymous=caller.is_anonymous,
        )
        return self._add(member, actor_id=caller.user_id)

    @repeat_if_changed(ChangedError)
    def leave(self, caller: Caller, room_id: str) -> None:
        """Ends the caller's membership.

        If the owner leaves a direct room, the other member becomes its owner. If no other member is
        left, the room is deleted. Owners cannot leave rooms of other types (Problem 409).
        """
        standing = self._standings.find(caller, room_id)
        member, new_owner = standing.require_member(), None
        if member.role == OWNER:
            if standing.room.type != "direct":
                detail = (
                    "The owner cannot leave. Make another member the owner, or delete the room."
                )
                raise Problem.conflict(detail, "owner_cannot_leave")
            members = self._members.list_page(member.room_id, DIRECT_LIMIT, None)
            new_owner = next((m for m in members if m.user_id != member.user_id), None)
            if new_owner is None:
                self._rooms.remove(member.room_id, time.time())
                self._broadcast.evict(member.room_id, "deleted")
                return
        self._end_membership(standing, member, reason="left", new_owner=new_owner)

    def invite(self, caller: Caller, room_id: str, user_id: str) -> MemberView:
        """Makes a user a member of the room. Idempotent.

        Raises:
            Problem: 404 if the user has no profile. A profile is created within seconds of
                registration, or when the user first reads it, so a later retry can succeed.
                Anonymous users have no profile and cannot be invited.
                403 in a room of MEMBERS_ONLY if the user does not accept direct messages,
                unless the two users have a direct room.
        """
        standing = self._standings.find(caller, room_id)
        standing.require_rank(INVITER_RANKS[standing.room.type])
        if user_id == caller.user_id:
            return _view(standing.require_member(), self._people.public_name(caller))
        invited = self._people.find(user_id)
        if invited is None:
            raise Problem.not_found("There is no user with this id.", "user_not_found")
        pair = pair_key(caller.user_id, user_id)
        if (
            standing.room.type in MEMBERS_ONLY
            and not invited.personal.allow_direct_messages
            and not self._members.has_pair(pair)
        ):
            raise Problem.forbidden(
                "This user accepts invitations only to public rooms.",
                "direct_messages_refused",
            )
        member = standing.room.new_member(
            user_id, MEMBER, invited.name_for(None), timestamp(time.time())
        )
        is_direct = standing.room.type == "direct"
        added = self._add(member, actor_id=caller.user_id, pair=pair if is_direct else None)
        return self._named_view(added, caller)

    @repeat_if_changed(ChangedError)
    def update(
        self, caller: Caller, room_id: str, user_id: str, body: UpdateMember, if_match: IfMatch
    ) -> MemberView:
        """Changes a member's role, mutes or bans them, or lifts the mute or the ban.

        The owner and administrators assign roles below their own. Moderators and higher roles
        mute and ban members whose rank is below their own. Mutes and bans stay in effect after the
        membership ends.
        """
        standing = self._standings.find(caller, room_id)
        standing.require_rank(RANKS[MODERATOR])
        target = self._members.find(room_id, user_id)
        if target is not None:
            if_match.check(target.version)
        return self._named_view(self._change(standing, user_id, target, body), caller)

    @repeat_if_changed(ChangedError)
    def remove(self, caller: Caller, room_id: str, user_id: str) -> None:
        if user_id == caller.user_id:
            self.leave(caller, room_id)
            return
        standing = self._standings.find(caller, room_id)
        standing.require_rank(RANKS[MODERATOR])
        target = self._members.find(room_id, user_id)
        if target is None or not target.is_member:
            raise _member_not_found()
        standing.require_outranks(target)
        self._end_membership(standing, target, reason="removed")

    def _change(
        self, standing: Standing, user_id: str, target: Member | None, body: UpdateMember
    ) -> Member:
        if body.ban:
            return self._ban(standing, user_id, target, body)
        if target is None:
            raise _member_not_found()
        changed = target
        if body.ban is False and target.role == BANNED:
            changed = structs.replace(target, role=FORMER)
        if changed.role == BANNED:
            raise _member_not_found()
        if body.mute is not None:
            standing.require_outranks(target)
            changed = structs.replace(changed, muted=body.mute)
        if body.role is not None and body.role != target.role:
            if not changed.is_member:
                raise _member_not_found()
            if body.role == OWNER:
                return self._transfer_ownership(standing, target, changed)
            if standing.rank < RANKS[ADMIN] or RANKS[body.role] >= standing.rank:
                raise Problem.forbidden(
                    "You can only assign roles below your own.", "role_required"
                )
            standing.require_outranks(target)
            changed = structs.replace(changed, role=body.role)
        if changed == target:
            return target
        if changed.role == FORMER and not changed.muted:
            self._members.forget(target)
            return changed
        return self._replace(target, changed)

    def _transfer_ownership(self, standing: Standing, target: Member, changed: Member) -> Member:
        owner = standing.require_member()
        if owner.role != OWNER:
            raise Problem.forbidden(
                "Only the owner can transfer the ownership of the room.", "role_required"
            )
        if target.anonymous:
            raise Problem.forbidden("An anonymous user cannot own a room.", "anonymous_not_allowed")
        previous_owner = structs.replace(owner, role=ADMIN)
        return self._replace(target, structs.replace(changed, role=OWNER), (owner, previous_owner))

    def _replace(self, before: Member, after: Member, *others: tuple[Member, Member]) -> Member:
        self._members.replace((before, after), *others)
        return structs.replace(after, version=before.version + 1)

    def _ban(
        self, standing: Standing, user_id: str, target: Member | None, body: UpdateMember
    ) -> Member:
        if user_id == standing.caller.user_id:
            raise Problem.forbidden("You cannot ban yourself.", "role_required")
        if body.role is not None:
            raise Problem.invalid([FieldError("role", "must not be given with a ban")])
        if target is None:
            profile = self._people.find(user_id)
            name = profile.name_for(None) if profile else UNKNOWN_NAME
            ban = standing.room.new_member(user_id, BANNED, name, timestamp(time.time()))
            ban = structs.replace(ban, muted=bool(body.mute))
            self._members.ban(ban)
            return ban
        muted = target.muted if body.mute is None else body.mute
        ban = structs.replace(target, role=BANNED, muted=muted)
        if ban == target:
            return target
        if not target.is_member:
            return self._replace(target, ban)
        standing.require_outranks(target)
        self._end_membership(standing, target, reason="banned", ban=ban)
        return structs.replace(ban, version=target.version + 1)

    def _add(self, member: Member, *, actor_id: str, pair: str | None = None) -> Member:
        data = {"roomId": member.room_id, "userId": member.user_id, "role": member.role}
        event = self._outbox.put("MemberJoined", actor_id=actor_id, data=data)
        try:
            added = self._members.add(member, event, pair)
        except RoomFullError:
            raise Problem.conflict("The room is full.", "room_full") from None
        except MemberExistsError as error:
            if error.member.role == BANNED:
                raise (banned() if actor_id == member.user_id else _user_banned()) from None
            return error.member
        except PairExistsError as error:
            detail = "You already have a direct room with this user."
            problem = Problem.conflict(detail, "direct_room_exists")
            problem.members["roomId"] = error.room_id
            raise problem from None
        except ChangedError:
            raise room_not_found() from None
        self._announce("user_joined", added)
        return added

    def _end_membership(
        self,
        standing: Standing,
        member: Member,
        *,
        reason: Departure,
        ban: Member | None = None,
        new_owner: Member | None = None,
    ) -> None:
        replacement = ban or (structs.replace(member, role=FORMER) if member.muted else None)
        data = {"roomId": member.room_id, "userId": member.user_id, "reason": reason}
        event = self._outbox.put("MemberLeft", actor_id=standing.caller.user_id, data=data)
        self._members.end(
            member, event, pair=standing.room.pair, replacement=replacement, new_owner=new_owner
        )
        # The user's connections are removed first, so that they do not receive the `user_left`
        # frame.
        self._broadcast.evict(member.room_id, reason, member.user_id)
        self._announce("user_left", member)

    def _announce(self, frame_type: str, member: Member) -> None:
        # The frame does not show the name of a user without permission to send messages.
        # Otherwise the user could send texts to the room by changing the name before joining or
        # leaving.
        name = UNKNOWN_NAME
        if member.may_broadcast:
            name = self._people.member_names([member], None)[member.user_id]
        frame = {
            "type": frame_type,
            "roomId": member.room_id,
            "userId": member.user_id,
            "displayName": name,
        }
        self._broadcast.send(Delivery(member.room_id, frame))

    def _named_view(self, member: Member, viewer: Caller) -> MemberView:
        return _view(member, self._people.member_names([member], viewer)[member.user_id])


def _user_banned() -> Problem:
    return Problem.forbidden("This user is banned from the room.", "banned")


def _member_not_found() -> Problem:
    return Problem.not_found("This user is not a member of the room.", "member_not_found")


def _view(member: Member, name: str) -> MemberView:
    return MemberView(
        user_id=member.user_id,
        display_name=name,
        role=None if member.role == FORMER else member.role,
        is_muted=member.muted,
        joined_at=member.joined_at,
        version=member.version,
    )
