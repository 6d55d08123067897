"""The routes of the auth service, and their access rules."""

from lambdas.auth.models import (
    ChangePassword,
    Confirm,
    EmailOnly,
    Login,
    Logout,
    Refresh,
    Register,
    ResetPassword,
)
from lambdas.common.caller import USER
from lambdas.common.validation import EmptyBody
from lambdas.common.web.access import AUTHENTICATED, PUBLIC, role
from lambdas.common.web.pagination import PageQuery
from lambdas.common.web.router import Route

ROUTES = (
    Route(
        "POST",
        "/v1/auth/register",
        PUBLIC,
        "register",
        201,
        Register,
        error_codes={"email_taken": 409},
    ),
    Route(
        "POST",
        "/v1/auth/confirm",
        PUBLIC,
        "confirm",
        body=Confirm,
        error_codes={"invalid_code": 400},
    ),
    Route("POST", "/v1/auth/resend-confirmation", PUBLIC, "resend_confirmation", 202, EmailOnly),
    Route(
        "POST",
        "/v1/auth/login",
        PUBLIC,
        "login",
        body=Login,
        error_codes={
            "invalid_credentials": 401,
            "email_not_verified": 403,
            "password_reset_required": 403,
        },
    ),
    Route("POST", "/v1/auth/anonymous", PUBLIC, "anonymous", 201, EmptyBody),
    Route(
        "POST",
        "/v1/auth/refresh",
        PUBLIC,
        "refresh",
        body=Refresh,
        error_codes={"invalid_refresh_token": 401, "refresh_token_reused": 401},
    ),
    Route("POST", "/v1/auth/logout", AUTHENTICATED, "logout", 204, Logout),
    Route("GET", "/v1/auth/sessions", AUTHENTICATED, "list_sessions", query=PageQuery),
    Route("DELETE", "/v1/auth/sessions/{sessionId}", AUTHENTICATED, "delete_session", 204),
    Route("GET", "/v1/auth/me", AUTHENTICATED, "me", error_codes={"account_closed": 401}),
    Route(
        "POST",
        "/v1/auth/change-password",
        role(USER),
        "change_password",
        204,
        ChangePassword,
        error_codes={"password_reset_required": 403},
    ),
    Route("POST", "/v1/auth/forgot-password", PUBLIC, "forgot_password", 202, EmailOnly),
    Route(
        "POST",
        "/v1/auth/reset-password",
        PUBLIC,
        "reset_password",
        204,
        ResetPassword,
        error_codes={"invalid_code": 400},
    ),
)
