"""The profile function: validates requests, calls the logic and builds the responses."""

from collections.abc import Mapping
from typing import Any

from lambdas.common.clients import Clients
from lambdas.common.logs import create_logger
from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.people.aliases import AliasStore
from lambdas.common.people.pictures import PictureSettings
from lambdas.common.settings import read
from lambdas.common.storage.uploads import IMAGE_LIMIT, IMAGE_TYPES, ImageUpload, Uploads
from lambdas.common.validation import validate
from lambdas.common.web.http import Request, Response
from lambdas.common.web.preconditions import IfMatch, versioned
from lambdas.common.web.router import Router
from lambdas.common.web.service import IdempotentSettings, create_router, entry_point
from lambdas.profile.logic import ProfileService
from lambdas.profile.models import (
    AliasContext,
    AliasQuery,
    OwnProfile,
    Preferences,
    Privacy,
    ReplaceProfile,
    UpdateProfile,
    UseAvatar,
)
from lambdas.profile.routes import ROUTES
from lambdas.profile.store import DynamoProfileStore


class ProfileSettings(IdempotentSettings, frozen=True, kw_only=True):
    dynamodb_table_profiles: str
    dynamodb_table_aliases: str
    dynamodb_table_outbox: str
    s3_bucket_avatars: str


class ProfileApi:
    def __init__(self, service: ProfileService) -> None:
        self._service = service

    def get_profile(self, request: Request) -> Response:
        return _response(self._service.get_own(request.caller))

    def replace_profile(self, request: Request) -> Response:
        body = validate(ReplaceProfile, request.json)
        return _response(self._service.update(request.caller, body, IfMatch.of(request)))

    def update_profile(self, request: Request) -> Response:
        body = validate(UpdateProfile, request.json)
        return _response(self._service.update(request.caller, body, IfMatch.of(request)))

    def get_other_profile(self, request: Request) -> Response:
        return Response(
            body=self._service.get_other(request.caller, request.path_parameters["userId"])
        )

    def create_avatar_upload(self, request: Request) -> Response:
        body = validate(ImageUpload, request.json)
        upload = self._service.sign_avatar(request.caller, body.content_type, body.content_length)
        return Response.created(upload)

    def set_avatar(self, request: Request) -> Response:
        body = validate(UseAvatar, request.json)
        return _response(self._service.set_avatar(request.caller, body.key, IfMatch.of(request)))

    def delete_avatar(self, request: Request) -> Response:
        self._service.delete_avatar(request.caller)
        return Response.no_content()

    def get_privacy(self, request: Request) -> Response:
        profile = self._service.get_own(request.caller)
        return _response(profile, profile.privacy)

    def replace_privacy(self, request: Request) -> Response:
        body = validate(Privacy, request.json)
        profile = self._service.set_privacy(request.caller, body, IfMatch.of(request))
        return _response(profile, profile.privacy)

    def get_preferences(self, request: Request) -> Response:
        profile = self._service.get_own(request.caller)
        return _response(profile, profile.preferences)

    def replace_preferences(self, request: Request) -> Response:
        body = validate(Preferences, request.json)
        profile = self._service.set_preferences(request.caller, body, IfMatch.of(request))
        return _response(profile, profile.preferences)

    def get_alias(self, request: Request) -> Response:
        query = validate(AliasQuery, request.query, from_text=True)
        return Response(
            body=self._service.get_alias(request.caller, query.context_type, query.context)
        )

    def regenerate_alias(self, request: Request) -> Response:
        body = validate(AliasContext, request.json)
        alias = self._service.regenerate_alias(request.caller, body.context_type, body.context)
        return Response(body=alias)


def _response(profile: OwnProfile, part: Any = None) -> Response:
    """Returns the profile or a part of it, with the profile's version as ETag."""
    return versioned(part or profile, profile.version)


def build(environ: Mapping[str, str]) -> Router:
    settings = read(ProfileSettings, environ)
    clients = Clients(settings.region)
    logger = create_logger(settings)
    service = ProfileService(
        profiles=DynamoProfileStore(
            clients.dynamodb,
            settings.dynamodb_table_profiles,
            OutboxWriter(settings.dynamodb_table_outbox, "profile", logger),
        ),
        aliases=AliasStore(clients.dynamodb, settings.dynamodb_table_aliases),
        pictures=Uploads(
            lambda: clients.s3,
            settings.s3_bucket_avatars,
            "profile",
            types=IMAGE_TYPES,
            limit=IMAGE_LIMIT,
        ),
        picture_url=read(PictureSettings, environ).picture_url,
        logger=logger,
    )
    return create_router(settings, clients, ROUTES, ProfileApi(service), logger)


handler = entry_point(build)
