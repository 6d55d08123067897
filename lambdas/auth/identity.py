"""The user directory: users and their passwords, which Cognito stores."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import ClientError

from lambdas.auth.models import STRENGTH_RULE, User
from lambdas.common.caller import PLATFORM_ADMIN, PLATFORM_MODERATOR, USER
from lambdas.common.logs import Logger
from lambdas.common.problems import FieldError, Problem

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_cognito_idp.type_defs import AttributeTypeTypeDef

# Roles that users have through a Cognito group. Every registered user also has the role USER.
_GROUP_ROLES = (PLATFORM_MODERATOR, PLATFORM_ADMIN)

# Errors of limits that Cognito enforces only for existing users. They reveal that a user exists.
_PER_USER_LIMITS = ("LimitExceededException", "TooManyFailedAttemptsException")

# The API responds with "invalid code" to each of these Cognito errors. The errors themselves would
# reveal to the client whether a user exists.
_CODE_ERRORS = (
    "CodeMismatchException",
    "ExpiredCodeException",
    "UserNotFoundException",
    "UserNotConfirmedException",
    "NotAuthorizedException",  # the user is already confirmed
    "AliasExistsException",
    "InvalidParameterException",  # the user has no verified address, or the code is malformed
    *_PER_USER_LIMITS,
)


class Identity(Protocol):
    """A user directory. All email addresses are in lower case."""

    def sign_up(self, email: str, password: str, display_name: str) -> str:
        """Creates a user and returns its id, even if the email with the code could not be sent.

        Replaces a user with this email who never confirmed it.

        Raises Problem 409 if the email is registered and confirmed, or 422 if a value is invalid.
        """

    def confirm(self, email: str, code: str) -> None:
        """Confirms an email. Raises Problem 400 if the code is invalid or the email is unknown."""

    def resend_confirmation(self, email: str) -> None:
        """Sends a new code. Does nothing if the email is unknown or already confirmed."""

    def authenticate(self, email: str, password: str) -> User:
        """Returns the user who signs in.

        Raises Problem 401 if the email or password is wrong, or 403 if the email is not verified or
        the password must be reset.
        """

    def find(self, username: str) -> User | None:
        """Returns the user with this id or email, or None if the user is unknown or disabled."""

    def change_password(self, user_id: str, current: str, new: str) -> None:
        """Changes a password. Raises Problem 422 if `current` is wrong or `new` is too weak."""

    def send_reset_code(self, email: str) -> None:
        """Sends a reset code. Does nothing if the email is unknown or not verified."""

    def reset_password(self, email: str, code: str, new: str) -> User | None:
        """Sets a new password and returns the user, or None if the user is disabled.

        Raises Problem 400 if the code is invalid, or 422 if `new` violates the password policy.
        """


class CognitoIdentity:
    """A Cognito user pool whose users sign in by email. The attribute `sub` is a user's id."""

    def __init__(
        self,
        cognito: "CognitoIdentityProviderClient",
        user_pool_id: str,
        client_id: str,
        logger: Logger,
    ) -> None:
        self._cognito = cognito
        self._logger = logger
        self._pool = user_pool_id
        self._client = client_id

    def sign_up(self, email: str, password: str, display_name: str) -> str:
        with _errors_translated(
            UsernameExistsException=Problem.conflict(
                "This email address is already registered.", "email_taken"
            ),
            InvalidPasswordException=_rejected_password("password"),
            InvalidParameterException=Problem.invalid(
                [FieldError("email", "is not accepted as an email address")]
            ),
        ):
            try:
                return self._sign_up(email, password, display_name)
            except self._cognito.exceptions.UsernameExistsException:
                if not self._remove_unconfirmed(email):
                    raise
                return self._sign_up(email, password, display_name)

    def _sign_up(self, email: str, password: str, display_name: str) -> str:
        try:
            result = self._cognito.sign_up(
                ClientId=self._client,
                Username=email,
                Password=password,
                UserAttributes=[
                    {"Name": "email", "Value": email},
                    {"Name": "name", "Value": display_name},
                ],
            )
        except self._cognito.exceptions.CodeDeliveryFailureException:
            # Cognito has created the user. Only the email failed, and the user can request another
            # code.
            self._log_delivery_failure("sign_up")
            user = self._cognito.admin_get_user(UserPoolId=self._pool, Username=email)
            return _attributes(user["UserAttributes"])["sub"]
        return result["UserSub"]

    def _remove_unconfirmed(self, email: str) -> bool:
        """Deletes an unconfirmed user with this email. Returns False if the user is confirmed.

        Somebody who does not own the address may have registered it, and the owner must still be
        able to register.
        """
        # A concurrent registration may delete the unconfirmed account first.
        with suppress(self._cognito.exceptions.UserNotFoundException):
            user = self._cognito.admin_get_user(UserPoolId=self._pool, Username=email)
            if user["UserStatus"] != "UNCONFIRMED":
                return False
            self._cognito.admin_delete_user(UserPoolId=self._pool, Username=email)
        return True

    def confirm(self, email: str, code: str) -> None:
        with _errors_translated(**_invalid_code()):
            self._cognito.confirm_sign_up(
                ClientId=self._client, Username=email, ConfirmationCode=code
            )

    def resend_confirmation(self, email: str) -> None:
        with self._account_state_hidden("resend_confirmation_code"):
            self._cognito.resend_confirmation_code(ClientId=self._client, Username=email)

    def authenticate(self, email: str, password: str) -> User:
        wrong = Problem.unauthorized(
            "The email address or the password is wrong.", "invalid_credentials"
        )
        with _errors_translated(
            NotAuthorizedException=wrong,
            UserNotFoundException=wrong,
            UserNotConfirmedException=Problem.forbidden(
                "Confirm the email address first.", "email_not_verified"
            ),
        ):
            self._sign_in(email, password)
        user = self.find(email)
        if user is None:  # the user was deleted or disabled after the password check
            raise wrong
        return user

    def change_password(self, user_id: str, current: str, new: str) -> None:
        wrong = Problem.invalid([FieldError("currentPassword", "is not the current password")])
        with _errors_translated(
            NotAuthorizedException=wrong, InvalidPasswordException=_rejected_password("newPassword")
        ):
            token = self._sign_in(user_id, current)
            self._cognito.change_password(
                AccessToken=token, PreviousPassword=current, ProposedPassword=new
            )

    def send_reset_code(self, email: str) -> None:
        with self._account_state_hidden("forgot_password"):
            self._cognito.forgot_password(ClientId=self._client, Username=email)

    def reset_password(self, email: str, code: str, new: str) -> User | None:
        with _errors_translated(
            InvalidPasswordException=_rejected_password("newPassword"), **_invalid_code()
        ):
            self._cognito.confirm_forgot_password(
                ClientId=self._client, Username=email, ConfirmationCode=code, Password=new
            )
        return self.find(email)

    def _sign_in(self, username: str, password: str) -> str:
        """Returns a Cognito access token. It must not leave this module."""
        reset = Problem.forbidden(
            "Set a new password through /v1/auth/forgot-password first.", "password_reset_required"
        )
        with _errors_translated(PasswordResetRequiredException=reset):
            result = self._cognito.admin_initiate_auth(
                UserPoolId=self._pool,
                ClientId=self._client,
                AuthFlow="ADMIN_USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": username, "PASSWORD": password},
            )
        if "AuthenticationResult" not in result:
            # Cognito requires a new password because an administrator set a temporary one.
            raise reset
        return result["AuthenticationResult"]["AccessToken"]

    def find(self, username: str) -> User | None:
        try:
            user = self._cognito.admin_get_user(UserPoolId=self._pool, Username=username)
            groups = self._cognito.admin_list_groups_for_user(
                UserPoolId=self._pool, Username=username
            )["Groups"]
        except self._cognito.exceptions.UserNotFoundException:
            return None
        if not user["Enabled"]:
            return None
        attributes = _attributes(user["UserAttributes"])
        names = {group["GroupName"] for group in groups}
        return User(
            user_id=attributes["sub"],
            email=attributes["email"],
            display_name=attributes.get("name", ""),
            roles=(USER, *(role for role in _GROUP_ROLES if role in names)),
        )

    @contextmanager
    def _account_state_hidden(self, operation: str) -> Iterator[None]:
        """Suppresses errors that would reveal whether an email is registered or confirmed."""
        hidden = {
            "UserNotFoundException",
            # The user is already confirmed, or has no verified address.
            "InvalidParameterException",
            "NotAuthorizedException",  # the user is disabled
            "CodeDeliveryFailureException",
            *_PER_USER_LIMITS,
        }
        with _errors_translated():
            try:
                yield
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code not in hidden:
                    raise
                if code == "CodeDeliveryFailureException":
                    self._log_delivery_failure(operation)

    def _log_delivery_failure(self, operation: str) -> None:
        # Cognito's own message may contain the address, so it is not logged.
        self._logger.error("Cognito could not send an email with a code", operation=operation)


def _attributes(pairs: "Sequence[AttributeTypeTypeDef]") -> dict[str, str]:
    return {attribute["Name"]: attribute.get("Value", "") for attribute in pairs}


@contextmanager
def _errors_translated(**problems: Problem) -> Iterator[None]:
    """Raises `problems[code]` instead of a Cognito error with that code.

    Errors from Cognito's limits or the user pool's WAF become 429 unless `problems` contains them.
    """
    limited = Problem.too_many_requests(60)
    known = {**dict.fromkeys((*_PER_USER_LIMITS, "ForbiddenException"), limited), **problems}
    try:
        yield
    except ClientError as error:
        problem = known.get(error.response["Error"]["Code"])
        if problem is None:
            raise
        raise problem from error


def _invalid_code() -> dict[str, Problem]:
    problem = Problem(HTTPStatus.BAD_REQUEST, "invalid_code", "The code is wrong or has expired.")
    return dict.fromkeys(_CODE_ERRORS, problem)


def _rejected_password(field: str) -> Problem:
    return Problem.invalid([FieldError(field, STRENGTH_RULE)])
