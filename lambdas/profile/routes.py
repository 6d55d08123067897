"""The routes of the profile service, and their access rules."""

from lambdas.common.caller import READ, USER
from lambdas.common.web.access import capability, role
from lambdas.common.web.router import Route

_READ = capability(READ)
_USER = role(USER)

ROUTES = (
    Route("GET", "/v1/profile", _READ, "get_profile"),
    Route("PUT", "/v1/profile", _USER, "replace_profile"),
    Route("PATCH", "/v1/profile", _USER, "update_profile"),
    Route("GET", "/v1/profile/{userId}", _READ, "get_other_profile"),
    Route("POST", "/v1/profile/avatar", _USER, "create_avatar_upload"),
    Route("PUT", "/v1/profile/avatar", _USER, "set_avatar"),
    Route("DELETE", "/v1/profile/avatar", _USER, "delete_avatar"),
    Route("GET", "/v1/profile/privacy", _READ, "get_privacy"),
    Route("PUT", "/v1/profile/privacy", _USER, "replace_privacy"),
    Route("GET", "/v1/profile/preferences", _READ, "get_preferences"),
    Route("PUT", "/v1/profile/preferences", _USER, "replace_preferences"),
    Route("GET", "/v1/profile/alias", _READ, "get_alias"),
    Route("POST", "/v1/profile/alias/regenerate", _USER, "regenerate_alias", idempotent=True),
)
