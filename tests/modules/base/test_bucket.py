from __future__ import annotations

import pytest
from cdktf import TerraformStack

from environments import Environment
from modules.base.bucket import Bucket
from modules.base.naming import Names
from modules.base.policy import Statement
from tests.modules.synthesis import Synthesized, synthesize

READER = Statement(
    sid="Reader", actions=["s3:GetObject"], resources=["arn:aws:s3:::things/*"], principals="*"
)


def bucket(*statements: Statement, retain: bool = False) -> Synthesized:
    def build(stack: TerraformStack, environment: Environment, names: Names) -> None:
        result = Bucket(stack, "things", name="things", service="post", retain=retain)
        for statement in statements:
            result.allow(statement)

    return synthesize(build)


@pytest.fixture(scope="module")
def basic() -> Synthesized:
    return bucket()


def test_public_access_is_blocked(basic: Synthesized) -> None:
    block = basic.find_only("aws_s3_bucket_public_access_block")
    assert all(
        block[key]
        for key in (
            "block_public_acls",
            "block_public_policy",
            "ignore_public_acls",
            "restrict_public_buckets",
        )
    )
    assert (
        basic.find_only("aws_s3_bucket_ownership_controls")["rule"]["object_ownership"]
        == "BucketOwnerEnforced"
    )


def test_a_bucket_is_encrypted_and_versioned(basic: Synthesized) -> None:
    [rule] = basic.find_only("aws_s3_bucket_server_side_encryption_configuration")["rule"]
    assert rule["apply_server_side_encryption_by_default"]["sse_algorithm"] == "AES256"
    assert (
        basic.find_only("aws_s3_bucket_versioning")["versioning_configuration"]["status"]
        == "Enabled"
    )


def test_plain_http_is_denied_on_bucket_and_objects(basic: Synthesized) -> None:
    [statement] = basic.policy("aws_s3_bucket_policy")
    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == "*"
    assert statement["Action"] == "s3:*"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    arn = "${aws_s3_bucket.things_bucket_"
    assert [resource.startswith(arn) for resource in statement["Resource"]] == [True, True]
    assert statement["Resource"][1] == statement["Resource"][0] + "/*"


def test_statements_that_allow_access_are_added_to_the_policy_that_requires_tls() -> None:
    assert [item["Sid"] for item in bucket(READER).policy("aws_s3_bucket_policy")] == [
        "TlsOnly",
        "Reader",
    ]


@pytest.mark.parametrize("retain", [False, True])
def test_a_retained_bucket_cannot_be_destroyed(retain: bool) -> None:
    result = bucket(retain=retain).find_only("aws_s3_bucket")
    assert result["force_destroy"] is not retain
    assert result.get("lifecycle", {}).get("prevent_destroy", False) is retain


def test_unfinished_uploads_expire(basic: Synthesized) -> None:
    lifecycle = basic.find_only("aws_s3_bucket_lifecycle_configuration")
    # S3 rejects rules on old versions of an unversioned bucket.
    assert any(item.startswith("aws_s3_bucket_versioning.") for item in lifecycle["depends_on"])
    [rule] = lifecycle["rule"]
    assert rule["abort_incomplete_multipart_upload"] == [{"days_after_initiation": 7}]
