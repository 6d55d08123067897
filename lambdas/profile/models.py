"""What the profile service takes, keeps and answers."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from lambdas.common.people.aliases import ContextType
from lambdas.common.people.profiles import (
    ACTIVITY_VISIBILITY,
    DISPLAY_NAME_VISIBILITY,
    PersonalPrivacy,
    Visibility,
)
from lambdas.common.validation import Body, DisplayName
from lambdas.profile.timezones import Timezone

_CONTROL = r"\x00-\x1f\x7f-\x9f"

Bio = Annotated[
    str,
    Meta(
        max_length=500,
        pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*\Z",
        description="must have at most 500 characters, none of them a control character",
    ),
]
Location = Annotated[
    str,
    Meta(
        max_length=100,
        pattern=rf"^[^{_CONTROL}]*\Z",
        description="must have at most 100 characters, none of them a control character",
    ),
]
LinkName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,29}\Z",
        description="must be named with at most 30 letters, digits, spaces and any of . _ + -",
    ),
]
Link = Annotated[
    str,
    Meta(
        max_length=300,
        # A host of two labels at least and no user name, which is how an address looks like another.
        pattern=rf"^https://[^\s{_CONTROL}/?#@:\\<>\"'`{{}}|^]+\.[^\s{_CONTROL}/?#@:\\<>\"'`{{}}|^]+(:[0-9]{{1,5}})?"
        rf"([/?#][^\s{_CONTROL}\\<>\"`{{}}|^]*)?\Z",
        description="must be an https address of at most 300 characters",
    ),
]
Interest = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=50,
        pattern=rf"^(?=\S)[^{_CONTROL}]*(?<=\S)\Z",
        description="must have 1 to 50 characters, none of them a control character, and no space at either end",
    ),
]
MAX_LINKS = 10
_LINKS = Meta(
    max_length=MAX_LINKS, description=f"must be at most {MAX_LINKS} named https addresses"
)
Links = Annotated[dict[LinkName, Link], _LINKS]
Interests = Annotated[list[Interest], Meta(max_length=20, description="must be at most 20 texts")]


class ReplaceProfile(Body, frozen=True, kw_only=True):
    """What is left out is emptied. An empty text is the same as none."""

    display_name: DisplayName
    bio: Bio | None = None
    location: Location | None = None
    timezone: Timezone | None = None
    social_links: Links | None = None
    interests: Interests | None = None


class UpdateProfile(Body, frozen=True, kw_only=True):
    """A merge patch (RFC 7396): what is left out stays, null empties; in `social_links` it does so link by link."""

    display_name: DisplayName | UnsetType = UNSET
    bio: Bio | UnsetType | None = UNSET
    location: Location | UnsetType | None = UNSET
    timezone: Timezone | UnsetType | None = UNSET
    social_links: dict[LinkName, Link | None] | UnsetType | None = UNSET
    interests: Interests | UnsetType | None = UNSET


class UseAvatar(Body, frozen=True, kw_only=True):
    """Body of PUT /avatar: the key of an upload."""

    key: Annotated[
        str, Meta(min_length=1, max_length=300, description="must be the key of an upload")
    ]


class Privacy(Body, frozen=True, kw_only=True):
    """Who sees which field. As a body it is whole: a field that is left out must not become visible by that."""

    display_name: Visibility
    bio: Visibility
    avatar: Visibility
    location: Visibility
    social_links: Visibility
    activity_status: Visibility


DEFAULT_PRIVACY = Privacy(
    display_name=DISPLAY_NAME_VISIBILITY,
    bio="public",
    avatar="public",
    # What tells where somebody is, elsewhere on the web too, is not for those who have not even registered.
    location="authenticated",
    social_links="authenticated",
    activity_status=ACTIVITY_VISIBILITY,
)


class Notifications(Body, frozen=True, kw_only=True):
    """Which notifications its owner wants."""

    email: bool = True
    push: bool = True
    in_app: bool = True


class Preferences(Body, frozen=True, kw_only=True):
    """How its owner wants the platform. What a body leaves out is the default again."""

    theme: Literal["light", "dark", "auto"] = "auto"
    language: Annotated[
        str,
        Meta(
            max_length=35,  # BCP 47, 4.4.1
            pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*\Z",
            description="must be a language tag, such as en or pt-BR",
        ),
    ] = "en"
    notifications: Notifications = Notifications()
    privacy: PersonalPrivacy = PersonalPrivacy()


_Context = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=rf"^[^{_CONTROL}]*\Z",
        description="must have 1 to 128 characters, none of them a control character",
    ),
]


class AliasQuery(Struct, frozen=True, kw_only=True, rename="camel"):
    """The query of GET /alias."""

    context: _Context
    context_type: ContextType


class AliasContext(Body, frozen=True, kw_only=True):
    """The body of POST /alias/regenerate."""

    context: _Context
    context_type: ContextType


class Profile(Struct, frozen=True, kw_only=True):
    """A user's profile as it is kept. `avatar_key` is the picture's in its bucket; `joined_at` is RFC 3339, None for an anonymous user.

    The counts follow other services' events and are no part of what `version` counts.
    """

    user_id: str
    display_name: str
    bio: str | None = None
    location: str | None = None
    timezone: str | None = None
    social_links: dict[str, str] = {}
    interests: list[str] = []
    badges: list[str] = []
    avatar_key: str | None = None
    privacy: Privacy = DEFAULT_PRIVACY
    preferences: Preferences = Preferences()
    joined_at: str | None = None
    version: int = 0
    posts_count: int = 0
    comments_count: int = 0
    likes_received: int = 0


class Statistics(Struct, frozen=True, kw_only=True, rename="camel"):
    """`joined_at` is RFC 3339."""

    posts_count: int
    comments_count: int
    likes_received: int
    joined_at: str | None


class ProfileView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A profile as others see it. What they may not see is None or empty, as if it were not there."""

    user_id: str
    display_name: str | None
    bio: str | None
    avatar_url: str | None
    location: str | None
    timezone: str | None
    social_links: dict[str, str]
    interests: list[str]
    badges: list[str]
    stats: Statistics


class OwnProfile(ProfileView, frozen=True, kw_only=True, rename="camel"):
    """A profile as its owner sees it."""

    privacy: Privacy
    preferences: Preferences
    version: int
