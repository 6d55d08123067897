"""The caller of a request, as identified by a verified token."""

from collections.abc import Mapping

from msgspec import Struct

READ = "read"
POST_ANONYMOUS = "post_anonymous"
CHAT_ANONYMOUS = "chat_anonymous"
CAPABILITIES = (READ, POST_ANONYMOUS, CHAT_ANONYMOUS)
"""Capabilities of anonymous users (docs/api/README.md, Authentication)."""

USER = "user"
PLATFORM_MODERATOR = "moderator"
PLATFORM_ADMIN = "admin"
ROLES = (USER, PLATFORM_MODERATOR, PLATFORM_ADMIN)


class Caller(Struct, frozen=True):
    """The user that a token identifies.

    An anonymous user has capabilities but no roles. A registered user has roles but no
    capabilities.
    """

    user_id: str
    session_id: str
    roles: frozenset[str]
    capabilities: frozenset[str]
    expires_at: int
    """Expiry of the token, in seconds since the epoch."""
    display_name: str = ""
    """The account's name at sign-in, or an anonymous user's generated name. Read from the session.

    Other users may see another name or none (see `profiles.ProfileReader`).
    """

    @property
    def is_anonymous(self) -> bool:
        return not self.roles

    @property
    def kind(self) -> str:
        """`anonymous` or `registered`. Logs contain the kind instead of the roles, because a role
        could reveal who wrote an anonymous post.
        """
        return "anonymous" if self.is_anonymous else "registered"

    def to_context(self) -> dict[str, str]:
        """Returns the authorizer context. API Gateway passes only strings to Lambda functions."""
        return {
            "sub": self.user_id,
            "sid": self.session_id,
            "roles": ",".join(sorted(self.roles)),
            "cap": ",".join(sorted(self.capabilities)),
            "exp": str(self.expires_at),
        }

    @classmethod
    def from_context(cls, context: Mapping[str, str]) -> "Caller":
        """Parses the result of `to_context`. Raises KeyError or ValueError if it is malformed."""
        return cls(
            user_id=context["sub"],
            session_id=context["sid"],
            roles=frozenset(filter(None, context["roles"].split(","))),
            capabilities=frozenset(filter(None, context["cap"].split(","))),
            expires_at=int(context["exp"]),
        )
