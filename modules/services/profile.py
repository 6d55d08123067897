"""The resources of the profile service: profiles, avatars and anonymous aliases."""

from __future__ import annotations

from constructs import Construct

from modules.base.access import Prefix, bucket_access, table_access
from modules.base.bucket import Bucket
from modules.cdn import AVATARS_PREFIX
from modules.services.service import Service, ServicePlatform
from modules.storage import upload_prefix


class Profile(Service):
    """The service at /v1/profile.

    Args:
        platform: The settings and resources that all services share.
        avatars: The bucket of users' pictures.
        attachments: The bucket of all uploads except avatars. The function receives the bucket's
            name, but no permissions.
        cdn_domain: The domain that serves avatars, in the form host[:port].
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
            has_paginated_routes=False,
            outbox=True,
            variables={
                "S3_BUCKET_ATTACHMENTS": attachments.name,
                "CLOUDFRONT_DOMAIN": cdn_domain,
            },
            access=[
                # UpdateItem creates and changes profiles. The service never lists or deletes them.
                table_access(tables["profile-profiles"], "GetItem", "UpdateItem"),
                # An alias is created on first use, and replaced on request.
                table_access(tables["profile-aliases"], "GetItem", "PutItem"),
                bucket_access(
                    "S3_BUCKET_AVATARS",
                    avatars,
                    upload_prefix("profile"),
                    # The service copies uploads that become avatars. CloudFront serves the copies.
                    Prefix("Avatars", AVATARS_PREFIX, ("PutObject", "DeleteObject")),
                ),
            ],
        )
