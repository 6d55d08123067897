"""The names others see, and what else of a user is told: a registered one's profile says which, an anonymous one has an alias in each
room."""

from collections.abc import Collection, Sequence

from msgspec import Struct

from lambdas.chat.rooms import Member
from lambdas.common.caller import Caller
from lambdas.common.clock import SYSTEM_CLOCK, Clock
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
"""Seconds that what a profile says for messages and frames is used again without being looked up."""

_REMEMBERED = 10_000  # profiles, some hundred bytes each


class Author(Struct, frozen=True, kw_only=True):
    """Who an act is shown as. `user_id` is None for an anonymous one; `actor_id` is what events call its author: then the alias."""

    user_id: str | None
    name: str
    actor_id: str


class People:
    """Names and preferences, from the profiles and the aliases."""

    def __init__(
        self, profiles: ProfileReader, aliases: AliasStore, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._profiles = profiles
        self._aliases = aliases
        self._clock = clock
        self._known: dict[str, tuple[float, KnownProfile | None]] = {}

    def author(self, caller: Caller, room_id: str, *, anonymous: bool) -> Author:
        """Who the caller is shown as in the room; an anonymous user is anonymous always."""
        if anonymous or caller.is_anonymous:
            alias = self._aliases.alias(caller.user_id, "chat_room", room_id)
            return Author(user_id=None, name=alias.display_name, actor_id=alias.alias_id)
        return Author(
            user_id=caller.user_id, name=self.public_name(caller), actor_id=caller.user_id
        )

    def public_name(self, caller: Caller) -> str:
        """The caller's name for people of whom nothing is known."""
        if caller.is_anonymous:
            return caller.display_name
        profile = self._recent([caller.user_id])[caller.user_id]
        # Until the profile is made, its name is the account's and its visibility the default.
        return profile.name_for(None) if profile else caller.display_name or UNKNOWN_NAME

    def online(self, user_ids: Sequence[str]) -> dict[str, Visibility]:
        """Who may know that these registered users, each of them given once, are online."""
        found = self._recent(user_ids)
        return {
            user_id: profile.online if profile else ACTIVITY_VISIBILITY
            for user_id, profile in found.items()
        }

    def shows_reading(self, user_id: str) -> bool:
        """Whether a registered user lets others know how far they have read."""
        profile = self._recent([user_id])[user_id]
        return (profile.personal if profile else PersonalPrivacy()).show_read_receipts

    def find(self, user_id: str) -> KnownProfile | None:
        """The registered user's profile as it is now; None when nobody, or no profile yet, has that id."""
        return self._profiles.profiles([user_id]).get(user_id)

    def member_names(self, members: Collection[Member], viewer: Caller) -> dict[str, str]:
        """Members' names as this viewer may see them, by user id."""
        names = {member.user_id: member.display_name for member in members if member.anonymous}
        earlier = {
            member.user_id: member.display_name for member in members if not member.anonymous
        }
        return names | self._profiles.display_names(earlier, viewer, earlier)

    def _recent(self, user_ids: Sequence[str]) -> dict[str, KnownProfile | None]:
        """These users' profiles, up to PROFILE_AGE old."""
        now = self._clock()
        asked = [user_id for user_id in user_ids if self._known.get(user_id, (0.0, None))[0] <= now]
        if asked:
            found = self._profiles.profiles(asked)
            if len(self._known) > _REMEMBERED:
                self._known = {
                    user_id: self._known[user_id] for user_id in user_ids if user_id in self._known
                }
            self._known.update(
                (user_id, (now + PROFILE_AGE, found.get(user_id))) for user_id in asked
            )
        return {user_id: self._known[user_id][1] for user_id in user_ids}
