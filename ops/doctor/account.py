"""Checks settings and roles of the AWS account, and the clock of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime

from environments import Environment
from environments.resource_names import GITHUB_ISSUER, SERVICE_LINKED_ROLES
from ops.cloud import Cloud
from ops.doctor.result import Result, failure, ok, warning

CLOCK_WARNING, CLOCK_FAILURE = 60.0, 300.0
"""Seconds. AWS rejects requests signed more than 5 minutes before or after its own time (IAM user
guide, "Troubleshoot Signature Version 4", 2026-11-29)."""


def check_identity(cloud: Cloud) -> Iterator[Result]:
    """Reports the AWS account and the IAM identity of the credentials.

    `connect` has already verified that the environment allows the account.
    """
    yield ok(f"account {cloud.account}, {cloud.identity}")


def check_clock(cloud: Cloud, clock: Callable[[], float] = time.time) -> Iterator[Result]:
    """Compares this machine's clock with the time in a response of AWS."""
    response = cloud.client("sts").get_caller_identity()
    date = response["ResponseMetadata"]["HTTPHeaders"]["date"]
    skew = clock() - parsedate_to_datetime(date).timestamp()
    detail = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} AWS"
    remedy = "synchronize the clock, for example with `timedatectl set-ntp true`"
    if abs(skew) >= CLOCK_FAILURE:
        yield failure(f"{detail}; AWS rejects a skew above {CLOCK_FAILURE:.0f} s", remedy)
    elif abs(skew) >= CLOCK_WARNING:
        yield warning(detail, remedy)
    else:
        yield ok(detail)


def check_region(cloud: Cloud) -> Iterator[Result]:
    """Checks that the account may use the environment's region."""
    region = cloud.environment.region
    regions = cloud.client("ec2").describe_regions(AllRegions=True)["Regions"]
    status = {item["RegionName"]: item.get("OptInStatus") for item in regions}
    if region not in status:
        yield failure(f"AWS has no region {region}", "correct region in the environment file")
    elif status[region] == "not-opted-in":
        yield failure(
            f"the account has not enabled {region}",
            "enable it in the console: Account, AWS Regions",
        )
    else:
        yield ok(region)


def check_service_linked_roles(cloud: Cloud) -> Iterator[Result]:
    """Checks the roles that AWS services create for themselves when they are first used."""
    iam = cloud.client("iam")
    missing = [
        service
        for service in _linked_services(cloud.environment)
        if not iam.list_roles(PathPrefix=f"/aws-service-role/{service}/")["Roles"]
    ]
    if missing:
        yield warning(
            f"missing for {', '.join(missing)}; AWS creates them during the deployment if"
            " iam:CreateServiceLinkedRole is allowed",
            "if iam:CreateServiceLinkedRole is not allowed, ask an administrator to run"
            f" `aws iam create-service-linked-role --aws-service-name {missing[0]}`",
        )
    else:
        yield ok("all exist")


def _linked_services(environment: Environment) -> list[str]:
    unused = set()
    if environment.dynamodb.billing_mode != "PROVISIONED":
        unused.add("dynamodb.application-autoscaling.amazonaws.com")
    if environment.mail_identity_arn is None:
        unused.add("email.cognito-idp.amazonaws.com")
    if environment.domains is None:
        unused.add("ops.apigateway.amazonaws.com")
    return [service for service in SERVICE_LINKED_ROLES if service not in unused]


def check_github_provider(cloud: Cloud) -> Iterator[Result]:
    """Checks that the account has GitHub as an identity provider, so that pipelines can log in."""
    if cloud.environment.github_repository is None:
        yield ok("not needed: github_repository is not set")
        return
    providers = cloud.client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]
    if any(item["Arn"].endswith(f":oidc-provider/{GITHUB_ISSUER}") for item in providers):
        yield ok(GITHUB_ISSUER)
    else:
        yield failure(
            f"the account has no identity provider {GITHUB_ISSUER}, so pipelines cannot log in",
            f"run `ops bootstrap {cloud.environment.name}`",
        )


def check_logging_role(cloud: Cloud) -> Iterator[Result]:
    """Checks the role with which API Gateway writes logs. An account has one role per region."""
    if not cloud.environment.capabilities.api_gateway_account:
        yield ok("not needed: the environment's APIs write no logs")
        return
    role = cloud.client("apigateway").get_account().get("cloudwatchRoleArn")
    if role:
        yield ok(role)
    else:
        yield failure(
            "API Gateway has no role to write logs, so it rejects stages that write logs",
            f"run `ops bootstrap {cloud.environment.name}`",
        )
