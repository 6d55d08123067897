"""The names others see: a registered user's profile says which, an anonymous one has an alias in each room."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from lambdas.chat.rooms import Member
from lambdas.common.aliases import AliasStore
from lambdas.common.caller import Caller
from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.dynamodb import batch_get
from lambdas.common.profiles import DISPLAY_NAME_VISIBILITY, UNKNOWN_NAME, may_see

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NAME_AGE = 60
"""Seconds that a name which goes into messages and frames is used again without being looked up."""


class Author(Struct, frozen=True, kw_only=True):
    """Who an act is shown as. `user_id` is None for an anonymous one; `actor_id` is what events call its author: then the alias."""

    user_id: str | None
    name: str
    actor_id: str


class People:
    """Names, from the profiles and the aliases."""

    def __init__(
        self, dynamodb: "DynamoDBClient", profiles_table: str, aliases: AliasStore, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._dynamodb = dynamodb
        self._table = profiles_table
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
            profile = self._profiles([caller.user_id]).get(caller.user_id)
            # Until the profile is made, its name is the account's and its visibility the default.
            name = _name(profile, caller.user_id, None, caller.display_name)
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[caller.user_id] = (self._clock() + NAME_AGE, name)
        return name

    def invited_name(self, user_id: str) -> str:
        """The public name of somebody who is not there to say it."""
        return _name(self._profiles([user_id]).get(user_id), user_id, None, UNKNOWN_NAME)

    def member_names(self, members: Iterable[Member], viewer: Caller) -> dict[str, str]:
        """Members' names as this viewer may see them, by user id."""
        members = list(members)
        profiles = self._profiles([member.user_id for member in members if not member.anonymous])
        return {
            member.user_id: _name(profiles.get(member.user_id), member.user_id, viewer, member.display_name)
            for member in members
        }

    def _profiles(self, user_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        keys = [{"user_id": user_id} for user_id in user_ids]
        attributes = ("user_id", "display_name", "privacy")
        return {item["user_id"]: item for item in batch_get(self._dynamodb, self._table, keys, attributes)}


def _name(profile: dict[str, Any] | None, user_id: str, viewer: Caller | None, unmade: str) -> str:
    if profile is None or "display_name" not in profile:
        return unmade
    visibility = profile.get("privacy", {}).get("display_name", DISPLAY_NAME_VISIBILITY)
    name: str = profile["display_name"]
    return name if may_see(visibility, user_id, viewer) else UNKNOWN_NAME
