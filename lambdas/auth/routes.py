"""The routes of the auth service, and their access rules."""

from lambdas.common.caller import USER
from lambdas.common.web.access import AUTHENTICATED, PUBLIC, role
from lambdas.common.web.router import Route

ROUTES = (
    Route("POST", "/v1/auth/register", PUBLIC, "register"),
    Route("POST", "/v1/auth/confirm", PUBLIC, "confirm"),
    Route("POST", "/v1/auth/resend-confirmation", PUBLIC, "resend_confirmation"),
    Route("POST", "/v1/auth/login", PUBLIC, "login"),
    Route("POST", "/v1/auth/anonymous", PUBLIC, "anonymous"),
    Route("POST", "/v1/auth/refresh", PUBLIC, "refresh"),
    Route("POST", "/v1/auth/logout", AUTHENTICATED, "logout"),
    Route("GET", "/v1/auth/sessions", AUTHENTICATED, "list_sessions"),
    Route("DELETE", "/v1/auth/sessions/{sessionId}", AUTHENTICATED, "delete_session"),
    Route("GET", "/v1/auth/me", AUTHENTICATED, "me"),
    Route("POST", "/v1/auth/change-password", role(USER), "change_password"),
    Route("POST", "/v1/auth/forgot-password", PUBLIC, "forgot_password"),
    Route("POST", "/v1/auth/reset-password", PUBLIC, "reset_password"),
)
