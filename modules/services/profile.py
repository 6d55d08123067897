"""The profile service: profiles, avatars and anonymous aliases."""

from __future__ import annotations

from constructs import Construct

from modules.base.bucket import Bucket
from modules.cdn import AVATARS_PREFIX, picture_variables
from modules.services.service import Service, ServicePlatform
from modules.services.statements import object_access, table_access, upload_access


class Profile(Service):
    """/v1/profile.

    Args:
        platform: What all services share.
        avatars: The bucket of users' pictures.
        attachments: The bucket of other uploads. The function gets its name, but no access.
        cdn_domain: The domain that serves avatars, host[:port].
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
                # Profiles are created and changed by updates, never listed or deleted here.
                table_access("Profiles", profiles, "GetItem", "UpdateItem"),
                # Created once, and replaced when regenerated.
                table_access("Aliases", aliases, "GetItem", "PutItem"),
                upload_access(avatars, "profile"),
                # Copied here when used, deleted when replaced or removed; read by CloudFront.
                object_access("Avatars", avatars, AVATARS_PREFIX, "PutObject", "DeleteObject"),
            ],
        )
