"""Signs in the users of the smoke tests: a dedicated account and an anonymous user."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ops.cloud import Cloud
from ops.console import report
from ops.errors import OperatorError
from ops.smoke.suite import Suite
from ops.smoke.transport import HttpRequest, Transport

EMAIL = "smoke-test@multitask.invalid"
"""Email address of the dedicated account. The domain is reserved (RFC 2606) and receives no mail.
"""
NAME = "Smoke Test"
TRIES = 3
"""Maximum attempts to sign in. An attempt fails if a concurrent run changes the password."""


@dataclass(frozen=True)
class People:
    """The tokens of the smoke tests' users, and variables for the requests."""

    person: str = field(repr=False)
    anonymous: str = field(repr=False)
    variables: dict[str, str] = field(repr=False)

    def token(self, user: str) -> str | None:
        """Returns the token of a user, or None for `nobody`."""
        return {"person": self.person, "anonymous": self.anonymous}.get(user)


@contextmanager
def signed_in_users(cloud: Cloud, pool: str, auth: Suite, transport: Transport) -> Iterator[People]:
    """Signs in the dedicated account and an anonymous user for the duration of a `with` block.

    Disables the account after the block.

    All runs share one account, so that runs do not leave additional users and profiles. The first
    run creates the account, and each run sets a new password.

    Args:
        pool: the id of the Cognito user pool.
        auth: the suite of the auth service.
        transport: sends the requests to the auth service.

    Raises:
        OperatorError: the auth service rejected a sign-in.
    """
    cognito = cloud.client("cognito-idp")
    signed_in = _sign_in(cognito, pool, auth, transport)
    try:
        yield signed_in
    finally:
        try:
            cognito.admin_disable_user(UserPoolId=pool, Username=EMAIL)
        except (ClientError, BotoCoreError) as error:
            report(
                f"Could not disable the smoke tests' account {EMAIL} ({error}): disable it in the"
                " Cognito user pool"
            )


def _sign_in(cognito: Any, pool: str, auth: Suite, transport: Transport) -> People:
    status, body = 0, None
    for _ in range(TRIES):
        password = f"{secrets.token_urlsafe(24)}-aA1"
        prepare_account(cognito, pool, EMAIL, NAME, password)
        credentials = {"email": EMAIL, "password": password}
        response = transport.send(
            auth, HttpRequest("POST", "/v1/auth/login", {}, credentials, None)
        )
        status, body = response.status, response.body
        if status == 200 and isinstance(body, dict):
            break
    else:
        raise OperatorError(
            f"The auth service did not sign in the smoke tests' account: {_outcome(status)}."
            " Check the log lines of the auth function"
        )
    response = transport.send(auth, HttpRequest("POST", "/v1/auth/anonymous", {}, {}, None))
    if response.status != 201:
        raise OperatorError(
            f"The auth service did not create an anonymous user: {_outcome(response.status)}."
            " Check the log lines of the auth function"
        )
    variables = {
        "run": secrets.token_hex(4),
        "email": EMAIL,
        "password": password,
        "personId": body["user"]["userId"],
        "personToken": body["accessToken"],
    }
    return People(body["accessToken"], response.body["accessToken"], variables)


def _outcome(status: int) -> str:
    return f"it returned {status}" if status else "it sent no response"


def prepare_account(cognito: Any, pool: str, email: str, name: str, password: str) -> None:
    """Creates an account with a verified email address, and sets the account's password.

    If the account exists, enables it instead of creating it. Sends no mail.

    Args:
        pool: The id of the Cognito user pool.
    """
    attributes = {"email": email, "email_verified": "true", "name": name}
    try:
        cognito.admin_create_user(
            UserPoolId=pool,
            Username=email,
            MessageAction="SUPPRESS",
            UserAttributes=[{"Name": name, "Value": value} for name, value in attributes.items()],
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "UsernameExistsException":
            raise
        cognito.admin_enable_user(UserPoolId=pool, Username=email)
    cognito.admin_set_user_password(
        UserPoolId=pool, Username=email, Password=password, Permanent=True
    )
