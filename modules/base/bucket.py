"""An S3 bucket: public access blocked, encrypted, versioned, reached by TLS only."""

from __future__ import annotations

from collections.abc import Sequence

from cdktf import TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.s3_bucket import S3Bucket
from cdktf_cdktf_provider_aws.s3_bucket_cors_configuration import (
    S3BucketCorsConfiguration,
    S3BucketCorsConfigurationCorsRule,
)
from cdktf_cdktf_provider_aws.s3_bucket_lifecycle_configuration import (
    S3BucketLifecycleConfiguration,
    S3BucketLifecycleConfigurationRule,
)
from cdktf_cdktf_provider_aws.s3_bucket_logging import S3BucketLoggingA
from cdktf_cdktf_provider_aws.s3_bucket_ownership_controls import (
    S3BucketOwnershipControls,
    S3BucketOwnershipControlsRule,
)
from cdktf_cdktf_provider_aws.s3_bucket_policy import S3BucketPolicy
from cdktf_cdktf_provider_aws.s3_bucket_public_access_block import S3BucketPublicAccessBlock
from cdktf_cdktf_provider_aws.s3_bucket_server_side_encryption_configuration import (
    S3BucketServerSideEncryptionConfigurationA,
    S3BucketServerSideEncryptionConfigurationRuleA,
    S3BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultA,
)
from cdktf_cdktf_provider_aws.s3_bucket_versioning import (
    S3BucketVersioningA,
    S3BucketVersioningVersioningConfiguration,
)
from constructs import Construct

from modules.base.naming import service_tag
from modules.base.policy import Statement, policy_document


class Bucket(Construct):
    """A private bucket.

    Args:
        name: the bucket's name.
        service: for the Service tag.
        retain: keep the bucket and what is in it when the environment goes.
        lifecycle: rules on ageing objects; unfinished uploads are always cleared after a week.
        kms_key_arn: encrypts with this key; None: with S3's own (SSE-S3).
        cors_rules: for buckets that browsers upload to.
        access_log_bucket: receives the bucket's access log; None: no access log.
        policy: statements beside the one that denies plain HTTP; their resources are theirs to give.
        object_ownership: `BucketOwnerPreferred` only where a service delivers with access-control lists.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        name: str,
        service: str,
        retain: bool,
        lifecycle: Sequence[S3BucketLifecycleConfigurationRule] = (),
        kms_key_arn: str | None = None,
        cors_rules: Sequence[S3BucketCorsConfigurationCorsRule] = (),
        access_log_bucket: str | None = None,
        policy: Sequence[Statement] = (),
        object_ownership: str = "BucketOwnerEnforced",
    ) -> None:
        super().__init__(scope, id_)
        self.name = name
        self.bucket = S3Bucket(
            self,
            "bucket",
            bucket=name,
            force_destroy=not retain,
            tags=service_tag(service),
            lifecycle=TerraformResourceLifecycle(prevent_destroy=True) if retain else None,
        )
        id_of_bucket = self.bucket.id
        S3BucketPublicAccessBlock(
            self,
            "public-access",
            bucket=id_of_bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
        )
        S3BucketOwnershipControls(
            self,
            "ownership",
            bucket=id_of_bucket,
            rule=S3BucketOwnershipControlsRule(object_ownership=object_ownership),
        )
        S3BucketServerSideEncryptionConfigurationA(
            self,
            "encryption",
            bucket=id_of_bucket,
            rule=[
                S3BucketServerSideEncryptionConfigurationRuleA(
                    apply_server_side_encryption_by_default=S3BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultA(
                        sse_algorithm="aws:kms" if kms_key_arn else "AES256", kms_master_key_id=kms_key_arn
                    ),
                    bucket_key_enabled=True if kms_key_arn else None,
                )
            ],
        )
        self.versioning = S3BucketVersioningA(
            self,
            "versioning",
            bucket=id_of_bucket,
            versioning_configuration=S3BucketVersioningVersioningConfiguration(status="Enabled"),
        )
        S3BucketLifecycleConfiguration(
            self,
            "lifecycle",
            bucket=id_of_bucket,
            rule=[_clear_unfinished_uploads(), *lifecycle],
            depends_on=[self.versioning],
        )
        if cors_rules:
            S3BucketCorsConfiguration(self, "cors", bucket=id_of_bucket, cors_rule=list(cors_rules))
        if access_log_bucket:
            S3BucketLoggingA(
                self, "access-log", bucket=id_of_bucket, target_bucket=access_log_bucket, target_prefix=f"s3/{name}/"
            )
        self._tls_only = Statement(
            sid="TlsOnly",
            effect="Deny",
            actions=["s3:*"],
            resources=[self.bucket.arn, f"{self.bucket.arn}/*"],
            principals="*",
            conditions={"Bool": {"aws:SecureTransport": "false"}},
        )
        self._statements = [*policy]
        self._policy = S3BucketPolicy(
            self, "policy", bucket=id_of_bucket, policy=policy_document([self._tls_only, *self._statements])
        )

    def allow(self, statement: Statement) -> None:
        """Adds a statement to the bucket's policy, for readers that are made after the bucket."""
        self._statements.append(statement)
        self._policy.policy = policy_document([self._tls_only, *self._statements])


def _clear_unfinished_uploads() -> S3BucketLifecycleConfigurationRule:
    return S3BucketLifecycleConfigurationRule(
        id="clear-unfinished-uploads",
        status="Enabled",
        filter=[{"prefix": ""}],
        abort_incomplete_multipart_upload=[{"daysAfterInitiation": 7}],
    )
