"""Tests the checks of the state bucket and of bucket names."""

from __future__ import annotations

import boto3

from environments.resource_names import BUCKETS, bucket_name
from ops.cloud import Cloud
from ops.doctor.buckets import check_bucket_names, check_state_bucket
from tests.ops.clouds import FakeCloud, store_state, stubbed_client


def test_state_bucket_must_exist_and_be_versioned(cloud: Cloud) -> None:
    s3, name = boto3.client("s3", region_name="us-east-1"), cloud.environment.state.bucket
    [result] = check_state_bucket(cloud)
    assert (result.status, result.remedy) == ("failure", "run `ops bootstrap dev`")
    s3.create_bucket(Bucket=name)
    [result] = check_state_bucket(cloud)
    assert (result.status, result.remedy) == ("warning", "run `ops bootstrap dev`")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    [result] = check_state_bucket(cloud)
    assert result.status == "ok"


def create_buckets() -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    for bucket in BUCKETS:
        s3.create_bucket(Bucket=bucket_name(*bucket, "dev", None))


def test_bucket_names_are_ok_if_they_are_free_or_used_by_the_deployed_environment(
    cloud: Cloud,
) -> None:
    [result] = check_bucket_names(cloud)
    assert (result.status, result.detail) == ("ok", "0 of 6 exist, the other names are free")
    create_buckets()
    store_state(cloud, {"api_url": "https://example.com"})
    [result] = check_bucket_names(cloud)
    assert result.status == "ok"


def test_buckets_without_a_state_cause_a_warning(cloud: Cloud) -> None:
    create_buckets()
    [result] = check_bucket_names(cloud)
    assert (result.status, "has no Terraform state" in result.detail) == ("warning", True)


def forbidden_buckets(cloud: Cloud, *own: str) -> Cloud:
    """Returns a cloud whose S3 denies HeadBucket, as S3 does for buckets of another account.

    Args:
        own: The buckets that ListBuckets returns.
    """
    calls = [("head_bucket", ("403", "Forbidden", 403))] * len(BUCKETS)
    listed = ("list_buckets", {"Buckets": [{"Name": name} for name in own]})
    return FakeCloud(cloud.environment, {}, clients={"s3": stubbed_client("s3", *calls, listed)})


def test_bucket_name_of_another_account_fails(cloud: Cloud) -> None:
    [result] = check_bucket_names(forbidden_buckets(cloud))
    assert (result.status, result.remedy) == (
        "failure",
        "set bucket_suffix in the environment file",
    )
    assert "profile-avatars-bucket-dev" in result.detail


def test_own_buckets_without_read_permission_are_not_reported_as_owned_by_another_account(
    cloud: Cloud,
) -> None:
    own = [bucket_name(*bucket, "dev", None) for bucket in BUCKETS]
    [result] = check_bucket_names(forbidden_buckets(cloud, *own[1:]))
    assert (result.status, result.detail) == ("failure", f"another account owns {own[0]}")
