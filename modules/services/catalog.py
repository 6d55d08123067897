"""The resources of the catalog service: listings, wishlists and ratings, in PostgreSQL."""

from __future__ import annotations

from constructs import Construct

from modules.base.access import Prefix, bucket_access, database_access
from modules.base.bucket import Bucket
from modules.base.connections import DatabaseConnection
from modules.base.function import FunctionNetwork
from modules.base.schedule import Schedule, failure_alerts
from modules.cdn import IMAGES_PREFIX
from modules.services.service import Service, ServicePlatform
from modules.storage import upload_prefix

LISTING_IMAGES_PREFIX = f"{IMAGES_PREFIX}catalog/"
"""S3 key prefix of validated listing images. It starts with the prefix that the CDN serves."""

DATABASE_ROLE = "catalog"
"""The PostgreSQL role of the function, created by migrations."""

SWEEP_SCHEDULE = "rate(1 minute)"
"""The interval for publishing events that no request has published. EventBridge allows no shorter
interval.
"""
PAUSING_SWEEP_SCHEDULE = "rate(12 hours)"
"""The interval if the database can pause. Each run resumes the database for about 6 minutes.

Resuming takes about 15 s, but more than 30 s after a pause of more than 24 hours (Aurora user
guide, "Scaling to Zero ACUs").
"""


class Catalog(Service):
    """The service at /v1/catalog.

    Args:
        platform: The settings and resources that all services share.
        database: The database with the listings.
        attachments: The bucket of users' uploads.
        cdn_domain: The domain that serves images, in the form host[:port].
        network: The subnets and security group from which the function reaches the database.
        kms_key_arn: The KMS key of the alerts topic, to which failed scheduled runs are reported.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: ServicePlatform,
        database: DatabaseConnection,
        attachments: Bucket,
        cdn_domain: str,
        network: FunctionNetwork,
        kms_key_arn: str,
    ) -> None:
        super().__init__(
            scope,
            id_,
            platform=platform,
            service="catalog",
            path="catalog",
            description="Listings, wishlists and ratings",
            network=network,
            variables={"CLOUDFRONT_DOMAIN": cdn_domain},
            access=[
                bucket_access(
                    "S3_BUCKET_ATTACHMENTS",
                    attachments,
                    upload_prefix("catalog"),
                    Prefix("Images", LISTING_IMAGES_PREFIX, ("PutObject", "DeleteObject")),
                ),
                database_access(platform.names, database, DATABASE_ROLE),
                failure_alerts(platform, kms_key_arn),
            ],
        )
        Schedule(
            self,
            "sweep",
            platform=platform,
            function=self.function,
            resource="sweep",
            description="Publishes stored events that no request published",
            expression=PAUSING_SWEEP_SCHEDULE
            if platform.environment.rds.pauses
            else SWEEP_SCHEDULE,
        )
