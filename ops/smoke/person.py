"""Who asks: an account of the smoke tests' own, enabled while they run, and somebody anonymous."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ops.cloud import Cloud
from ops.console import say
from ops.errors import OperatorError
from ops.smoke.suite import Suite
from ops.smoke.transport import Ask, Transport

EMAIL = "smoke-test@multitask.invalid"
"""No mail can ever be delivered to it (RFC 2606)."""
NAME = "Smoke Test"
TRIES = 3
"""Sign-ins: another run may set the password in between."""


@dataclass(frozen=True)
class People:
    """The tokens of those who ask, and the variables that requests may use."""

    person: str = field(repr=False)
    anonymous: str = field(repr=False)
    variables: dict[str, str] = field(repr=False)

    def token(self, who: str) -> str | None:
        """None: nobody."""
        return {"person": self.person, "anonymous": self.anonymous}.get(who)


@contextmanager
def people(cloud: Cloud, pool: str, auth: Suite, transport: Transport) -> Iterator[People]:
    """Signs both in. The account is made at first use, gets a new password each time, and is disabled at the end.

    It is one account for good, so that runs leave no trail of users and profiles behind.

    Args:
        pool: the id of the Cognito user pool.
        auth: the suite of the service that signs in.
        transport: how it is asked.

    Raises:
        OperatorError: the auth service signs nobody in.
    """
    cognito = cloud.client("cognito-idp")
    signed_in = _sign_in(cognito, pool, auth, transport)
    try:
        yield signed_in
    finally:
        try:
            cognito.admin_disable_user(UserPoolId=pool, Username=EMAIL)
        except (ClientError, BotoCoreError) as error:
            say(f"The account of the smoke tests could not be disabled: {error}")


def _sign_in(cognito: Any, pool: str, auth: Suite, transport: Transport) -> People:
    status, answer = 0, None
    for _ in range(TRIES):
        password = f"{secrets.token_urlsafe(24)}-aA1"
        _prepare(cognito, pool, password)
        body = {"email": EMAIL, "password": password}
        reply = transport.send(auth, Ask("POST", "/v1/auth/login", {}, body, None))
        status, answer = reply.status, reply.body
        if status == 200 and isinstance(answer, dict):
            break
    else:
        raise OperatorError(
            f"The auth service does not sign in the smoke tests' account (it answers {status or 'nothing'})"
        )
    reply = transport.send(auth, Ask("POST", "/v1/auth/anonymous", {}, {}, None))
    if reply.status != 201:
        raise OperatorError(
            f"The auth service makes no anonymous user (it answers {reply.status or 'nothing'})"
        )
    variables = {
        "run": secrets.token_hex(4),
        "email": EMAIL,
        "password": password,
        "personId": answer["user"]["userId"],
        "personToken": answer["accessToken"],
    }
    return People(answer["accessToken"], reply.body["accessToken"], variables)


def _prepare(cognito: Any, pool: str, password: str) -> None:
    attributes = {"email": EMAIL, "email_verified": "true", "name": NAME}
    try:
        cognito.admin_create_user(
            UserPoolId=pool,
            Username=EMAIL,
            MessageAction="SUPPRESS",
            UserAttributes=[{"Name": name, "Value": value} for name, value in attributes.items()],
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "UsernameExistsException":
            raise
        cognito.admin_enable_user(UserPoolId=pool, Username=EMAIL)
    cognito.admin_set_user_password(
        UserPoolId=pool, Username=EMAIL, Password=password, Permanent=True
    )
