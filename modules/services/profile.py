"""The profile service: profiles, avatars, and the aliases of anonymous acts."""

from __future__ import annotations

from constructs import Construct

from modules.base.bucket import Bucket
from modules.cdn import AVATARS_PREFIX, picture_variables
from modules.services.service import Service, ServicePlatform
from modules.services.statements import object_access, table_access, upload_access


class Profile(Service):
    """/v1/profile.

    Args:
        platform: what it shares with the other services.
        avatars: the bucket of users' pictures.
        attachments: the bucket of everything else that users upload; the profile's code is told its name and may not touch it.
        cdn_domain: where avatars are served, host[:port].
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: ServicePlatform,
        avatars: Bucket,
        attachments: Bucket,
        cdn_domain: str,
    ) -> None:
        profiles, aliases = platform.tables["profile-profiles"], platform.tables["profile-aliases"]
        super().__init__(
            scope,
            id_,
            platform=platform,
            service="profile",
            path="profile",
            description="Profiles, avatars and aliases",
            collections=False,
            outbox=True,
            variables={
                "DYNAMODB_TABLE_PROFILES": profiles.name,
                "DYNAMODB_TABLE_ALIASES": aliases.name,
                "S3_BUCKET_AVATARS": avatars.name,
                "S3_BUCKET_ATTACHMENTS": attachments.name,
                **picture_variables(platform.environment, cdn_domain),
            },
            statements=[
                # Made and changed in place; a profile is never listed and never deleted here.
                table_access("Profiles", profiles, "GetItem", "UpdateItem"),
                # Made once and replaced when regenerated.
                table_access("Aliases", aliases, "GetItem", "PutItem"),
                upload_access(avatars, "profile"),
                # Copied here when used, and removed when replaced or no longer wanted; CloudFront reads it.
                object_access("Avatars", avatars, AVATARS_PREFIX, "PutObject", "DeleteObject"),
            ],
        )
