"""Users of the platform, with and without an account."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any

import jwt

from lambdas.common.clock import timestamp
from tests.e2e.support.api_client import Api, ApiResponse
from tests.e2e.support.platform import Platform

PASSWORD = "Correct-horse-1"


@dataclass(frozen=True)
class User:
    """A user with a session but without an account. A User is faster to create than a Person."""

    user_id: str
    display_name: str
    token: str

    @classmethod
    def create(
        cls, platform: Platform, display_name: str, *roles: str, user_id: str | None = None
    ) -> User:
        """Creates a session with the role `user` and the given roles. The session lasts an hour."""
        user_id = user_id or str(uuid.uuid4())
        session_id, now = uuid.uuid4().hex, int(time.time())
        session = {
            "session_id": {"S": session_id},
            "user_id": {"S": user_id},
            "display_name": {"S": display_name},
            "created_at": {"S": timestamp(now)},
            "last_used_at": {"S": timestamp(now)},
            "expires_at": {"N": str(now + 3600)},
        }
        platform.aws("dynamodb").put_item(TableName="auth-sessions-local", Item=session)
        claims = {"sub": user_id, "sid": session_id, "cap": [], "iat": now, "exp": now + 3600}
        kid, secret = platform.read_signing_key()
        token = jwt.encode(
            {**claims, "roles": ["user", *roles]}, secret, "HS256", headers={"kid": str(kid)}
        )
        return cls(user_id, display_name, token)

    @property
    def session_id(self) -> str:
        claims = jwt.decode(self.token, options={"verify_signature": False})
        return str(claims["sid"])


class Person:
    """A user with an account."""

    def __init__(self, platform: Platform, api: Api) -> None:
        self._platform = platform
        self._api = api
        self.email = f"person-{uuid.uuid4().hex[:12]}@example.com"
        self.password = PASSWORD
        self.display_name = "Ada Example"
        self.user_id = ""
        self.access_token = ""
        self.refresh_token = ""

    @classmethod
    def sign_up(cls, platform: Platform, api: Api) -> Person:
        """Registers, confirms and signs in a new user."""
        person = cls(platform, api)
        person.register()
        person.confirm()
        person.log_in()
        return person

    @property
    def session_id(self) -> str:
        return str(self.claims["sid"])

    @property
    def claims(self) -> dict[str, Any]:
        """The claims of the access token."""
        claims: dict[str, Any] = jwt.decode(self.access_token, options={"verify_signature": False})
        return claims

    def register(self) -> Any:
        body = {"email": self.email, "password": self.password, "displayName": self.display_name}
        response = self._api.post("/v1/auth/register", body).expect(201)
        self.user_id = response["userId"]
        return response

    def read_code(self) -> str:
        """Returns the last code mailed to the user."""
        return self._platform.read_mailed_code(self.email)

    def confirm(self) -> None:
        self._api.post("/v1/auth/confirm", {"email": self.email, "code": self.read_code()}).expect(
            200
        )

    def try_log_in(self, password: str | None = None, **fields: Any) -> ApiResponse:
        body = {"email": self.email, "password": password or self.password, **fields}
        return self._api.post("/v1/auth/login", body)

    def log_in(self, **fields: Any) -> Any:
        return self._store_tokens(self.try_log_in(**fields))

    def try_refresh(self, token: str | None = None) -> ApiResponse:
        return self._api.post("/v1/auth/refresh", {"refreshToken": token or self.refresh_token})

    def refresh(self) -> Any:
        return self._store_tokens(self.try_refresh())

    def get_me(self, token: str | None = None) -> ApiResponse:
        return self._api.get("/v1/auth/me", token=token or self.access_token)

    def _store_tokens(self, response: ApiResponse) -> Any:
        pair = response.expect(200)
        self.access_token, self.refresh_token = pair["accessToken"], pair["refreshToken"]
        return pair
