"""Checks the state bucket, and that the names of the environment's buckets are free."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from environments.resource_names import BUCKETS, bucket_name
from ops.cloud import Cloud
from ops.doctor.result import Result, failure, ok, warning
from ops.terraform.state import outputs_or_none


def check_state_bucket(cloud: Cloud) -> Iterator[Result]:
    """Checks that the Terraform state bucket exists and keeps old versions of the state."""
    state, name = cloud.environment.state, cloud.environment.name
    s3 = cloud.client("s3", state.region)
    bootstrap = f"run `ops bootstrap {name}`"
    try:
        # Pipeline roles may list only the key of the state, so the call uses this prefix.
        s3.list_objects_v2(Bucket=state.bucket, Prefix=state.key, MaxKeys=1)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
        yield failure(f"{state.bucket} does not exist", bootstrap)
        return
    if s3.get_bucket_versioning(Bucket=state.bucket).get("Status") == "Enabled":
        yield ok(f"{state.bucket} exists and is versioned")
    else:
        yield warning(f"{state.bucket} does not keep old versions of the state", bootstrap)


def check_bucket_names(cloud: Cloud) -> Iterator[Result]:
    """Checks that no other account has the environment's bucket names, which are global."""
    environment = cloud.environment
    names = [
        bucket_name(*bucket, environment.name, environment.bucket_suffix) for bucket in BUCKETS
    ]
    statuses = {name: _status(cloud, name) for name in names}
    refused = [name for name, status in statuses.items() if status == 403]
    # HeadBucket also returns 403 for the account's own buckets if s3:ListBucket is not allowed.
    own = (
        {bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"]}
        if refused
        else set()
    )
    foreign = [name for name in refused if name not in own]
    taken = [name for name, status in statuses.items() if status != 404]
    if foreign:
        yield failure(
            f"another account owns {', '.join(foreign)}",
            "set bucket_suffix in the environment file",
        )
    elif taken and outputs_or_none(cloud) is None:
        yield warning(
            f"{', '.join(taken)} exist, but {environment.name} has no Terraform state",
            "delete them, or import them into the state",
        )
    else:
        yield ok(f"{len(taken)} of {len(names)} exist, the other names are free")


def _status(cloud: Cloud, name: str) -> int:
    """Returns the HTTP status of HeadBucket.

    The status is 200 for a bucket of this account, and 404 if no account has a bucket with this
    name. It is 403 for a bucket of another account, or if the permission is missing.
    """
    try:
        cloud.client("s3").head_bucket(Bucket=name, ExpectedBucketOwner=cloud.account)
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
    return 200
