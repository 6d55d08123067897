"""Profiles as several services see them: how one is made, who may see what of it, the names of those who wrote something, and what
others may do to them."""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, convert

from lambdas.common.storage.dynamodb import batch_get, pack, unpack
from lambdas.common.web.caller import Caller
from lambdas.common.web.validation import Body

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Visibility = Literal["public", "authenticated", "private"]
"""Who sees a field: everybody whom the API lets in, anonymous users included; registered users; its owner alone."""

DISPLAY_NAME_VISIBILITY: Visibility = "public"
ACTIVITY_VISIBILITY: Visibility = "authenticated"
"""Until their owner says otherwise. When somebody is there is not for those who have not even registered."""

UNKNOWN_NAME = "Someone"
"""Stands for a name that is hidden, and for one of a user without a profile: nobody can tell which."""


class PersonalPrivacy(Body, frozen=True, kw_only=True):
    """What a user lets others do and know, a part of their preferences; the defaults hold until they say otherwise."""

    show_online_status: bool = True
    allow_direct_messages: bool = True
    show_read_receipts: bool = True


def may_see(visibility: Visibility, owner_id: str, viewer: Caller | None) -> bool:
    """Whether a field is shown to this viewer; None is anybody."""
    if visibility == "public":
        return True
    if viewer is None or viewer.is_anonymous:
        return False
    return visibility == "authenticated" or viewer.user_id == owner_id


def make_profile(
    dynamodb: "DynamoDBClient", table: str, *, user_id: str, display_name: str, joined_at: str
) -> dict[str, Any]:
    """The user's profile item, made of these values if there is none; a repeat changes nothing.

    What the item has already stays as it is, so that statistics may have been counted before the profile is made. They are the
    attributes `posts_count`, `comments_count` and `likes_received`, absent where they are 0: those that count add to them
    and touch neither `version` nor anything else; a change of the profile never touches them. `joined_at` is RFC 3339.
    """
    made = {"display_name": display_name, "joined_at": joined_at, "version": 1}
    item = dynamodb.update_item(
        TableName=table,
        Key=pack({"user_id": user_id}),
        UpdateExpression="SET "
        + ", ".join(f"#{name} = if_not_exists(#{name}, :{name})" for name in made),
        ExpressionAttributeNames={f"#{name}": name for name in made},
        ExpressionAttributeValues=pack({f":{name}": value for name, value in made.items()}),
        ReturnValues="ALL_NEW",
    )["Attributes"]
    return unpack(item)


class KnownProfile(Struct, frozen=True, kw_only=True):
    """What other services know of a profile. `visibility` is the name's, `activity` the activity status's."""

    user_id: str
    display_name: str
    visibility: Visibility = DISPLAY_NAME_VISIBILITY
    activity: Visibility = ACTIVITY_VISIBILITY
    personal: PersonalPrivacy = PersonalPrivacy()

    @property
    def online(self) -> Visibility:
        """Who may know that the user is online: whom both their privacy and their preferences let."""
        return self.activity if self.personal.show_online_status else "private"

    def name_for(self, viewer: Caller | None) -> str:
        """The name to show to this viewer; None is anybody."""
        return self.display_name if may_see(self.visibility, self.user_id, viewer) else UNKNOWN_NAME


class ProfileReader:
    """What other services read of the profiles: display names, for those who may see them, and what their owners allow."""

    def __init__(self, dynamodb: "DynamoDBClient", profiles_table: str) -> None:
        self._dynamodb = dynamodb
        self._table = profiles_table

    def display_names(
        self,
        user_ids: Iterable[str],
        viewer: Caller | None = None,
        earlier: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """The name to show for each of these users, in one read of up to 100 (each further hundred is one more).

        `viewer` is who will see them; None: people of whom nothing is known, so that only public names are given. `earlier` are the
        names that users had when they wrote something: shown while there is no profile, and so nothing that hides them. Any other
        hidden or missing name is UNKNOWN_NAME. Callers always see their own.
        """
        wanted = set(user_ids)
        names = {user_id: (earlier or {}).get(user_id) or UNKNOWN_NAME for user_id in wanted}
        if viewer is not None and viewer.user_id in wanted and viewer.display_name:
            names[viewer.user_id] = viewer.display_name  # until their profile is made
        return names | {
            user_id: profile.name_for(viewer) for user_id, profile in self.profiles(wanted).items()
        }

    def profiles(self, user_ids: Collection[str]) -> dict[str, KnownProfile]:
        """What is known of these users, each of them given once, in one read of up to 100; those without a profile are left out."""
        items = batch_get(
            self._dynamodb,
            self._table,
            [{"user_id": user_id} for user_id in user_ids],
            ("user_id", "display_name", "privacy", "preferences"),
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
            if "display_name" in item  # statistics may be there first
        }
