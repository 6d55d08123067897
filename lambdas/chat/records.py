"""Rooms and members as the chat tables store them, their keys, and the errors of writes.

Each room has two counters, which are separate items of the rooms table: the number of members, and
the number (`seq`) and time of the last message. If they were attributes of the room's item, each
change would rewrite the room's entry in the index by type. Counters have no `type` attribute, so
the index does not contain them.
"""

from msgspec import Struct

from lambdas.chat.models import Role, RoomType
from lambdas.common.storage.dynamodb import Table

OWNER: Role = "owner"
ADMIN: Role = "admin"
MODERATOR: Role = "moderator"
MEMBER: Role = "member"
BANNED = "banned"
FORMER = "former"
"""The roles in items that are not memberships.

BANNED is the role of banned users. FORMER is the role of former members who are muted. Their item
is kept so that the mute applies if they join again.
"""

RANKS: dict[str, int] = {MEMBER: 1, MODERATOR: 2, ADMIN: 3, OWNER: 4}
"""The ranks of members' roles. Users who are not members have rank 0."""


class Room(Struct, frozen=True, kw_only=True):
    """A room. `pair` is the `pair_key` of a direct room's two members once both have joined."""

    room_id: str
    type: RoomType
    name: str
    description: str
    created_by: str
    created_at: str
    version: int = 1
    pair: str | None = None

    def new_member(
        self, user_id: str, role: str, name: str, joined_at: str, *, anonymous: bool = False
    ) -> "Member":
        return Member(
            room_id=self.room_id,
            user_id=user_id,
            role=role,
            room_type=self.type,
            display_name=name,
            joined_at=joined_at,
            anonymous=anonymous,
        )


class Member(Struct, frozen=True, kw_only=True):
    """A user's membership in a room, their ban from it, or the mute of a former member.

    `display_name` is the name at the time of joining. It is shown if the user has no profile.
    """

    room_id: str
    user_id: str
    role: str
    room_type: RoomType
    display_name: str
    joined_at: str
    anonymous: bool = False
    muted: bool = False
    version: int = 1

    @property
    def rank(self) -> int:
        """The rank of the role in RANKS, 0 for a user who is not a member."""
        return RANKS.get(self.role, 0)

    @property
    def is_member(self) -> bool:
        return self.role in RANKS

    @property
    def may_broadcast(self) -> bool:
        """Returns True if the member is not muted and has a role that may send messages."""
        return not self.muted and (
            self.room_type != "announcement" or self.rank >= RANKS[MODERATOR]
        )


class Counters(Struct, frozen=True, kw_only=True):
    """The values of a room's two counters."""

    seq: int
    last_activity: str
    members: int
    max_members: int | None


class Head(Struct, frozen=True, kw_only=True):
    """The number and time of a room's last message. `seq` is 0 before the first message."""

    seq: int
    last_activity: str


class RoomFullError(Exception):
    """The room has reached its maximum number of members."""


class MemberExistsError(Exception):
    """The user is already a member of the room, or is banned from it."""

    def __init__(self, member: Member) -> None:
        super().__init__(member.role)
        self.member = member


class PairExistsError(Exception):
    """The two users already have a direct room."""

    def __init__(self, room_id: str) -> None:
        super().__init__(room_id)
        self.room_id = room_id


class ChangedError(Exception):
    """The item to write was changed or deleted after it was read."""


class ChatTables(Struct, frozen=True, kw_only=True):
    rooms: Table
    members: Table
    messages: Table
    idempotency: Table


def seq_key(room_id: str) -> str:
    """Returns the key of a room's message counter in the rooms table."""
    return f"{room_id}#seq"


def members_key(room_id: str) -> str:
    """Returns the key of a room's member counter in the rooms table."""
    return f"{room_id}#members"


def pair_key(first: str, second: str) -> str:
    """Returns the key of the item for the direct room of two users, given in any order."""
    return "direct#" + "#".join(sorted((first, second)))
