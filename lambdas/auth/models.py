"""Request and response bodies of the auth service."""

import re
from typing import Annotated, Literal, Self

from msgspec import Meta, Struct

from lambdas.common.clock import Timestamp
from lambdas.common.ids import Id
from lambdas.common.text import Password
from lambdas.common.validation import Body, DisplayName, EmailAddress

STRENGTH_RULE = (
    "must have 8 to 256 characters, with an upper case letter, a lower case letter, a digit and a "
    "symbol, and no space at either end"
)
"""The user pool's password policy, as an error message."""

# The last group has the characters that Cognito's password policy counts as symbols.
_STRENGTH = re.compile(
    r"(?=\S)(?=.*[A-Z])(?=.*[a-z])(?=.*[0-9])"
    r"""(?=.*[\^$*.\[\]{}()?"!@#%&/\\,><':;|_~`=+\-]).{7,255}\S"""
)


class StrongPassword(Password):
    """A password that the user pool's policy accepts."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Returns the password. Raises ValueError if it is too weak."""
        password = super().parse(value)
        if not _STRENGTH.fullmatch(password):
            raise ValueError
        return password


NewPassword = Annotated[
    StrongPassword,
    Meta(
        description=STRENGTH_RULE,
        extra_json_schema={"format": "password", "minLength": 8, "maxLength": 256},
        examples=["Correct-horse-1"],
    ),
]
CurrentPassword = Annotated[
    Password,
    Meta(
        description="must have 1 to 256 characters and no control characters",
        extra_json_schema={"format": "password", "minLength": 1, "maxLength": 256},
        examples=["Correct-horse-1"],
    ),
]
Code = Annotated[
    str,
    Meta(
        pattern=r"^\S{1,64}\Z", description="must be the code from the email", examples=["123456"]
    ),
]
_DeviceText = Annotated[str, Meta(max_length=200)]
Device = (
    Annotated[
        str,
        Meta(
            max_length=200,
            description="must be a text of at most 200 characters, or an object of up to 10 texts",
        ),
    ]
    | Annotated[dict[Annotated[str, Meta(max_length=50)], _DeviceText], Meta(max_length=10)]
)


class Register(Body, frozen=True, kw_only=True):
    email: EmailAddress
    password: NewPassword
    display_name: DisplayName


class Confirm(Body, frozen=True, kw_only=True):
    email: EmailAddress
    code: Code


class EmailOnly(Body, frozen=True, kw_only=True):
    email: EmailAddress


class Login(Body, frozen=True, kw_only=True):
    email: EmailAddress
    password: CurrentPassword
    device_info: Device | None = None


class Refresh(Body, frozen=True, kw_only=True):
    refresh_token: Annotated[str, Meta(min_length=1, max_length=512)]


class Logout(Body, frozen=True, kw_only=True):
    all_devices: bool = False


class ChangePassword(Body, frozen=True, kw_only=True):
    current_password: CurrentPassword
    new_password: NewPassword


class ResetPassword(Body, frozen=True, kw_only=True):
    email: EmailAddress
    code: Code
    new_password: NewPassword


class RegisteredUser(Struct, frozen=True, kw_only=True, rename="camel"):
    """A new user. `email_verified` is false until the user confirms the address."""

    user_id: Id
    email: str
    display_name: str
    email_verified: bool


class Confirmation(Struct, frozen=True, kw_only=True, rename="camel"):
    """The state of the email address after its confirmation."""

    email_verified: bool


class User(Struct, frozen=True, kw_only=True, rename="camel"):
    """A user. Anonymous users have no email (None) and no roles."""

    user_id: Id
    email: str | None
    display_name: str
    roles: tuple[str, ...]


class TokenPair(Struct, frozen=True, kw_only=True, rename="camel"):
    """The two tokens of a session. `expires_in` is the access token's lifetime in seconds."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"]
    expires_in: int


class SignedIn(TokenPair, frozen=True, kw_only=True):
    user: User


class Anonymous(Struct, frozen=True, kw_only=True, rename="camel"):
    anonymous_id: Id
    display_name: str
    access_token: str
    expires_in: int
    capabilities: tuple[str, ...]


class SessionView(Struct, frozen=True, kw_only=True, rename="camel"):
    """One of the caller's sessions. `current` is True for the session of the request."""

    session_id: Id
    device: str | dict[str, str] | None
    created_at: Timestamp
    last_used_at: Timestamp
    current: bool
