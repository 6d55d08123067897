"""Request bodies, stored profiles and response bodies of the profile service."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from lambdas.common.clock import Timestamp
from lambdas.common.ids import Id
from lambdas.common.people.aliases import ContextType
from lambdas.common.people.profiles import (
    ACTIVITY_VISIBILITY,
    DISPLAY_NAME_VISIBILITY,
    PersonalPrivacy,
    Visibility,
)
from lambdas.common.storage.uploads import UploadKey
from lambdas.common.text import NAME, OPTIONAL_LINE, OPTIONAL_TEXT
from lambdas.common.validation import Body, DisplayName
from lambdas.profile.timezones import Timezone

_CONTROL = r"\x00-\x1f\x7f-\x9f"
_LABEL = rf"[^\s{_CONTROL}/?#@:\\<>\"'`{{}}|^]+"

Bio = Annotated[
    str,
    Meta(
        max_length=500,
        pattern=OPTIONAL_TEXT,
        description="must be empty, or have a visible character, at most 500 characters, "
        "and no control characters except tabs and line ends",
    ),
]
Location = Annotated[
    str,
    Meta(
        max_length=100,
        pattern=OPTIONAL_LINE,
        description="must be one visible line of at most 100 characters",
    ),
]
LinkName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,29}\Z",
        description="must have a name of at most 30 letters, digits, spaces and . _ + -",
    ),
]
Link = Annotated[
    str,
    Meta(
        max_length=300,
        # The host has at least two labels. User names before the host are rejected, because they
        # can disguise the host.
        pattern=rf"^https://{_LABEL}\.{_LABEL}(:[0-9]{{1,5}})?"
        rf"([/?#][^\s{_CONTROL}\\<>\"`{{}}|^]*)?\Z",
        description="must be an https address of at most 300 characters",
        examples=["https://example.com/ann"],
    ),
]
Interest = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=50,
        pattern=NAME,
        description="must have 1 to 50 characters, without control characters and without spaces "
        "at either end",
    ),
]
MAX_LINKS = 10
LINKS_RULE = f"must have at most {MAX_LINKS} named https addresses"
Links = Annotated[dict[LinkName, Link], Meta(max_length=MAX_LINKS, description=LINKS_RULE)]
LinkChanges = Annotated[
    dict[LinkName, Link | None],
    # A request can remove MAX_LINKS links and add MAX_LINKS new links, so 2 * MAX_LINKS names are
    # allowed.
    Meta(
        max_length=2 * MAX_LINKS,
        description=f"must have at most {2 * MAX_LINKS} names, each with an https address or null",
    ),
]
Interests = Annotated[list[Interest], Meta(max_length=20, description="must have at most 20 texts")]


class ReplaceProfile(Body, frozen=True, kw_only=True):
    """The body of PUT /v1/profile. Omitted fields are cleared. Empty texts are stored as null."""

    display_name: DisplayName
    bio: Bio | None = None
    location: Location | None = None
    timezone: Timezone | None = None
    social_links: Links | None = None
    interests: Interests | None = None


class UpdateProfile(Body, frozen=True, kw_only=True):
    """The body of PATCH /v1/profile, a merge patch (RFC 7396). Omitted fields stay unchanged, and
    null clears a field.

    In `social_links`, a name with the value null removes that link. Afterwards, the profile has at
    most 10 links.
    """

    display_name: DisplayName | UnsetType = UNSET
    bio: Bio | UnsetType | None = UNSET
    location: Location | UnsetType | None = UNSET
    timezone: Timezone | UnsetType | None = UNSET
    social_links: LinkChanges | UnsetType | None = UNSET
    interests: Interests | UnsetType | None = UNSET


class UseAvatar(Body, frozen=True, kw_only=True):
    """The body of PUT /v1/profile/avatar: the key of an uploaded image."""

    key: UploadKey


class Privacy(Body, frozen=True, kw_only=True):
    """Who sees each field. All fields are required, so that none becomes visible by mistake."""

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
    # Location and links are hidden from anonymous users, because they reveal a person's whereabouts
    # and accounts.
    location="authenticated",
    social_links="authenticated",
    activity_status=ACTIVITY_VISIBILITY,
)


class Notifications(Body, frozen=True, kw_only=True):
    email: bool = True
    push: bool = True
    in_app: bool = True


class Preferences(Body, frozen=True, kw_only=True):
    """The user's preferences. Fields that a body omits are reset to their defaults."""

    theme: Literal["light", "dark", "auto"] = "auto"
    language: Annotated[
        str,
        Meta(
            max_length=35,  # the maximum length in BCP 47, 4.4.1
            pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*\Z",
            description="must be a language tag, such as en or pt-BR",
            examples=["en"],
        ),
    ] = "en"
    notifications: Notifications = Notifications()
    privacy: PersonalPrivacy = PersonalPrivacy()


class AliasQuery(Struct, frozen=True, kw_only=True, rename="camel"):
    """The query of GET /v1/profile/alias."""

    context: Id
    context_type: ContextType


class AliasContext(Body, frozen=True, kw_only=True):
    """The body of POST /v1/profile/alias/regenerate."""

    context: Id
    context_type: ContextType


class Profile(Struct, frozen=True, kw_only=True):
    """A stored profile.

    `avatar_key` is the avatar's key in its bucket. `joined_at` is RFC 3339, or None for anonymous
    users. Events of other services change the counters, but not `version`.
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
    """The statistics of a profile. `joined_at` is RFC 3339."""

    posts_count: int
    comments_count: int
    likes_received: int
    joined_at: Timestamp | None


class ProfileView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A profile as other users see it. Hidden fields are None or empty, like unset fields."""

    user_id: Id
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
