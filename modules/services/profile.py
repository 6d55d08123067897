"""The profile service: profiles, avatars and anonymous aliases."""

from __future__ import annotations

from constructs import Construct

from modules.base.access import Prefix, bucket_access, table_access
from modules.base.bucket import Bucket
from modules.cdn import AVATARS_PREFIX, picture_variables
from modules.services.service import Service, ServicePlatform
from modules.storage import upload_prefix


class Profile(Service):
    """/v1/profile.

    Args:
        platform: The settings and resources that all services share.
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
        tables = platform.tables
        super().__init__(
            scope,
            id_,
            platform=platform,
            service="profile",
            path="profile",
            description="Profiles, avatars and aliases",
            lists=False,
            outbox=True,
            variables={
                "S3_BUCKET_ATTACHMENTS": attachments.name,
                **picture_variables(platform.environment, cdn_domain),
            },
            access=[
                # Profiles are created and changed by updates, never listed or deleted here.
                table_access(tables["profile-profiles"], "GetItem", "UpdateItem"),
                # Created once, and replaced when regenerated.
                table_access(tables["profile-aliases"], "GetItem", "PutItem"),
                bucket_access(
                    "S3_BUCKET_AVATARS",
                    avatars,
                    upload_prefix("profile"),
                    # Copied here when used, deleted when replaced or removed; read by CloudFront.
                    Prefix("Avatars", AVATARS_PREFIX, ("PutObject", "DeleteObject")),
                ),
            ],
        )
