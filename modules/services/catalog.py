"""The catalog service: listings, wishlists and ratings, in PostgreSQL."""

from __future__ import annotations

from constructs import Construct

from modules.base.bucket import Bucket
from modules.base.connections import DatabaseConnection
from modules.base.data_access import database_access
from modules.base.function import FunctionNetwork
from modules.base.schedule import Schedule, schedule_failures
from modules.cdn import IMAGES_PREFIX, picture_variables
from modules.services.service import Service, ServicePlatform
from modules.services.statements import object_access, upload_access

IMAGES = f"{IMAGES_PREFIX}catalog/"
"""Where in their bucket listings' images are once checked, within the prefix that the cdn domain serves."""

DATABASE_ROLE = "catalog"
"""The PostgreSQL role it connects as; migrations make it."""

SWEEP = "rate(1 minute)"
"""How often events are looked for that a request has stored and not brought to the bus: the shortest that EventBridge has."""


class Catalog(Service):
    """/v1/catalog.

    Args:
        platform: what it shares with the other services.
        database: holds the listings.
        attachments: the bucket of what users upload.
        cdn_domain: where images are served, host[:port].
        network: where in the VPC it runs, to reach the database.
        kms_key_arn: encrypts the alerts topic, which hears of sweeps that failed.
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
        listings = database_access(platform.names, database, DATABASE_ROLE)
        super().__init__(
            scope,
            id_,
            platform=platform,
            service="catalog",
            path="catalog",
            description="Listings, wishlists and ratings",
            network=network,
            variables={
                "S3_BUCKET_ATTACHMENTS": attachments.name,
                **picture_variables(platform.environment, cdn_domain),
                **listings.variables,
            },
            statements=[
                upload_access(attachments, "catalog"),
                object_access("Images", attachments, IMAGES, "PutObject", "DeleteObject"),
                *listings.statements,
                *schedule_failures(platform, kms_key_arn),
            ],
        )
        Schedule(
            self,
            "sweep",
            platform=platform,
            function=self.function,
            resource="sweep",
            description="Brings events to the bus that a request has left over",
            expression=SWEEP,
        )
