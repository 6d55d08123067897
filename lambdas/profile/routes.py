"""The routes of the profile service, and their access rules."""

from lambdas.common.caller import READ, USER
from lambdas.common.storage.uploads import ImageUpload
from lambdas.common.web.access import capability, role
from lambdas.common.web.router import Route
from lambdas.profile.models import (
    AliasContext,
    AliasQuery,
    Preferences,
    Privacy,
    ReplaceProfile,
    UpdateProfile,
    UseAvatar,
)

_READ = capability(READ)
_USER = role(USER)

ROUTES = (
    Route("GET", "/v1/profile", _READ, "get_profile"),
    Route(
        "PUT",
        "/v1/profile",
        _USER,
        "replace_profile",
        body=ReplaceProfile,
        conditional=True,
    ),
    Route(
        "PATCH",
        "/v1/profile",
        _USER,
        "update_profile",
        body=UpdateProfile,
        conditional=True,
    ),
    Route("GET", "/v1/profile/{userId}", _READ, "get_other_profile"),
    Route("POST", "/v1/profile/avatar", _USER, "create_avatar_upload", 201, ImageUpload),
    Route(
        "PUT",
        "/v1/profile/avatar",
        _USER,
        "set_avatar",
        body=UseAvatar,
        conditional=True,
        error_codes={"upload_changed": 409},
    ),
    Route("DELETE", "/v1/profile/avatar", _USER, "delete_avatar", 204),
    Route("GET", "/v1/profile/privacy", _READ, "get_privacy"),
    Route(
        "PUT",
        "/v1/profile/privacy",
        _USER,
        "replace_privacy",
        body=Privacy,
        conditional=True,
    ),
    Route("GET", "/v1/profile/preferences", _READ, "get_preferences"),
    Route(
        "PUT",
        "/v1/profile/preferences",
        _USER,
        "replace_preferences",
        body=Preferences,
        conditional=True,
    ),
    Route("GET", "/v1/profile/alias", _READ, "get_alias", query=AliasQuery),
    Route(
        "POST",
        "/v1/profile/alias/regenerate",
        _USER,
        "regenerate_alias",
        body=AliasContext,
        idempotent=True,
    ),
)
