"""An S3 bucket: private, encrypted with S3's own keys (SSE-S3), versioned, TLS only."""

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
    S3BucketLifecycleConfigurationRuleAbortIncompleteMultipartUpload,
    S3BucketLifecycleConfigurationRuleFilter,
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
)
from cdktf_cdktf_provider_aws.s3_bucket_versioning import (
    S3BucketVersioningA,
    S3BucketVersioningVersioningConfiguration,
)
from constructs import Construct

from modules.base.naming import service_tag
from modules.base.policy import Statement, deny_plain_http, policy_document

ACCESS_LOG_PREFIX = "s3/"
"""The prefix of S3's access logs in the bucket that receives them."""


class Bucket(Construct):
    """A private bucket.

    Args:
        name: The bucket's name.
        service: The value of the Service tag.
        retain: Whether to keep the bucket and its objects when the environment is deleted.
        lifecycle: Additional lifecycle rules. Incomplete uploads always expire after a week.
        cors_rules: The CORS rules, for a bucket to which browsers upload.
        access_log_bucket: The bucket for the access log below `s3/<name>/`, or None for no log.
        object_ownership: `BucketOwnerPreferred` if a service delivers objects with ACLs.

    Attributes:
        name: A reference to the bucket's name. Resources that use it depend on the bucket.
        arn: The bucket's ARN.
        domain_name: The domain name for services that deliver logs to the bucket.
        bucket: The Terraform resource.
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
        cors_rules: Sequence[S3BucketCorsConfigurationCorsRule] = (),
        access_log_bucket: Bucket | None = None,
        object_ownership: str = "BucketOwnerEnforced",
    ) -> None:
        super().__init__(scope, id_)
        self.bucket = S3Bucket(
            self,
            "bucket",
            bucket=name,
            force_destroy=not retain,
            tags=service_tag(service),
            lifecycle=TerraformResourceLifecycle(prevent_destroy=True) if retain else None,
        )
        self.name: str = self.bucket.bucket
        self.arn: str = self.bucket.arn
        S3BucketPublicAccessBlock(
            self,
            "public-access",
            bucket=self.name,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
        )
        ownership = S3BucketOwnershipControls(
            self,
            "ownership",
            bucket=self.name,
            rule=S3BucketOwnershipControlsRule(object_ownership=object_ownership),
        )
        # CloudFront can write logs only after the ownership controls allow ACLs. The domain name
        # contains a reference to these controls, so that Terraform creates them first.
        self.domain_name: str = f"{ownership.id}.s3.amazonaws.com"
        S3BucketServerSideEncryptionConfigurationA(
            self,
            "encryption",
            bucket=self.name,
            rule=[
                S3BucketServerSideEncryptionConfigurationRuleA(
                    apply_server_side_encryption_by_default={"sse_algorithm": "AES256"}
                )
            ],
        )
        versioning = S3BucketVersioningA(
            self,
            "versioning",
            bucket=self.name,
            versioning_configuration=S3BucketVersioningVersioningConfiguration(status="Enabled"),
        )
        S3BucketLifecycleConfiguration(
            self,
            "lifecycle",
            bucket=self.name,
            rule=[_clear_unfinished_uploads(), *lifecycle],
            depends_on=[versioning],
        )
        if cors_rules:
            S3BucketCorsConfiguration(self, "cors", bucket=self.name, cors_rule=list(cors_rules))
        if access_log_bucket:
            S3BucketLoggingA(
                self,
                "access-log",
                bucket=self.name,
                target_bucket=access_log_bucket.name,
                target_prefix=f"{ACCESS_LOG_PREFIX}{name}/",
                # The receiving bucket's policy must allow the logs before S3 delivers any.
                depends_on=[access_log_bucket._policy] if access_log_bucket._policy else None,
            )
        self._statements: list[Statement] = []
        self._policy: S3BucketPolicy | None = None
        self.allow(deny_plain_http("s3:*", self.arn, f"{self.arn}/*"))

    def allow(self, statement: Statement) -> None:
        """Adds a statement to the bucket's policy. Call it before the stack is synthesized."""
        self._statements.append(statement)
        document = policy_document(self._statements)
        if self._policy is None:
            self._policy = S3BucketPolicy(self, "policy", bucket=self.name, policy=document)
        else:
            self._policy.policy = document


def _clear_unfinished_uploads() -> S3BucketLifecycleConfigurationRule:
    return S3BucketLifecycleConfigurationRule(
        id="clear-unfinished-uploads",
        status="Enabled",
        filter=[S3BucketLifecycleConfigurationRuleFilter(prefix="")],
        abort_incomplete_multipart_upload=[
            S3BucketLifecycleConfigurationRuleAbortIncompleteMultipartUpload(
                days_after_initiation=7
            )
        ],
    )
