"""Tests the Cognito user directory, with stubbed responses and errors."""

import io
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aws_lambda_powertools.logging import Logger
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from lambdas.auth.identity import CognitoIdentity
from lambdas.common.problems import Problem
from tests.lambdas.support import REGION

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

EMAIL, PASSWORD = "ann@example.com", "Passw0rd!"
Call = Callable[[CognitoIdentity], Any]


@pytest.fixture
def cognito() -> "CognitoIdentityProviderClient":
    return boto3.client("cognito-idp", region_name=REGION)


@pytest.fixture
def stub(cognito: "CognitoIdentityProviderClient") -> Stubber:
    return Stubber(cognito)


@pytest.fixture
def identity(cognito: "CognitoIdentityProviderClient", logger: Logger) -> CognitoIdentity:
    return CognitoIdentity(cognito, "us-east-1_pool", "client-id-of-the-pool", logger)


def user_response(enabled: bool = True) -> dict[str, Any]:
    attributes = {"sub": "u-1", "email": EMAIL, "name": "Ann", "email_verified": "true"}
    pairs = [{"Name": name, "Value": value} for name, value in attributes.items()]
    user = {"Username": "u-1", "Enabled": enabled, "UserStatus": "CONFIRMED"}
    return {**user, "UserAttributes": pairs}


def sign_in_response() -> dict[str, Any]:
    return {"AuthenticationResult": {"AccessToken": "cognito-token"}}


SIGN_UP: tuple[str, Call] = ("sign_up", lambda i: i.sign_up(EMAIL, PASSWORD, "Ann"))
CONFIRM: tuple[str, Call] = ("confirm_sign_up", lambda i: i.confirm(EMAIL, "1"))
SIGN_IN: tuple[str, Call] = ("admin_initiate_auth", lambda i: i.authenticate(EMAIL, PASSWORD))
CHANGE: tuple[str, Call] = (
    "admin_initiate_auth",
    lambda i: i.change_password("u-1", PASSWORD, "N3w-passw"),
)
RESEND: tuple[str, Call] = ("resend_confirmation_code", lambda i: i.resend_confirmation(EMAIL))
FORGOT: tuple[str, Call] = ("forgot_password", lambda i: i.send_reset_code(EMAIL))
RESET: tuple[str, Call] = (
    "confirm_forgot_password",
    lambda i: i.reset_password(EMAIL, "1", PASSWORD),
)


@pytest.mark.parametrize(
    ("operation", "error", "status", "code"),
    [
        (SIGN_UP, "InvalidPasswordException", 422, "invalid_fields"),
        (SIGN_UP, "InvalidParameterException", 422, "invalid_fields"),
        (CONFIRM, "CodeMismatchException", 400, "invalid_code"),
        (CONFIRM, "ExpiredCodeException", 400, "invalid_code"),
        (CONFIRM, "UserNotFoundException", 400, "invalid_code"),
        (CONFIRM, "NotAuthorizedException", 400, "invalid_code"),
        (CONFIRM, "InvalidParameterException", 400, "invalid_code"),
        (CONFIRM, "LimitExceededException", 400, "invalid_code"),
        (CONFIRM, "TooManyFailedAttemptsException", 400, "invalid_code"),
        (SIGN_IN, "NotAuthorizedException", 401, "invalid_credentials"),
        (SIGN_IN, "UserNotFoundException", 401, "invalid_credentials"),
        (SIGN_IN, "UserNotConfirmedException", 403, "email_not_verified"),
        (SIGN_IN, "PasswordResetRequiredException", 403, "password_reset_required"),
        (CHANGE, "NotAuthorizedException", 422, "invalid_fields"),
        (CHANGE, "LimitExceededException", 429, "too_many_requests"),
        (RESET, "CodeMismatchException", 400, "invalid_code"),
        (RESET, "UserNotFoundException", 400, "invalid_code"),
        (RESET, "InvalidPasswordException", 422, "invalid_fields"),
        (RESET, "InvalidParameterException", 400, "invalid_code"),
        (RESET, "LimitExceededException", 400, "invalid_code"),
        (RESET, "TooManyFailedAttemptsException", 400, "invalid_code"),
    ],
)
def test_expected_cognito_errors_become_problems(
    identity: CognitoIdentity,
    stub: Stubber,
    operation: tuple[str, Call],
    error: str,
    status: int,
    code: str,
) -> None:
    name, call = operation
    stub.add_client_error(name, error)
    with stub, pytest.raises(Problem) as refused:
        call(identity)
    assert (refused.value.status, refused.value.code) == (status, code)


@pytest.mark.parametrize("operation", [SIGN_UP, CONFIRM, RESEND, SIGN_IN, CHANGE, FORGOT, RESET])
def test_an_error_of_the_user_pools_waf_becomes_429(
    identity: CognitoIdentity, stub: Stubber, operation: tuple[str, Call]
) -> None:
    name, call = operation
    stub.add_client_error(name, "ForbiddenException", http_status_code=403)
    with stub, pytest.raises(Problem) as refused:
        call(identity)
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "60"})


@pytest.mark.parametrize("operation", [SIGN_UP, CONFIRM, RESEND, SIGN_IN, CHANGE, FORGOT, RESET])
def test_unexpected_cognito_errors_are_raised(
    identity: CognitoIdentity, stub: Stubber, operation: tuple[str, Call]
) -> None:
    name, call = operation
    stub.add_client_error(name, "InternalErrorException", http_status_code=500)
    with stub, pytest.raises(ClientError):
        call(identity)


@pytest.mark.parametrize(("name", "call"), [RESEND, FORGOT])
def test_sending_a_code_does_not_reveal_whether_the_email_is_registered(
    identity: CognitoIdentity, stub: Stubber, name: str, call: Call
) -> None:
    hidden = (
        "UserNotFoundException",
        "InvalidParameterException",
        "NotAuthorizedException",
        "LimitExceededException",
        "TooManyFailedAttemptsException",
        "CodeDeliveryFailureException",
    )
    for error in hidden:
        stub.add_client_error(name, error)
    stub.add_client_error(name, "TooManyRequestsException")
    with stub:
        for _ in hidden:
            call(identity)
        with pytest.raises(ClientError):
            call(identity)


@pytest.mark.parametrize(("name", "call"), [RESEND, FORGOT])
def test_an_undelivered_email_is_logged_without_its_address(
    identity: CognitoIdentity, stub: Stubber, log: io.StringIO, name: str, call: Call
) -> None:
    stub.add_client_error(name, "CodeDeliveryFailureException", f"cannot send to {EMAIL}")
    with stub:
        call(identity)
    (line,) = log.getvalue().splitlines()
    assert (json.loads(line)["level"], json.loads(line)["operation"]) == ("ERROR", name)
    assert EMAIL not in line


def test_sign_up_creates_the_user_even_if_the_email_is_not_delivered(
    identity: CognitoIdentity, stub: Stubber, log: io.StringIO
) -> None:
    stub.add_client_error("sign_up", "CodeDeliveryFailureException", f"cannot send to {EMAIL}")
    stub.add_response("admin_get_user", user_response(), {"UserPoolId": ANY, "Username": EMAIL})
    with stub:
        assert identity.sign_up(EMAIL, PASSWORD, "Ann") == "u-1"
    (line,) = log.getvalue().splitlines()
    assert json.loads(line)["operation"] == "sign_up"
    assert EMAIL not in line


def test_sign_up_of_a_confirmed_email_returns_409(identity: CognitoIdentity, stub: Stubber) -> None:
    stub.add_client_error("sign_up", "UsernameExistsException")
    stub.add_response("admin_get_user", user_response(), {"UserPoolId": ANY, "Username": EMAIL})
    with stub, pytest.raises(Problem) as raised:
        identity.sign_up(EMAIL, PASSWORD, "Ann")
    assert (raised.value.status, raised.value.code) == (409, "email_taken")


def test_sign_up_replaces_an_unconfirmed_user(identity: CognitoIdentity, stub: Stubber) -> None:
    key = {"UserPoolId": ANY, "Username": EMAIL}
    stub.add_client_error("sign_up", "UsernameExistsException")
    unconfirmed = {**user_response(), "UserStatus": "UNCONFIRMED"}
    stub.add_response("admin_get_user", unconfirmed, key)
    stub.add_response("admin_delete_user", {}, key)
    stub.add_response("sign_up", {"UserConfirmed": False, "UserSub": "u-2"})
    with stub:
        assert identity.sign_up(EMAIL, PASSWORD, "Ann") == "u-2"


def test_sign_in_returns_the_user_with_the_granted_roles(
    identity: CognitoIdentity, stub: Stubber
) -> None:
    stub.add_response("admin_initiate_auth", sign_in_response())
    stub.add_response("admin_get_user", user_response())
    groups = [{"GroupName": name} for name in ("admin", "beta-testers", "moderator")]
    stub.add_response("admin_list_groups_for_user", {"Groups": groups})
    with stub:
        user = identity.authenticate(EMAIL, PASSWORD)
    assert (user.user_id, user.email, user.display_name) == ("u-1", EMAIL, "Ann")
    assert user.roles == ("user", "moderator", "admin")


def test_a_password_challenge_requires_a_password_reset(
    identity: CognitoIdentity, stub: Stubber
) -> None:
    stub.add_response(
        "admin_initiate_auth", {"ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": "x" * 20}
    )
    with stub, pytest.raises(Problem) as refused:
        identity.authenticate(EMAIL, PASSWORD)
    assert refused.value.code == "password_reset_required"


def test_find_returns_none_for_a_disabled_or_missing_user(
    identity: CognitoIdentity, stub: Stubber
) -> None:
    stub.add_response("admin_get_user", user_response(enabled=False))
    stub.add_response("admin_list_groups_for_user", {"Groups": []})
    stub.add_client_error("admin_get_user", "UserNotFoundException")
    with stub:
        assert identity.find("u-1") is None
        assert identity.find("u-1") is None


def test_change_password_signs_in_first(identity: CognitoIdentity, stub: Stubber) -> None:
    parameters = {"USERNAME": "u-1", "PASSWORD": PASSWORD}
    stub.add_response(
        "admin_initiate_auth",
        sign_in_response(),
        {
            "UserPoolId": ANY,
            "ClientId": ANY,
            "AuthFlow": "ADMIN_USER_PASSWORD_AUTH",
            "AuthParameters": parameters,
        },
    )
    change = {
        "AccessToken": "cognito-token",
        "PreviousPassword": PASSWORD,
        "ProposedPassword": "N3w-passw",
    }
    stub.add_response("change_password", {}, change)
    with stub:
        identity.change_password("u-1", PASSWORD, "N3w-passw")
    stub.assert_no_pending_responses()
