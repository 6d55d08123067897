"""Profiles as several services see them: how one is made, who may see what of it, and the names of those who wrote something."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from lambdas.common.caller import Caller
from lambdas.common.dynamodb import batch_get, pack, unpack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Visibility = Literal["public", "authenticated", "private"]
"""Who sees a field: everybody whom the API lets in, anonymous users included; registered users; its owner alone."""

DISPLAY_NAME_VISIBILITY: Visibility = "public"
"""Until its owner says otherwise."""

UNKNOWN_NAME = "Someone"
"""Stands for a name that is hidden, and for one of a user without a profile: nobody can tell which."""


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
        UpdateExpression="SET " + ", ".join(f"#{name} = if_not_exists(#{name}, :{name})" for name in made),
        ExpressionAttributeNames={f"#{name}": name for name in made},
        ExpressionAttributeValues=pack({f":{name}": value for name, value in made.items()}),
        ReturnValues="ALL_NEW",
    )["Attributes"]
    return unpack(item)


class ProfileReader:
    """What other services read of the profiles: display names, for those who may see them."""

    def __init__(self, dynamodb: "DynamoDBClient", profiles_table: str) -> None:
        self._dynamodb = dynamodb
        self._table = profiles_table

    def display_names(
        self, user_ids: Iterable[str], viewer: Caller | None = None, earlier: Mapping[str, str] | None = None
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
        items = batch_get(
            self._dynamodb,
            self._table,
            [{"user_id": user_id} for user_id in wanted],
            ("user_id", "display_name", "privacy"),
        )
        for item in items:
            visibility = item.get("privacy", {}).get("displayName", DISPLAY_NAME_VISIBILITY)
            if not may_see(visibility, item["user_id"], viewer):
                names[item["user_id"]] = UNKNOWN_NAME
            elif "display_name" in item:
                names[item["user_id"]] = item["display_name"]
        return names
