"""The caller of a request: what a verified token says about whom it speaks for."""

from collections.abc import Mapping

from msgspec import Struct

READ = "read"
POST_ANONYMOUS = "post_anonymous"
CHAT_ANONYMOUS = "chat_anonymous"
CAPABILITIES = (READ, POST_ANONYMOUS, CHAT_ANONYMOUS)
"""What an anonymous user may do (API contract, POST /v1/auth/anonymous)."""

USER = "user"
MODERATOR = "moderator"
ADMIN = "admin"
ROLES = (USER, MODERATOR, ADMIN)


class Caller(Struct, frozen=True):
    """Whom a token speaks for. An anonymous user has no role, only capabilities; a registered one has roles alone."""

    user_id: str
    session_id: str
    roles: frozenset[str]
    capabilities: frozenset[str]
    expires_at: int
    """When the token ends, in seconds since the epoch."""
    display_name: str = ""
    """The account's name at sign-in, or the one an anonymous user was given. No token carries it: it comes from the session.

    What others may see of a registered user is the profile's (`profiles.ProfileReader`), which may be another name or hidden.
    """

    @property
    def is_anonymous(self) -> bool:
        return not self.roles

    def to_context(self) -> dict[str, str]:
        """The authorizer's context: API Gateway passes strings only."""
        return {
            "sub": self.user_id,
            "sid": self.session_id,
            "roles": ",".join(sorted(self.roles)),
            "cap": ",".join(sorted(self.capabilities)),
            "exp": str(self.expires_at),
        }

    @classmethod
    def from_context(cls, context: Mapping[str, str]) -> "Caller":
        """Raises KeyError or ValueError when the context is not one that `to_context` made."""
        return cls(
            user_id=context["sub"],
            session_id=context["sid"],
            roles=frozenset(filter(None, context["roles"].split(","))),
            capabilities=frozenset(filter(None, context["cap"].split(","))),
            expires_at=int(context["exp"]),
        )
