"""The auth function: validates requests, calls the logic and builds the responses."""

from collections.abc import Mapping

from lambdas.auth.identity import CognitoIdentity
from lambdas.auth.logic import AuthService
from lambdas.auth.models import (
    Anonymous,
    ChangePassword,
    Confirm,
    Confirmation,
    EmailOnly,
    Login,
    Logout,
    Refresh,
    Register,
    RegisteredUser,
    ResetPassword,
    SessionView,
    SignedIn,
    TokenPair,
    User,
)
from lambdas.auth.rate_limit import RateLimiter
from lambdas.auth.refresh_tokens import RefreshTokens
from lambdas.auth.routes import ROUTES
from lambdas.auth.sessions import DynamoSessionStore
from lambdas.common.clients import Clients
from lambdas.common.logs import create_logger
from lambdas.common.messaging.events import DirectEvents, EventFactory, EventPublisher
from lambdas.common.people.profiles import ProfileReader
from lambdas.common.settings import read
from lambdas.common.signing.keys import KeyRing, ParameterKeySource
from lambdas.common.validation import EmptyBody, validate
from lambdas.common.web.http import Request, Response
from lambdas.common.web.pagination import Cursors, Page, PageQuery
from lambdas.common.web.router import Router
from lambdas.common.web.service import SignedInSettings, create_router, entry_point
from lambdas.common.web.tokens import TokenIssuer, TokenVerifier


class AuthSettings(SignedInSettings, frozen=True, kw_only=True):
    cognito_user_pool_id: str
    cognito_client_id: str
    dynamodb_table_rate_limits: str
    dynamodb_table_profiles: str
    jwt_secret_parameter: str
    cursor_key_parameter: str
    event_bus_name: str
    account_seconds: int = 0


class AuthApi:
    def __init__(self, service: AuthService) -> None:
        self._service = service

    def register(self, request: Request) -> Response[RegisteredUser]:
        """Registers a user and sends a confirmation code by email.

        If the address was registered before but never confirmed, the new registration replaces the
        earlier one.
        """
        body = validate(Register, request.json)
        user = self._service.register(
            body.email, body.password, body.display_name, address=request.source_ip
        )
        return Response.created(
            RegisteredUser(
                user_id=user.user_id,
                email=str(body.email),
                display_name=user.display_name,
                email_verified=False,
            )
        )

    def confirm(self, request: Request) -> Response[Confirmation]:
        """Confirms an email address with the code from the email."""
        body = validate(Confirm, request.json)
        self._service.confirm(body.email, body.code, address=request.source_ip)
        return Response(body=Confirmation(email_verified=True))

    def resend_confirmation(self, request: Request) -> Response[None]:
        """Sends the confirmation code again.

        The response does not reveal whether the address is registered.
        """
        body = validate(EmailOnly, request.json)
        self._service.resend_confirmation(body.email, address=request.source_ip)
        return Response.accepted()

    def login(self, request: Request) -> Response[SignedIn]:
        """Signs in with email and password, and returns a pair of tokens.

        `deviceInfo` describes the session in the list of sessions. The default is the header
        User-Agent.
        """
        body = validate(Login, request.json)
        device = body.device_info or request.first_header("User-Agent")[:200] or None
        signed_in = self._service.login(
            body.email, body.password, device, address=request.source_ip
        )
        return Response(body=signed_in)

    def anonymous(self, request: Request) -> Response[Anonymous]:
        """Creates an anonymous user and returns an access token.

        The user can read, and can write posts, comments and chat messages under an alias. The token
        is valid for one hour and cannot be refreshed.
        """
        validate(EmptyBody, request.json)
        return Response.created(self._service.anonymous(address=request.source_ip))

    def refresh(self, request: Request) -> Response[TokenPair]:
        """Exchanges a refresh token for a new pair of tokens.

        A refresh token can be used once. If a client sends it again within 10 seconds, the response
        contains the session's newest refresh token and a new access token. If a client sends it
        later, the session ends.
        """
        body = validate(Refresh, request.json)
        return Response(body=self._service.refresh(body.refresh_token))

    def logout(self, request: Request) -> Response[None]:
        """Ends the session, or all sessions of the user if `allDevices` is true."""
        body = validate(Logout, request.json)
        self._service.logout(request.caller, all_devices=body.all_devices)
        return Response.no_content()

    def list_sessions(self, request: Request) -> Response[Page[SessionView]]:
        """Lists the user's sessions, the most recently used first."""
        query = validate(PageQuery, request.query, from_text=True)
        return Response(body=self._service.list_sessions(request.caller, query))

    def delete_session(self, request: Request) -> Response[None]:
        """Ends one of the user's sessions."""
        self._service.delete_session(request.caller, request.path_parameters["sessionId"])
        return Response.no_content()

    def me(self, request: Request) -> Response[User]:
        """Returns the user. Anonymous users have no email and no roles."""
        return Response(body=self._service.me(request.caller))

    def change_password(self, request: Request) -> Response[None]:
        """Changes the password and ends the user's other sessions."""
        body = validate(ChangePassword, request.json)
        self._service.change_password(request.caller, body.current_password, body.new_password)
        return Response.no_content()

    def forgot_password(self, request: Request) -> Response[None]:
        """Sends a code that resets the password.

        The response does not reveal whether the address is registered.
        """
        body = validate(EmailOnly, request.json)
        self._service.forgot_password(body.email, address=request.source_ip)
        return Response.accepted()

    def reset_password(self, request: Request) -> Response[None]:
        """Sets a new password with the code from the email, and ends all sessions."""
        body = validate(ResetPassword, request.json)
        self._service.reset_password(
            body.email, body.code, body.new_password, address=request.source_ip
        )
        return Response.no_content()


def build(environ: Mapping[str, str]) -> Router:
    settings = read(AuthSettings, environ)
    clients = Clients(settings.region)
    logger = create_logger(settings)
    keys = KeyRing(ParameterKeySource(clients.ssm, settings.jwt_secret_parameter))
    service = AuthService(
        identity=CognitoIdentity(
            clients.cognito, settings.cognito_user_pool_id, settings.cognito_client_id, logger
        ),
        profiles=ProfileReader(clients.dynamodb, settings.dynamodb_table_profiles),
        sessions=DynamoSessionStore(clients.dynamodb, settings.dynamodb_table_sessions),
        access_tokens=TokenIssuer(keys),
        refresh_tokens=RefreshTokens(keys),
        limiter=RateLimiter(
            clients.dynamodb,
            settings.dynamodb_table_rate_limits,
            enabled=settings.rate_limit_enabled,
        ),
        cursors=Cursors(KeyRing(ParameterKeySource(clients.ssm, settings.cursor_key_parameter))),
        events=DirectEvents(
            EventFactory("auth", logger),
            EventPublisher(lambda: clients.events, settings.event_bus_name, logger),
        ),
        logger=logger,
        account_seconds=settings.account_seconds,
    )
    # No authorizer runs before this function, so it verifies tokens itself.
    identify = TokenVerifier(keys).identify
    return create_router(settings, clients, ROUTES, AuthApi(service), logger, identify=identify)


handler = entry_point(build)
