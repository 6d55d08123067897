"""The logic of the profile service: profiles, aliases and avatars."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from msgspec import UNSET, structs

from lambdas.common.caller import Caller
from lambdas.common.clock import SYSTEM_CLOCK, Clock, timestamp
from lambdas.common.logs import Logger
from lambdas.common.people.aliases import Alias, ContextType
from lambdas.common.people.profiles import UNKNOWN_NAME, may_see
from lambdas.common.problems import FieldError, Problem
from lambdas.common.storage.retries import Sleep, attempts
from lambdas.common.storage.uploads import SignedUpload, StoredObject
from lambdas.common.web.preconditions import IfMatch
from lambdas.profile.models import (
    LINKS_RULE,
    MAX_LINKS,
    OwnProfile,
    Preferences,
    Privacy,
    Profile,
    ProfileView,
    ReplaceProfile,
    Statistics,
    UpdateProfile,
)
from lambdas.profile.store import ProfileStore

AVATARS_PREFIX = "avatars/"
"""The prefix of the S3 keys of avatars that CloudFront can read."""

_HIDDEN_VALUES: Mapping[str, Mapping[str, Any]] = {
    "display_name": {"display_name": None},
    "bio": {"bio": None},
    "avatar": {"avatar_url": None},
    # A time zone reveals the location, so the privacy setting of the location hides both.
    "location": {"location": None, "timezone": None},
    "social_links": {"social_links": {}},
}
"""For each privacy setting, the values that replace the hidden fields. The setting
`activity_status` is missing, because it applies only to chat."""


class Aliases(Protocol):
    def get_or_create(self, user_id: str, context_type: ContextType, context: str) -> Alias: ...

    def regenerate(
        self, user_id: str, context_type: ContextType, context: str, alias_id: str
    ) -> Alias: ...


class Pictures(Protocol):
    def sign(self, user_id: str, content_type: str, content_length: int) -> SignedUpload: ...

    def use(self, user_id: str, key: str, target_prefix: str) -> StoredObject: ...

    def remove(self, key: str) -> None: ...


class ProfileService:
    """The operations of the profile API (docs/api/profile.md). Methods raise Problem."""

    def __init__(
        self,
        *,
        profiles: ProfileStore,
        aliases: Aliases,
        pictures: Pictures,
        picture_url: Callable[[str], str],
        logger: Logger,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Sleep = time.sleep,
    ) -> None:
        """`picture_url` returns a picture's URL for its S3 key."""
        self._profiles = profiles
        self._aliases = aliases
        self._pictures = pictures
        self._picture_url = picture_url
        self._logger = logger
        self._clock = clock
        self._sleep = sleep

    def get_own(self, caller: Caller) -> OwnProfile:
        """Returns the caller's profile. Creates it on first use."""
        return self._own_view(self._find_or_create(caller))

    def get_other(self, viewer: Caller, user_id: str) -> ProfileView:
        """Returns a user's profile without the fields hidden from this viewer."""
        profile = self._profiles.find(user_id)
        if profile is None:
            raise Problem.not_found("There is no user with this id.")
        hidden: dict[str, Any] = {}
        for field, emptied in _HIDDEN_VALUES.items():
            if not may_see(getattr(profile.privacy, field), user_id, viewer):
                hidden |= emptied
        return structs.replace(self._view(profile), **hidden)

    def update(
        self, caller: Caller, body: ReplaceProfile | UpdateProfile, if_match: IfMatch
    ) -> OwnProfile:
        return self._update(caller, if_match, lambda before: _changed(before, body))

    def set_privacy(self, caller: Caller, privacy: Privacy, if_match: IfMatch) -> OwnProfile:
        return self._update(
            caller, if_match, lambda before: structs.replace(before, privacy=privacy)
        )

    def set_preferences(
        self, caller: Caller, preferences: Preferences, if_match: IfMatch
    ) -> OwnProfile:
        return self._update(
            caller, if_match, lambda before: structs.replace(before, preferences=preferences)
        )

    def sign_avatar(self, caller: Caller, content_type: str, content_length: int) -> SignedUpload:
        return self._pictures.sign(caller.user_id, content_type, content_length)

    def set_avatar(self, caller: Caller, key: str, if_match: IfMatch) -> OwnProfile:
        # Detects a conflict before the picture is copied.
        if_match.check(self._find_or_create(caller).version)
        stored = self._pictures.use(caller.user_id, key, AVATARS_PREFIX)
        try:
            before, after = self._change(
                caller,
                if_match,
                lambda profile: structs.replace(profile, avatar_key=stored.key),
                _avatar_changed,
            )
        # After any other error, the picture is kept, because the profile may already refer to it.
        except Problem:
            self._remove(stored.key)
            raise
        if before.avatar_key:
            self._remove(before.avatar_key)
        return self._own_view(after)

    def delete_avatar(self, caller: Caller) -> None:
        def without(profile: Profile) -> Profile:
            # The picture is deleted first, so that a repeated request can finish the deletion.
            if profile.avatar_key:
                self._pictures.remove(profile.avatar_key)
            return structs.replace(profile, avatar_key=None)

        self._change(caller, IfMatch(), without, _avatar_changed)

    def get_alias(self, caller: Caller, context_type: ContextType, context: str) -> Alias:
        return self._aliases.get_or_create(caller.user_id, context_type, context)

    def regenerate_alias(
        self, caller: Caller, context_type: ContextType, context: str, alias_id: str
    ) -> Alias:
        return self._aliases.regenerate(caller.user_id, context_type, context, alias_id)

    def _find_or_create(self, caller: Caller) -> Profile:
        name = caller.display_name or UNKNOWN_NAME
        if caller.is_anonymous:  # anonymous users exist for one hour and have no stored profile
            return Profile(user_id=caller.user_id, display_name=name)
        profile = self._profiles.find(caller.user_id)
        return profile or self._profiles.create(caller.user_id, name, timestamp(self._clock()))

    def _update(
        self, caller: Caller, if_match: IfMatch, change: Callable[[Profile], Profile]
    ) -> OwnProfile:
        _, after = self._change(caller, if_match, change, _profile_updated)
        return self._own_view(after)

    def _change(
        self,
        caller: Caller,
        if_match: IfMatch,
        change: Callable[[Profile], Profile],
        event: Callable[[Profile, Profile], tuple[str, dict[str, Any]]],
    ) -> tuple[Profile, Profile]:
        """Changes the caller's profile, and returns it before and after the change.

        If `change` returns an equal profile, no version and no event are created.
        """
        for _ in attempts(self._sleep):
            before = self._find_or_create(caller)
            if_match.check(before.version)
            changed = change(before)
            if changed == before:
                return before, before
            after = structs.replace(changed, version=before.version + 1)
            event_type, data = event(before, after)
            if self._profiles.replace(before, after, event_type, data):
                return before, after
        raise AssertionError("unreachable: attempts() raises after the last attempt")

    def _remove(self, key: str) -> None:
        """Deletes an unused picture. Only logs failures, because the request itself succeeded."""
        try:
            self._pictures.remove(key)
        except (ClientError, BotoCoreError):
            self._logger.exception("deleting an unused avatar failed", key=key)

    def _own_view(self, profile: Profile) -> OwnProfile:
        return OwnProfile(
            **structs.asdict(self._view(profile)),
            privacy=profile.privacy,
            preferences=profile.preferences,
            version=profile.version,
        )

    def _view(self, profile: Profile) -> ProfileView:
        return ProfileView(
            user_id=profile.user_id,
            display_name=profile.display_name,
            bio=profile.bio,
            avatar_url=self._picture_url(profile.avatar_key) if profile.avatar_key else None,
            location=profile.location,
            timezone=profile.timezone,
            social_links=profile.social_links,
            interests=profile.interests,
            badges=profile.badges,
            stats=Statistics(
                # Events arrive in any order, so a decrement may be counted before an increment.
                posts_count=max(0, profile.posts_count),
                comments_count=max(0, profile.comments_count),
                likes_received=max(0, profile.likes_received),
                joined_at=profile.joined_at,
            ),
        )


def _changed(before: Profile, body: ReplaceProfile | UpdateProfile) -> Profile:
    changes: dict[str, Any] = {
        name: value for name, value in structs.asdict(body).items() if value is not UNSET
    }
    for name in ("bio", "location"):
        if name in changes:
            changes[name] = changes[name] or None
    if "social_links" in changes:
        kept = (
            before.social_links
            if isinstance(body, UpdateProfile) and body.social_links is not None
            else {}
        )
        links = {**kept, **(changes["social_links"] or {})}
        changes["social_links"] = {name: link for name, link in links.items() if link is not None}
        if len(changes["social_links"]) > MAX_LINKS:
            raise Problem.invalid([FieldError("socialLinks", LINKS_RULE)])
    if "interests" in changes:
        changes["interests"] = list(dict.fromkeys(changes["interests"] or []))
    return structs.replace(before, **changes)


def _profile_updated(before: Profile, after: Profile) -> tuple[str, dict[str, Any]]:
    """Returns the event with the names of the changed fields, without the private values."""
    names = {field.name: field.encode_name for field in structs.fields(OwnProfile)}
    changed = [
        names[name]
        for name in Profile.__struct_fields__
        if name != "version" and getattr(after, name) != getattr(before, name)
    ]
    return "ProfileUpdated", {"userId": after.user_id, "version": after.version, "fields": changed}


def _avatar_changed(_before: Profile, after: Profile) -> tuple[str, dict[str, Any]]:
    """Returns the event AvatarChanged. Omits the avatar's URL, which may be private."""
    data = {
        "userId": after.user_id,
        "version": after.version,
        "hasAvatar": after.avatar_key is not None,
    }
    return "AvatarChanged", data
