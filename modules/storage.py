"""The platform's buckets."""

from __future__ import annotations

from collections.abc import Sequence

from cdktf_cdktf_provider_aws.s3_bucket_cors_configuration import S3BucketCorsConfigurationCorsRule
from cdktf_cdktf_provider_aws.s3_bucket_lifecycle_configuration import (
    S3BucketLifecycleConfigurationRule,
    S3BucketLifecycleConfigurationRuleExpiration,
    S3BucketLifecycleConfigurationRuleFilter,
    S3BucketLifecycleConfigurationRuleNoncurrentVersionExpiration,
    S3BucketLifecycleConfigurationRuleNoncurrentVersionTransition,
    S3BucketLifecycleConfigurationRuleTransition,
)
from constructs import Construct

from modules.base.access import Prefix
from modules.base.bucket import ACCESS_LOG_PREFIX, Bucket
from modules.base.naming import Names
from modules.base.policy import Statement

INFREQUENT_AFTER = 30
"""Days until objects move to STANDARD_IA, as the specification requires."""
ARCHIVE_AFTER = 90
"""Days until objects move to a Glacier storage class, as the specification requires."""
RETENTION = 2555
"""Days for which objects are kept. The specification requires seven years."""
OLD_VERSION_RETENTION = 30
"""Days for which replaced versions are kept, so that operators can restore them."""
UPLOADS = "uploads/"
"""The prefix of presigned uploads. CloudFront cannot read it.

Services copy an upload to another prefix before they use it.
"""
CORS_MAX_AGE = 7200
"""Seconds for which browsers may cache a preflight response. This is Chromium's maximum."""


def upload_prefix(service: str) -> Prefix:
    """Returns the S3 prefix of a service's uploads, and the actions that its function performs."""
    return Prefix("Uploads", f"{UPLOADS}{service}/", ("GetObject", "PutObject"))


class Storage(Construct):
    """All buckets of an environment, encrypted with S3's own keys (SSE-S3).

    The buckets of the site and the avatars require SSE-S3: the policy of a customer managed key and
    the CloudFront distribution would depend on each other. For other buckets, such a key would cost
    money per request and require key permissions for each function, without better protection.

    Attributes:
        avatars: Users' pictures, served by CloudFront.
        attachments: Chat attachments, and images of posts and listings.
        backups: Exports and dumps.
        frontend: The static site, served by CloudFront.
        artifacts: The functions' code.
        access_logs: Access logs of the other buckets and of CloudFront.
    """

    def __init__(self, scope: Construct, id_: str, *, names: Names) -> None:
        super().__init__(scope, id_)
        environment = names.environment
        # Pictures never expire and must be readable immediately, which GLACIER_IR allows.
        served = [
            _expire_uploads(),
            _archive_objects("GLACIER_IR"),
            _expire_old_versions(RETENTION, archive=True),
        ]
        # When an object expires after seven years, S3 keeps it as an old version for a month.
        archived = [
            _archive_objects("GLACIER", expire_after=RETENTION),
            _expire_old_versions(OLD_VERSION_RETENTION),
        ]
        rebuildable = [_expire_old_versions(OLD_VERSION_RETENTION)]
        retain = environment.retains_data

        self.access_logs = Bucket(
            self,
            "access-logs",
            name=names.bucket("platform", "access-logs"),
            service="platform",
            retain=retain,
            lifecycle=archived,
            object_ownership="BucketOwnerPreferred",  # CloudFront's standard logs require ACLs.
        )
        self.access_logs.allow(
            Statement(
                sid="AccessLogs",
                actions=["s3:PutObject"],
                resources=[f"{self.access_logs.arn}/{ACCESS_LOG_PREFIX}*"],
                principals={"Service": "logging.s3.amazonaws.com"},
                conditions={"StringEquals": {"aws:SourceAccount": environment.account_id}},
            )
        )

        def create_bucket(
            service: str,
            resource: str,
            lifecycle: Sequence[S3BucketLifecycleConfigurationRule],
            cors_rules: Sequence[S3BucketCorsConfigurationCorsRule] = (),
        ) -> Bucket:
            return Bucket(
                self,
                resource,
                name=names.bucket(service, resource),
                service=service,
                retain=retain,
                lifecycle=lifecycle,
                cors_rules=cors_rules,
                access_log_bucket=self.access_logs,
            )

        uploads = [_cors_rule(environment.cors_origins)]
        self.avatars = create_bucket("profile", "avatars", served, uploads)
        self.attachments = create_bucket("chat", "attachments", served, uploads)
        self.backups = create_bucket("platform", "backups", archived)
        self.frontend = create_bucket("platform", "frontend", rebuildable)
        self.artifacts = create_bucket("platform", "artifacts", rebuildable)


def _cors_rule(origins: Sequence[str]) -> S3BucketCorsConfigurationCorsRule:
    """Returns the CORS rule with which the site uploads files and reads S3's responses."""
    return S3BucketCorsConfigurationCorsRule(
        allowed_origins=list(origins),
        allowed_methods=["GET", "HEAD", "POST"],
        allowed_headers=["*"],
        expose_headers=["ETag"],
        max_age_seconds=CORS_MAX_AGE,
    )


def _expire_uploads() -> S3BucketLifecycleConfigurationRule:
    return S3BucketLifecycleConfigurationRule(
        id="expire-uploads",
        status="Enabled",
        filter=[S3BucketLifecycleConfigurationRuleFilter(prefix=UPLOADS)],
        expiration=[S3BucketLifecycleConfigurationRuleExpiration(days=1)],
        noncurrent_version_expiration=[
            S3BucketLifecycleConfigurationRuleNoncurrentVersionExpiration(noncurrent_days=1)
        ],
    )


def _archive_objects(
    archive_class: str, expire_after: int | None = None
) -> S3BucketLifecycleConfigurationRule:
    """Returns the rule that moves objects to cheaper storage classes.

    Args:
        expire_after: Days until objects are deleted. None keeps them.
    """
    return S3BucketLifecycleConfigurationRule(
        id="age",
        status="Enabled",
        filter=[S3BucketLifecycleConfigurationRuleFilter(prefix="")],
        transition=[
            S3BucketLifecycleConfigurationRuleTransition(
                days=INFREQUENT_AFTER, storage_class="STANDARD_IA"
            ),
            S3BucketLifecycleConfigurationRuleTransition(
                days=ARCHIVE_AFTER, storage_class=archive_class
            ),
        ],
        expiration=[S3BucketLifecycleConfigurationRuleExpiration(days=expire_after)]
        if expire_after
        else None,
    )


def _expire_old_versions(keep: int, *, archive: bool = False) -> S3BucketLifecycleConfigurationRule:
    """Returns the rule that deletes old versions after `keep` days, and orphaned delete markers.

    Args:
        archive: Whether to move old versions to GLACIER first, which is cheaper than GLACIER_IR.
    """
    return S3BucketLifecycleConfigurationRule(
        id="old-versions",
        status="Enabled",
        filter=[S3BucketLifecycleConfigurationRuleFilter(prefix="")],
        noncurrent_version_transition=[
            S3BucketLifecycleConfigurationRuleNoncurrentVersionTransition(
                noncurrent_days=ARCHIVE_AFTER, storage_class="GLACIER"
            )
        ]
        if archive
        else None,
        noncurrent_version_expiration=[
            S3BucketLifecycleConfigurationRuleNoncurrentVersionExpiration(noncurrent_days=keep)
        ],
        expiration=[
            S3BucketLifecycleConfigurationRuleExpiration(expired_object_delete_marker=True)
        ],
    )
