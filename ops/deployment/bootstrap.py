"""Makes what exists before or beside the stacks: the state bucket, and what an AWS account has once.

Every step may be repeated: it makes what is missing and leaves what is there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from botocore.exceptions import BotoCoreError, ClientError

from environments import FunctionName
from ops.cloud import Cloud
from ops.errors import OperatorError

LOGGING_ROLE = "multitask-api-gateway-logging"
LOGGING_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
GITHUB_OIDC = "token.actions.githubusercontent.com"
COST_TAGS = ("Project", "Environment", "Service")
NONCURRENT_STATE_DAYS = 90
"""Days an overwritten state is kept: long enough to come back from a mistake, short of keeping every apply for good."""
UNRESERVED_MINIMUM = 100
"""Concurrency AWS always keeps unreserved in an account (Lambda quotas)."""
ROLE_TRIES, ROLE_INTERVAL = 6, 5.0
"""How often, and how many seconds apart, a role just made is offered to API Gateway."""
US_EAST_1 = "us-east-1"
"""Where AWS keeps billing, whatever the environment's region."""


@dataclass(frozen=True)
class Step:
    """What came of one step."""

    name: str
    outcome: Literal["made", "already there", "skipped", "by hand"]
    detail: str = ""


def bootstrap_account(cloud: Cloud, *, billing: bool = True) -> list[Step]:
    """Does every step and reports each.

    Args:
        billing: whether to do the steps about costs too; an embedded cloud has none.

    The state bucket and the account's identity must succeed; an account-level step that the cloud or the caller's rights do not
    allow is reported as skipped, with the reason.

    Raises:
        OperatorError: the credentials lead nowhere or to an account the environment does not allow.
        ClientError: the state bucket cannot be made.
    """
    account = cloud.check_account()
    steps = [Step("account", "already there", account), *_state_bucket(cloud)]
    beside: list[tuple[str, Callable[[Cloud, str], Step]]] = [
        ("API Gateway logging role", _api_logging),
        ("GitHub OIDC provider", _github_provider),
        ("Lambda concurrency", _concurrency),
    ]
    if billing:
        beside += [("cost allocation tags", _cost_tags), ("billing alerts", _billing_alerts)]
    for name, step in beside:
        try:
            steps.append(step(cloud, account))
        except (ClientError, BotoCoreError) as error:
            steps.append(
                Step(
                    name,
                    "skipped",
                    f"this AWS does not offer it, or not to these credentials ({error})",
                )
            )
    return steps


def _state_bucket(cloud: Cloud) -> list[Step]:
    state = cloud.environment.state
    s3 = cloud.client("s3", state.region)
    name = state.bucket
    made = _ensure_bucket(s3, name, state.region)
    changed = [setting for setting, ensure in _bucket_settings(cloud, s3, name).items() if ensure()]
    steps = [Step("state bucket", "made" if made else "already there", name)]
    if changed and not made:
        steps.append(Step("state bucket settings", "made", ", ".join(changed)))
    if not cloud.environment.capabilities.bucket_tls_policy:
        reason = "the environment's capability bucket_tls_policy is off"
        steps.append(Step("state bucket TLS-only policy", "skipped", reason))
    return steps


def _ensure_bucket(s3: Any, name: str, region: str) -> bool:
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 403:
            raise OperatorError(
                f"The bucket {name} belongs to another account or may not be read: give state.bucket another name, or use"
                " credentials that may read it"
            ) from error
        if status != 404:
            raise
    else:
        return False
    # us-east-1 is the one region that must not be named.
    location = (
        {} if region == US_EAST_1 else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    )
    s3.create_bucket(Bucket=name, **location)
    return True


def _bucket_settings(cloud: Cloud, s3: Any, name: str) -> dict[str, Callable[[], bool]]:
    """Each setting's name, and what makes it so and says whether it was otherwise."""
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
        found = _or_none(lambda: s3.get_public_access_block(Bucket=name)) or {}
        if found.get("PublicAccessBlockConfiguration") == access:
            return False
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=access)
        return True

    def expiring() -> bool:
        found = _or_none(lambda: s3.get_bucket_lifecycle_configuration(Bucket=name)) or {
            "Rules": []
        }
        if any(rule.get("ID") == "expire-old-states" for rule in found["Rules"]):
            return False
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=lifecycle)
        return True

    def tls() -> bool:
        found = _or_none(lambda: s3.get_bucket_policy(Bucket=name))
        if found and json.loads(found["Policy"]) == tls_only:
            return False
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps(tls_only))
        return True

    settings = {
        "versioning": versioning,
        "encryption": encrypted,
        "public access block": private,
        "expiry of old versions": expiring,
    }
    return (
        {**settings, "TLS-only policy": tls}
        if cloud.environment.capabilities.bucket_tls_policy
        else settings
    )


def _or_none(read: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """The answer, or None where S3 or IAM says that nothing is configured."""
    try:
        return read()
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise


def _api_logging(cloud: Cloud, account: str) -> Step:
    """The role by which API Gateway writes logs: one per account and region, shared by every environment in it."""
    del account
    name = "API Gateway logging role"
    apigateway = cloud.client("apigateway")
    present = apigateway.get_account().get("cloudwatchRoleArn")
    if present:
        return Step(name, "already there", present)
    iam = cloud.client("iam")
    found = _or_none(lambda: iam.get_role(RoleName=LOGGING_ROLE))
    if found is None:
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
        found = iam.create_role(RoleName=LOGGING_ROLE, AssumeRolePolicyDocument=json.dumps(trust))
    iam.attach_role_policy(RoleName=LOGGING_ROLE, PolicyArn=LOGGING_POLICY)
    role = found["Role"]["Arn"]
    change = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": role}]
    for remaining in reversed(range(ROLE_TRIES)):
        try:
            apigateway.update_account(patchOperations=change)
            break
        except ClientError as error:
            # A new role is known to API Gateway only after some seconds.
            if error.response["Error"]["Code"] != "BadRequestException" or not remaining:
                raise
            time.sleep(ROLE_INTERVAL)
    return Step(name, "made", role)


def _github_provider(cloud: Cloud, account: str) -> Step:
    """Lets pipelines of GitHub assume the deployment roles without stored keys."""
    name = "GitHub OIDC provider"
    if cloud.environment.github_repository is None:
        return Step(name, "skipped", "the environment names no github_repository")
    arn = f"arn:aws:iam::{account}:oidc-provider/{GITHUB_OIDC}"
    iam = cloud.client("iam")
    if any(
        item["Arn"] == arn
        for item in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    ):
        return Step(name, "already there", arn)
    iam.create_open_id_connect_provider(
        Url=f"https://{GITHUB_OIDC}", ClientIDList=["sts.amazonaws.com"]
    )
    return Step(name, "made", arn)


def _cost_tags(cloud: Cloud, account: str) -> Step:
    """Makes the tags usable in budgets and cost reports."""
    del account
    name = "cost allocation tags"
    explorer = cloud.client("ce", US_EAST_1)
    listed = explorer.list_cost_allocation_tags(TagKeys=list(COST_TAGS))["CostAllocationTags"]
    active = {tag["TagKey"] for tag in listed if tag["Status"] == "Active"}
    missing = [tag for tag in COST_TAGS if tag not in active]
    if not missing:
        return Step(name, "already there", ", ".join(COST_TAGS))
    wanted = [{"TagKey": tag, "Status": "Active"} for tag in missing]
    refused = (
        explorer.update_cost_allocation_tags_status(CostAllocationTagsStatus=wanted).get("Errors")
        or []
    )
    if refused:
        tags = ", ".join(sorted(item["TagKey"] for item in refused))
        return Step(
            name,
            "by hand",
            f"{tags}: billing learns of a tag a day after its first use; run bootstrap again then",
        )
    return Step(name, "made", ", ".join(missing))


def _billing_alerts(cloud: Cloud, account: str) -> Step:
    """The preference that makes AWS publish billing metrics has no API; whether it is on shows in the metrics."""
    del account
    name = "billing alerts"
    if cloud.client("cloudwatch", US_EAST_1).list_metrics(Namespace="AWS/Billing")["Metrics"]:
        return Step(name, "already there")
    return Step(
        name,
        "by hand",
        "in the Billing console, under Billing preferences, Alert preferences, turn on `Receive CloudWatch billing alerts`",
    )


def _concurrency(cloud: Cloud, account: str) -> Step:
    """Whether the account's limit leaves room for what the environment reserves."""
    del account
    name = "Lambda concurrency"
    limit = cloud.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    functions = get_args(FunctionName)
    reserved = sum(
        cloud.environment.function(function).reserved_concurrency or 0 for function in functions
    )
    needed = reserved + UNRESERVED_MINIMUM
    detail = f"{reserved} reserved by {cloud.environment.name}, {UNRESERVED_MINIMUM} always unreserved, limit {limit}"
    if needed <= limit:
        return Step(name, "already there", detail)
    return Step(
        name,
        "by hand",
        f"{detail}: ask for {needed} (Service Quotas, Lambda, Concurrent executions)",
    )
