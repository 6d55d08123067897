"""The names others see: a registered user's profile says which, an anonymous one has an alias in each room."""

from collections.abc import Collection

from msgspec import Struct

from lambdas.chat.rooms import Member
from lambdas.common.aliases import AliasStore
from lambdas.common.caller import Caller
from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.profiles import ProfileReader

NAME_AGE = 60
"""Seconds that a name which goes into messages and frames is used again without being looked up."""


class Author(Struct, frozen=True, kw_only=True):
    """Who an act is shown as. `user_id` is None for an anonymous one; `actor_id` is what events call its author: then the alias."""

    user_id: str | None
    name: str
    actor_id: str


class People:
    """Names, from the profiles and the aliases."""

    def __init__(self, profiles: ProfileReader, aliases: AliasStore, clock: Clock = SYSTEM_CLOCK) -> None:
        self._profiles = profiles
        self._aliases = aliases
        self._clock = clock
        self._known: dict[str, tuple[float, str]] = {}

    def author(self, caller: Caller, room_id: str, *, anonymous: bool) -> Author:
        """Who the caller is shown as in the room; an anonymous user is anonymous always."""
        if anonymous or caller.is_anonymous:
            alias = self._aliases.alias(caller.user_id, "chat_room", room_id)
            return Author(user_id=None, name=alias.display_name, actor_id=alias.alias_id)
        return Author(user_id=caller.user_id, name=self.public_name(caller), actor_id=caller.user_id)

    def public_name(self, caller: Caller) -> str:
        """The caller's name for people of whom nothing is known."""
        if caller.is_anonymous:
            return caller.display_name
        until, name = self._known.get(caller.user_id, (0.0, ""))
        if until <= self._clock():
            # Until the profile is made, its name is the account's and its visibility the default.
            earlier = {caller.user_id: caller.display_name}
            name = self._profiles.display_names(earlier, earlier=earlier)[caller.user_id]
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[caller.user_id] = (self._clock() + NAME_AGE, name)
        return name

    def invited_name(self, user_id: str) -> str:
        """The public name of somebody who is not there to say it."""
        return self._profiles.display_names([user_id])[user_id]

    def member_names(self, members: Collection[Member], viewer: Caller) -> dict[str, str]:
        """Members' names as this viewer may see them, by user id."""
        names = {member.user_id: member.display_name for member in members if member.anonymous}
        earlier = {member.user_id: member.display_name for member in members if not member.anonymous}
        return names | self._profiles.display_names(earlier, viewer, earlier)
