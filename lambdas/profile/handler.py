"""The profile function: validates requests, calls the logic and builds the responses."""

from collections.abc import Mapping

from lambdas.common.clients import Clients
from lambdas.common.logs import create_logger
from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.people.aliases import Alias, AliasStore
from lambdas.common.people.pictures import PictureSettings
from lambdas.common.settings import read
from lambdas.common.storage.uploads import (
    IMAGE_LIMIT,
    IMAGE_TYPES,
    ImageUpload,
    SignedUpload,
    Uploads,
)
from lambdas.common.validation import validate
from lambdas.common.web.http import Request, Response
from lambdas.common.web.preconditions import IfMatch, Versioned
from lambdas.common.web.router import Router
from lambdas.common.web.service import IdempotentSettings, create_router, entry_point
from lambdas.profile.logic import ProfileService
from lambdas.profile.models import (
    AliasContext,
    AliasQuery,
    OwnProfile,
    Preferences,
    Privacy,
    ProfileView,
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

    def get_profile(self, request: Request) -> Versioned[OwnProfile]:
        """Returns the user's own profile, and creates it on first use."""
        return _response(self._service.get_own(request.caller))

    def replace_profile(self, request: Request) -> Versioned[OwnProfile]:
        """Replaces the profile's fields. Clears the fields that the body omits."""
        body = validate(ReplaceProfile, request.json)
        return _response(self._service.update(request.caller, body, IfMatch.of(request)))

    def update_profile(self, request: Request) -> Versioned[OwnProfile]:
        """Changes the profile's fields that the body contains (JSON Merge Patch, RFC 7396).

        null clears a field. A link with the value null is removed.
        """
        body = validate(UpdateProfile, request.json)
        return _response(self._service.update(request.caller, body, IfMatch.of(request)))

    def get_other_profile(self, request: Request) -> Response[ProfileView]:
        """Returns a user's profile without the fields that the caller may not see."""
        return Response(
            body=self._service.get_other(request.caller, request.path_parameters["userId"])
        )

    def create_avatar_upload(self, request: Request) -> Response[SignedUpload]:
        """Returns a signed form for the upload of an avatar.

        The form is valid for 5 minutes. `PUT /v1/profile/avatar` then uses the key.
        """
        body = validate(ImageUpload, request.json)
        upload = self._service.sign_avatar(request.caller, body.content_type, body.content_length)
        return Response.created(upload)

    def set_avatar(self, request: Request) -> Versioned[OwnProfile]:
        """Makes an uploaded image the avatar, after a check of the file's bytes."""
        body = validate(UseAvatar, request.json)
        return _response(self._service.set_avatar(request.caller, body.key, IfMatch.of(request)))

    def delete_avatar(self, request: Request) -> Response[None]:
        """Deletes the avatar."""
        self._service.delete_avatar(request.caller)
        return Response.no_content()

    def get_privacy(self, request: Request) -> Versioned[Privacy]:
        """Returns who may see each field of the profile."""
        profile = self._service.get_own(request.caller)
        return Versioned(profile.privacy, profile.version)

    def replace_privacy(self, request: Request) -> Versioned[Privacy]:
        """Sets who may see each field of the profile."""
        body = validate(Privacy, request.json)
        profile = self._service.set_privacy(request.caller, body, IfMatch.of(request))
        return Versioned(profile.privacy, profile.version)

    def get_preferences(self, request: Request) -> Versioned[Preferences]:
        """Returns the user's preferences."""
        profile = self._service.get_own(request.caller)
        return Versioned(profile.preferences, profile.version)

    def replace_preferences(self, request: Request) -> Versioned[Preferences]:
        """Replaces the preferences. Omitted fields get their defaults."""
        body = validate(Preferences, request.json)
        profile = self._service.set_preferences(request.caller, body, IfMatch.of(request))
        return Versioned(profile.preferences, profile.version)

    def get_alias(self, request: Request) -> Response[Alias]:
        """Returns the user's anonymous alias in a context, such as a room.

        The alias is created on first use and stays the same. Only the service can map it to the
        user.
        """
        query = validate(AliasQuery, request.query, from_text=True)
        return Response(
            body=self._service.get_alias(request.caller, query.context_type, query.context)
        )

    def regenerate_alias(self, request: Request) -> Response[Alias]:
        """Replaces the alias in a context. Existing posts and messages keep the old one."""
        body = validate(AliasContext, request.json)
        alias = self._service.regenerate_alias(
            request.caller, body.context_type, body.context, request.creation.id
        )
        return Response(body=alias)


def _response(profile: OwnProfile) -> Versioned[OwnProfile]:
    return Versioned(profile, profile.version)


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
