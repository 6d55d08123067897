"""Creates the state bucket and the settings that exist once per AWS account.

Every step is idempotent: it creates what is missing and leaves existing resources unchanged.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from environments.resource_names import (
    API_LOGGING_POLICY,
    API_LOGGING_ROLE,
    GITHUB_ISSUER,
    GLOBAL_REGION,
)
from ops.cloud import Cloud
from ops.doctor.quotas import check_concurrency
from ops.errors import OperatorError

COST_TAGS = ("Project", "Environment", "Service")
NONCURRENT_STATE_DAYS = 90
"""Days to keep an overwritten state, so that an operator can recover from a mistake."""
ROLE_TRIES, ROLE_INTERVAL = 6, 5.0
"""Maximum attempts to set API Gateway's new role, and seconds between two attempts."""


@dataclass(frozen=True)
class Step:
    """The result of one bootstrap step."""

    name: str
    outcome: Literal["changed", "unchanged", "skipped", "manual", "failed"]
    detail: str = ""


def bootstrap_account(
    cloud: Cloud, *, billing: bool = True, sleep: Callable[[float], None] = time.sleep
) -> list[Step]:
    """Runs all steps and returns their results.

    A failed account-level step does not prevent the next account-level steps.

    Args:
        billing: Also run the billing steps, which an embedded (local) cloud does not support.

    Raises:
        OperatorError: The state bucket belongs to another account, or the credentials cannot read
            it.
        ClientError: The state bucket cannot be created.
    """
    steps = [Step("account", "unchanged", cloud.account), *_state_bucket(cloud)]
    account_steps: list[tuple[str, Callable[[Cloud], Step]]] = [
        ("API Gateway logging role", lambda cloud: _api_logging(cloud, sleep)),
        ("GitHub OIDC provider", _github_provider),
        ("Lambda concurrency", _concurrency),
    ]
    if billing:
        account_steps += [("cost allocation tags", _cost_tags), ("billing alerts", _billing_alerts)]
    for name, step in account_steps:
        try:
            steps.append(step(cloud))
        except (ClientError, BotoCoreError) as error:
            steps.append(Step(name, "failed", str(error)))
    return steps


def _state_bucket(cloud: Cloud) -> list[Step]:
    state = cloud.environment.state
    s3 = cloud.client("s3", state.region)
    name = state.bucket
    made = _ensure_bucket(s3, name, state.region)
    changed = [setting for setting, ensure in _bucket_settings(s3, name).items() if ensure()]
    steps = [Step("state bucket", "changed" if made else "unchanged", name)]
    if changed and not made:
        steps.append(Step("state bucket settings", "changed", ", ".join(changed)))
    return steps


def _ensure_bucket(s3: Any, name: str, region: str) -> bool:
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 403:
            raise OperatorError(
                f"The bucket {name} belongs to another account, or the credentials cannot read it:"
                " change state.bucket, or use credentials that can read the bucket"
            ) from error
        if status != 404:
            raise
    else:
        return False
    # S3 rejects the LocationConstraint us-east-1, because us-east-1 is the default region.
    location = (
        {}
        if region == GLOBAL_REGION
        else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    )
    s3.create_bucket(Bucket=name, **location)
    return True


def _bucket_settings(s3: Any, name: str) -> dict[str, Callable[[], bool]]:
    """Returns functions that apply the bucket's settings, by the name of the setting.

    Each function returns True if it changed the bucket.
    """
    encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    access = dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    )
    lifecycle = {
        "Rules": [
            {
                "ID": "expire-old-states",
                "Status": "Enabled",
                "Filter": {"Prefix": ""},
                "NoncurrentVersionExpiration": {"NoncurrentDays": NONCURRENT_STATE_DAYS},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
            }
        ]
    }
    tls_only = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }

    def versioning() -> bool:
        if s3.get_bucket_versioning(Bucket=name).get("Status") == "Enabled":
            return False
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return True

    def encrypted() -> bool:
        if _or_none(lambda: s3.get_bucket_encryption(Bucket=name)):
            return False
        s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=encryption)
        return True

    def private() -> bool:
        current = _or_none(lambda: s3.get_public_access_block(Bucket=name)) or {}
        if current.get("PublicAccessBlockConfiguration") == access:
            return False
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=access)
        return True

    def expiring() -> bool:
        current = _or_none(lambda: s3.get_bucket_lifecycle_configuration(Bucket=name)) or {
            "Rules": []
        }
        if any(rule.get("ID") == "expire-old-states" for rule in current["Rules"]):
            return False
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=lifecycle)
        return True

    def tls() -> bool:
        current = _or_none(lambda: s3.get_bucket_policy(Bucket=name))
        if current and json.loads(current["Policy"]) == tls_only:
            return False
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps(tls_only))
        return True

    return {
        "versioning": versioning,
        "encryption": encrypted,
        "public access block": private,
        "expiry of old versions": expiring,
        "TLS-only policy": tls,
    }


def _or_none(read: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """Returns the response of `read`, or None if AWS returns 404."""
    try:
        return read()
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise


def _api_logging(cloud: Cloud, sleep: Callable[[float], None]) -> Step:
    """Sets the IAM role with which API Gateway writes logs. The account has one per region."""
    name = "API Gateway logging role"
    apigateway = cloud.client("apigateway")
    present = apigateway.get_account().get("cloudwatchRoleArn")
    if present:
        return Step(name, "unchanged", present)
    iam = cloud.client("iam")
    response = _or_none(lambda: iam.get_role(RoleName=API_LOGGING_ROLE))
    if response is None:
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "apigateway.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
        response = iam.create_role(
            RoleName=API_LOGGING_ROLE, AssumeRolePolicyDocument=json.dumps(trust)
        )
    iam.attach_role_policy(RoleName=API_LOGGING_ROLE, PolicyArn=API_LOGGING_POLICY)
    role = response["Role"]["Arn"]
    change = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": role}]
    for remaining in reversed(range(ROLE_TRIES)):
        try:
            apigateway.update_account(patchOperations=change)
            break
        except ClientError as error:
            # API Gateway rejects a new role during the first seconds, so the call is repeated.
            if error.response["Error"]["Code"] != "BadRequestException" or not remaining:
                raise
            sleep(ROLE_INTERVAL)
    return Step(name, "changed", role)


def _github_provider(cloud: Cloud) -> Step:
    """Creates the OIDC provider, with which GitHub pipelines assume roles without stored keys."""
    name = "GitHub OIDC provider"
    if cloud.environment.github_repository is None:
        return Step(name, "skipped", "the environment file does not set github_repository")
    arn = f"arn:aws:iam::{cloud.account}:oidc-provider/{GITHUB_ISSUER}"
    iam = cloud.client("iam")
    if any(
        item["Arn"] == arn
        for item in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    ):
        return Step(name, "unchanged", arn)
    iam.create_open_id_connect_provider(
        Url=f"https://{GITHUB_ISSUER}", ClientIDList=["sts.amazonaws.com"]
    )
    return Step(name, "changed", arn)


def _cost_tags(cloud: Cloud) -> Step:
    """Activates the cost allocation tags by which budgets and cost reports are filtered."""
    name = "cost allocation tags"
    explorer = cloud.client("ce", GLOBAL_REGION)
    listed = explorer.list_cost_allocation_tags(TagKeys=list(COST_TAGS))["CostAllocationTags"]
    active = {tag["TagKey"] for tag in listed if tag["Status"] == "Active"}
    missing = [tag for tag in COST_TAGS if tag not in active]
    if not missing:
        return Step(name, "unchanged", ", ".join(COST_TAGS))
    wanted = [{"TagKey": tag, "Status": "Active"} for tag in missing]
    refused = (
        explorer.update_cost_allocation_tags_status(CostAllocationTagsStatus=wanted).get("Errors")
        or []
    )
    if refused:
        tags = ", ".join(sorted(item["TagKey"] for item in refused))
        return Step(
            name,
            "manual",
            f"{tags}: AWS Billing lists a tag one day after a resource first has it."
            " Run `ops bootstrap` again then",
        )
    return Step(name, "changed", ", ".join(missing))


def _billing_alerts(cloud: Cloud) -> Step:
    """Checks whether billing metrics exist. Only the console can turn them on."""
    name = "billing alerts"
    if cloud.client("cloudwatch", GLOBAL_REGION).list_metrics(Namespace="AWS/Billing")["Metrics"]:
        return Step(name, "unchanged")
    return Step(
        name,
        "manual",
        "in the Billing console, open Billing preferences, Alert preferences, and turn on"
        " `Receive CloudWatch billing alerts`",
    )


def _concurrency(cloud: Cloud) -> Step:
    """Checks that the account's limit allows the environment's reserved concurrency."""
    name = "Lambda concurrency"
    [result] = check_concurrency(cloud)
    if result.status == "ok":
        return Step(name, "unchanged", result.detail)
    return Step(name, "manual", f"{result.detail}: {result.remedy}")
