"""The names and the activity of users, as other users may see them.

A registered user's profile defines the name and who may see the activity. An anonymous author has
an alias in each room.
"""

from collections.abc import Collection, Sequence

from msgspec import Struct

from lambdas.chat.records import Member
from lambdas.common.caller import Caller
from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.live.chat_messages import Message
from lambdas.common.people.aliases import AliasStore
from lambdas.common.people.profiles import (
    ACTIVITY_VISIBILITY,
    UNKNOWN_NAME,
    KnownProfile,
    PersonalPrivacy,
    ProfileReader,
    Visibility,
)

PROFILE_AGE = 60
"""Seconds for which profiles are cached in memory to decide who sees that a user is online or has
read a message. Names are not cached."""

_MAX_CACHED = 10_000
"""Maximum number of cached profiles. Each profile takes a few hundred bytes."""


class Author(Struct, frozen=True, kw_only=True):
    """The author of a message, as other users see them.

    Anonymous authors have an `alias_id`, other authors a `user_id`. `name` is the alias, or the
    name to show while the author has no profile.
    """

    user_id: str | None = None
    alias_id: str | None = None
    name: str

    @property
    def actor_id(self) -> str:
        """The author's id in events."""
        actor = self.alias_id or self.user_id
        assert actor is not None, "an author has a user id or an alias"
        return actor


class People:
    """Reads names and preferences from profiles and aliases."""

    def __init__(
        self, profiles: ProfileReader, aliases: AliasStore, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._profiles = profiles
        self._aliases = aliases
        self._clock = clock
        self._cached: dict[str, tuple[float, KnownProfile | None]] = {}

    def find_author(self, caller: Caller, room_id: str, *, anonymous: bool) -> Author:
        """Returns the caller as the author that members see.

        The author is an alias if `anonymous` is True or the caller is an anonymous user.
        """
        if anonymous or caller.is_anonymous:
            alias = self._aliases.get_or_create(caller.user_id, "chat_room", room_id)
            return Author(alias_id=alias.alias_id, name=alias.display_name)
        return Author(user_id=caller.user_id, name=caller.display_name)

    def author_names(self, messages: Sequence[Message], viewer: Caller | None) -> list[str]:
        """Returns the current name of each message's author, as `viewer` may see it.

        If `viewer` is None, returns only names that everybody may see.
        """
        return self._profiles.author_names(messages, viewer)

    def public_name(self, caller: Caller) -> str:
        """Returns the caller's name as everybody may see it."""
        if caller.is_anonymous:
            return caller.display_name
        profile = self.find(caller.user_id)
        # A user without a profile has the account's name and the default visibility.
        return profile.name_for(None) if profile else caller.display_name or UNKNOWN_NAME

    def read_online_audiences(self, user_ids: Sequence[str]) -> dict[str, Visibility]:
        """Returns who may see each registered user's online status. `user_ids` must be distinct."""
        profiles = self._read_cached(user_ids)
        return {
            user_id: profile.online if profile else ACTIVITY_VISIBILITY
            for user_id, profile in profiles.items()
        }

    def shares_read_receipts(self, user_id: str) -> bool:
        """Returns True if a registered user shares read receipts."""
        profile = self._read_cached([user_id])[user_id]
        return (profile.personal if profile else PersonalPrivacy()).show_read_receipts

    def find(self, user_id: str) -> KnownProfile | None:
        """Returns the registered user's current profile, or None if it does not exist."""
        return self._profiles.profiles([user_id]).get(user_id)

    def member_names(self, members: Collection[Member], viewer: Caller | None) -> dict[str, str]:
        """Returns the members' current names by user id. See `author_names`."""
        names = {member.user_id: member.display_name for member in members if member.anonymous}
        earlier = {
            member.user_id: member.display_name for member in members if not member.anonymous
        }
        return names | self._profiles.display_names(earlier, viewer, earlier)

    def _read_cached(self, user_ids: Sequence[str]) -> dict[str, KnownProfile | None]:
        """Returns the users' profiles, which were read at most PROFILE_AGE seconds ago."""
        now = self._clock()
        expired = [
            user_id for user_id in user_ids if self._cached.get(user_id, (0.0, None))[0] <= now
        ]
        if expired:
            profiles = self._profiles.profiles(expired)
            if len(self._cached) > _MAX_CACHED:
                self._cached = {
                    user_id: self._cached[user_id]
                    for user_id in user_ids
                    if user_id in self._cached
                }
            self._cached.update(
                (user_id, (now + PROFILE_AGE, profiles.get(user_id))) for user_id in expired
            )
        return {user_id: self._cached[user_id][1] for user_id in user_ids}
