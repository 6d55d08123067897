"""Determines the standing of callers in rooms: their membership, and what they may do there."""

from lambdas.chat.records import BANNED, MODERATOR, RANKS, Head, Member, Room
from lambdas.chat.rooms import RoomStore
from lambdas.common.caller import PLATFORM_ADMIN, PLATFORM_MODERATOR, Caller
from lambdas.common.problems import Problem


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
        return self._record if self._record is not None and self._record.is_member else None

    @property
    def rank(self) -> int:
        """The rank of the caller's role in the room, or 0 if the caller is not a member.

        Moderators and administrators of the platform have at least the rank of a moderator in
        public rooms and in rooms that they are a member of.
        """
        own = self.membership.rank if self.membership else 0
        if self.caller.roles & {PLATFORM_MODERATOR, PLATFORM_ADMIN} and (
            own or self.room.type == "public"
        ):
            return max(own, RANKS[MODERATOR])
        return own

    def require_not_banned(self) -> None:
        if self.is_banned:
            raise banned()

    def require_reader(self) -> None:
        """Requires that the caller may see the room and its messages.

        Members may see their rooms. Users who are not banned may see public rooms.
        """
        if self.is_banned or self.room.type != "public":
            self.require_member()

    def require_member(self) -> Member:
        """Requires a membership and returns it."""
        self.require_not_banned()
        if self.membership is None:
            raise Problem.forbidden("Only members of the room can do this.", "not_a_member")
        return self.membership

    def require_speaker(self) -> None:
        """Requires that the caller may send messages and signals."""
        if self.require_member().muted:
            raise Problem.forbidden("You are muted in this room.", "muted")
        if self.room.type == "announcement" and self.rank < RANKS[MODERATOR]:
            raise Problem.forbidden(
                "Only moderators can post in an announcement room.", "moderators_only"
            )

    def require_rank(self, rank: int) -> None:
        """Requires that the caller's rank is at least `rank`."""
        self.require_reader()
        if self.rank < rank:
            raise Problem.forbidden("Your role in this room does not allow this.", "role_required")

    def require_outranks(self, target: Member) -> None:
        if self.rank <= target.rank:
            raise Problem.forbidden(
                "The role of this member is not below your own.", "role_required"
            )


class Standings:
    """Reads the standing of callers in rooms. Raises Problem 404 if the room does not exist."""

    def __init__(self, rooms: RoomStore) -> None:
        self._rooms = rooms

    def find(self, caller: Caller, room_id: str) -> Standing:
        room, member = self._rooms.find(room_id, caller.user_id)
        if room is None:
            raise room_not_found()
        return Standing(room, member, caller)

    def find_to_send(self, caller: Caller, room_id: str) -> tuple[Standing, Head]:
        """Returns the standing, and the number and time of the room's last message."""
        room, member, head = self._rooms.find_to_send(room_id, caller.user_id)
        if room is None or head is None:
            raise room_not_found()
        return Standing(room, member, caller), head


def room_not_found() -> Problem:
    return Problem.not_found("There is no room with this id.", "room_not_found")


def banned() -> Problem:
    return Problem.forbidden("You are banned from this room.", "banned")
