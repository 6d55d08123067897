"""The part of profiles that several services use: creation, display names and privacy."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct, convert

from lambdas.common.caller import Caller
from lambdas.common.storage.dynamodb import Item, Table
from lambdas.common.validation import Body

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Visibility = Literal["public", "authenticated", "private"]
"""Who may see a field: all users including anonymous ones, all registered users, or only its owner.
"""

DISPLAY_NAME_VISIBILITY: Visibility = "public"
ACTIVITY_VISIBILITY: Visibility = "authenticated"
"""Who may see a user's name, and a user's online status, until the user changes the settings."""

UNKNOWN_NAME = "Someone"
"""The name shown if the user's name is hidden or unknown."""


class PersonalPrivacy(Body, frozen=True, kw_only=True):
    """A user's privacy preferences. The defaults apply until the user changes them."""

    show_online_status: bool = True
    allow_direct_messages: bool = True
    show_read_receipts: bool = True


def may_see(visibility: Visibility, owner_id: str, viewer: Caller | None) -> bool:
    """Returns True if the viewer may see a field with this visibility.

    If the viewer is None, returns True only if everybody may see the field.
    """
    if visibility == "public":
        return True
    if viewer is None or viewer.is_anonymous:
        return False
    return visibility == "authenticated" or viewer.user_id == owner_id


def make_profile(profiles: Table, *, user_id: str, display_name: str, joined_at: str) -> Item:
    """Creates the user's profile if it does not exist, and returns the stored item.

    Never overwrites an attribute. The statistics function may have created the item before, with
    only `posts_count`, `comments_count` or `likes_received`. `joined_at` is RFC 3339.
    """
    initial = {"display_name": display_name, "joined_at": joined_at, "version": 1}
    return profiles.update(
        {"user_id": user_id},
        "SET " + ", ".join(f"#{name} = if_not_exists(#{name}, :{name})" for name in initial),
        names={f"#{name}": name for name in initial},
        values={f":{name}": value for name, value in initial.items()},
        returns="ALL_NEW",
    )


class KnownProfile(Struct, frozen=True, kw_only=True):
    """The part of a profile that other services read.

    `visibility` defines who may see the display name, and `activity` who may see that the user is
    online.
    """

    user_id: str
    display_name: str
    visibility: Visibility = DISPLAY_NAME_VISIBILITY
    activity: Visibility = ACTIVITY_VISIBILITY
    personal: PersonalPrivacy = PersonalPrivacy()

    @property
    def online(self) -> Visibility:
        """Who may see that the user is online: `private` if the user hides the online status."""
        return self.activity if self.personal.show_online_status else "private"

    def name_for(self, viewer: Caller | None) -> str:
        """Returns the name to show to this viewer, or to everybody if `viewer` is None."""
        return self.display_name if may_see(self.visibility, self.user_id, viewer) else UNKNOWN_NAME


class Authored(Protocol):
    """A post, comment or message. If it is anonymous, `author_id` is None.

    `author_name` is the alias, or the author's name at the time of writing.
    """

    @property
    def author_id(self) -> str | None: ...

    @property
    def author_name(self) -> str: ...


class ProfileReader:
    """Reads profiles for other services: visible display names and privacy settings."""

    def __init__(self, dynamodb: "DynamoDBClient", profiles_table: str) -> None:
        self._table = Table(dynamodb, profiles_table)

    def display_names(
        self,
        user_ids: Iterable[str],
        viewer: Caller | None = None,
        earlier: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Returns the name to show for each user, with one read per 100 users.

        `viewer` is the user who will see the names. If it is None, only public names are returned.
        `earlier` are names stored with the content, used for users without a profile. Hidden and
        missing names become UNKNOWN_NAME. Viewers always see their own name.
        """
        wanted = set(user_ids)
        names = {user_id: (earlier or {}).get(user_id) or UNKNOWN_NAME for user_id in wanted}
        if viewer is not None and viewer.user_id in wanted and viewer.display_name:
            # If the viewer has a profile, the name in the profile replaces this name below.
            names[viewer.user_id] = viewer.display_name
        return names | {
            user_id: profile.name_for(viewer) for user_id, profile in self.profiles(wanted).items()
        }

    def author_names(self, items: Sequence[Authored], viewer: Caller | None = None) -> list[str]:
        """Returns the name to show for the author of each item. See `display_names`."""
        earlier = {item.author_id: item.author_name for item in items if item.author_id is not None}
        names = self.display_names(earlier, viewer, earlier) if earlier else {}
        return [
            item.author_name if item.author_id is None else names[item.author_id] for item in items
        ]

    def profiles(self, user_ids: Collection[str]) -> dict[str, KnownProfile]:
        """Returns the profiles by user id. Omits users who have no profile.

        Makes one read per 100 users. `user_ids` must not contain duplicates.
        """
        items = self._table.get_many(
            [{"user_id": user_id} for user_id in user_ids],
            ("display_name", "privacy", "preferences"),
            consistent=False,
        )
        return {
            item["user_id"]: KnownProfile(
                user_id=item["user_id"],
                display_name=item["display_name"],
                visibility=item.get("privacy", {}).get("displayName", DISPLAY_NAME_VISIBILITY),
                activity=item.get("privacy", {}).get("activityStatus", ACTIVITY_VISIBILITY),
                personal=convert(item.get("preferences", {}).get("privacy", {}), PersonalPrivacy),
            )
            for item in items
            # An item that contains only statistics is not a profile.
            if item and "display_name" in item
        }
