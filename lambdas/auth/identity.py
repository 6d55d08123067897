"""Users and their passwords, which Cognito holds."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import ClientError

from lambdas.auth.models import POLICY, User
from lambdas.common.caller import ADMIN, MODERATOR, USER
from lambdas.common.logs import Logger
from lambdas.common.problems import FieldError, Problem

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_cognito_idp.type_defs import AttributeTypeTypeDef

_GRANTED = (MODERATOR, ADMIN)  # roles that are Cognito groups; every registered user has USER


# Cognito counts these per user: where an unknown email is answered like a known one, they must not show.
_PER_USER_LIMITS = ("LimitExceededException", "TooManyFailedAttemptsException")


class Identity(Protocol):
    """What the logic needs of a user directory. An email is given in lower case."""

    def sign_up(self, email: str, password: str, display_name: str) -> str:
        """The new user's id, also where the code could not be mailed. Raises Problem 409 (taken) or 422."""

    def confirm(self, email: str, code: str) -> None:
        """Raises Problem 400 for a wrong or expired code, whether or not the email is known."""

    def resend_confirmation(self, email: str) -> None:
        """Does nothing for an email that is unknown or confirmed already."""

    def authenticate(self, email: str, password: str) -> User:
        """Raises Problem 401 (wrong email or password) or 403 (email not verified, password must be reset)."""

    def find(self, user_id: str) -> User | None:
        """The user, None if there is none or it is disabled."""

    def change_password(self, user_id: str, current: str, new: str) -> None:
        """Raises Problem 422 when `current` is wrong or `new` is refused."""

    def send_reset_code(self, email: str) -> None:
        """Does nothing for an email that is unknown or not verified."""

    def reset_password(self, email: str, code: str, new: str) -> User | None:
        """The user whose password it was. Raises Problem 400 (code) or 422 (password)."""


class CognitoIdentity:
    """The directory as a Cognito user pool whose users sign in by email; a user's id is the `sub` attribute."""

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
        with _translated(
            UsernameExistsException=Problem.conflict(
                "This email address is registered already.", "email_taken"
            ),
            InvalidPasswordException=_refused("password"),
            InvalidParameterException=Problem.invalid(
                [FieldError("email", "is not accepted as an email address")]
            ),
        ):
            try:
                answer = self._cognito.sign_up(
                    ClientId=self._client,
                    Username=email,
                    Password=password,
                    UserAttributes=[
                        {"Name": "email", "Value": email},
                        {"Name": "name", "Value": display_name},
                    ],
                )
            except self._cognito.exceptions.CodeDeliveryFailureException:
                # The user exists all the same, and can have the code mailed again.
                self._log_undelivered("sign_up")
                user = self._cognito.admin_get_user(UserPoolId=self._pool, Username=email)
                return _attributes(user["UserAttributes"])["sub"]
        return answer["UserSub"]

    def confirm(self, email: str, code: str) -> None:
        wrong = _wrong_code()
        with _translated(
            CodeMismatchException=wrong,
            ExpiredCodeException=wrong,
            UserNotFoundException=wrong,
            NotAuthorizedException=wrong,  # confirmed already
            AliasExistsException=wrong,
            InvalidParameterException=wrong,
            **dict.fromkeys(_PER_USER_LIMITS, wrong),
        ):
            self._cognito.confirm_sign_up(
                ClientId=self._client, Username=email, ConfirmationCode=code
            )

    def resend_confirmation(self, email: str) -> None:
        with self._unrevealed("resend_confirmation_code"):
            self._cognito.resend_confirmation_code(ClientId=self._client, Username=email)

    def authenticate(self, email: str, password: str) -> User:
        wrong = Problem.unauthorized(
            "The email address or the password is wrong.", "invalid_credentials"
        )
        with _translated(
            NotAuthorizedException=wrong,
            UserNotFoundException=wrong,
            UserNotConfirmedException=Problem.forbidden(
                "Confirm the email address first.", "email_not_verified"
            ),
        ):
            self._sign_in(email, password)
        user = self._get(email)
        if user is None:  # deleted or disabled since
            raise wrong
        return user

    def find(self, user_id: str) -> User | None:
        return self._get(user_id)

    def change_password(self, user_id: str, current: str, new: str) -> None:
        wrong = Problem.invalid([FieldError("currentPassword", "is not the current password")])
        with _translated(
            NotAuthorizedException=wrong, InvalidPasswordException=_refused("newPassword")
        ):
            token = self._sign_in(user_id, current)
            self._cognito.change_password(
                AccessToken=token, PreviousPassword=current, ProposedPassword=new
            )

    def send_reset_code(self, email: str) -> None:
        with self._unrevealed("forgot_password"):
            self._cognito.forgot_password(ClientId=self._client, Username=email)

    def reset_password(self, email: str, code: str, new: str) -> User | None:
        wrong = _wrong_code()
        with _translated(
            CodeMismatchException=wrong,
            ExpiredCodeException=wrong,
            UserNotFoundException=wrong,
            NotAuthorizedException=wrong,
            UserNotConfirmedException=wrong,
            InvalidParameterException=wrong,  # no verified address, or a code of another form
            **dict.fromkeys(_PER_USER_LIMITS, wrong),
            InvalidPasswordException=_refused("newPassword"),
        ):
            self._cognito.confirm_forgot_password(
                ClientId=self._client, Username=email, ConfirmationCode=code, Password=new
            )
        return self._get(email)

    def _sign_in(self, username: str, password: str) -> str:
        """An access token of Cognito's own, which never leaves this module."""
        reset = Problem.forbidden(
            "Set a new password with forgot-password first.", "password_reset_required"
        )
        with _translated(PasswordResetRequiredException=reset):
            answer = self._cognito.admin_initiate_auth(
                UserPoolId=self._pool,
                ClientId=self._client,
                AuthFlow="ADMIN_USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": username, "PASSWORD": password},
            )
        if (
            "AuthenticationResult" not in answer
        ):  # a challenge: an administrator has set a temporary password
            raise reset
        return answer["AuthenticationResult"]["AccessToken"]

    def _get(self, username: str) -> User | None:
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
            roles=(USER, *(role for role in _GRANTED if role in names)),
        )

    @contextmanager
    def _unrevealed(self, operation: str) -> Iterator[None]:
        """Swallows the errors that would tell whether an email is known, and in which state."""
        hidden = {
            "UserNotFoundException",
            "InvalidParameterException",  # confirmed already, or no verified address
            "NotAuthorizedException",  # disabled
            "CodeDeliveryFailureException",
            *_PER_USER_LIMITS,
        }
        with _translated():
            try:
                yield
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code not in hidden:
                    raise
                if code == "CodeDeliveryFailureException":
                    self._log_undelivered(operation)

    def _log_undelivered(self, operation: str) -> None:
        """Says so without Cognito's message, which may hold the address."""
        self._logger.error("Cognito could not mail a code", operation=operation)


def _attributes(pairs: "Sequence[AttributeTypeTypeDef]") -> dict[str, str]:
    return {attribute["Name"]: attribute.get("Value", "") for attribute in pairs}


@contextmanager
def _translated(**problems: Problem) -> Iterator[None]:
    """Turns Cognito's errors into the problems named after them; a limit without one, or the pool's WAF, becomes 429."""
    limited = Problem.too_many_requests(60)
    known = {**dict.fromkeys((*_PER_USER_LIMITS, "ForbiddenException"), limited), **problems}
    try:
        yield
    except ClientError as error:
        problem = known.get(error.response["Error"]["Code"])
        if problem is None:
            raise
        raise problem from error


def _wrong_code() -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "invalid_code", "The code is wrong or has expired.")


def _refused(field: str) -> Problem:
    return Problem.invalid([FieldError(field, POLICY)])
