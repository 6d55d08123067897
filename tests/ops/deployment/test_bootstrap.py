"""Tests the bootstrap of an AWS account, on moto."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, iam_backends

from environments.resource_names import API_LOGGING_POLICY
from ops.cloud import Cloud
from ops.deployment import bootstrap
from ops.deployment.bootstrap import Step, bootstrap_account
from ops.errors import OperatorError
from tests.ops.clouds import FakeCloud
from tests.ops.conftest import VARIABLES


class ApiGateway:
    """A fake of API Gateway's account settings.

    Rejects the first `rejections` updates, as API Gateway does while the role is new.
    """

    def __init__(self) -> None:
        self.role: str | None = None
        self.rejections = 0

    def get_account(self) -> dict[str, str]:
        return {"cloudwatchRoleArn": self.role} if self.role else {}

    def update_account(self, *, patchOperations: list[dict[str, str]]) -> None:  # noqa: N803
        if self.rejections:
            self.rejections -= 1
            raise ClientError(
                {"Error": {"Code": "BadRequestException", "Message": "role"}}, "UpdateAccount"
            )
        assert (patchOperations[0]["op"], patchOperations[0]["path"]) == (
            "replace",
            "/cloudwatchRoleArn",
        )
        self.role = patchOperations[0]["value"]


@pytest.fixture
def gateway() -> ApiGateway:
    return ApiGateway()


@pytest.fixture
def cloud(cloud: Cloud, gateway: ApiGateway) -> Cloud:
    """Returns the dev environment with a fake API Gateway, because moto lacks account settings.

    Adds to moto's IAM the AWS managed policy that the bootstrap attaches. By default, moto loads
    no AWS managed policies.
    """
    account, name = VARIABLES["DEV_ACCOUNT_ID"], API_LOGGING_POLICY.rpartition("/")[2]
    data = json.loads(aws_managed_policies_data)[name]
    policy = AWSManagedPolicy.from_data(name, account, "aws", data)
    iam_backends[account]["aws"].managed_policies[policy.arn] = policy
    return FakeCloud(cloud.environment, {}, clients={"apigateway": gateway})


def run_bootstrap(cloud: Cloud) -> list[Step]:
    return bootstrap_account(cloud, billing=False, sleep=lambda _: None)


def outcomes(cloud: Cloud) -> dict[str, str]:
    return {step.name: step.outcome for step in run_bootstrap(cloud)}


def test_state_bucket_is_versioned_encrypted_private_and_tls_only(cloud: Cloud) -> None:
    assert outcomes(cloud)["state bucket"] == "changed"
    s3, name = boto3.client("s3", region_name="us-east-1"), cloud.environment.state.bucket
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    rule = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    access = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert all(access.values())
    assert len(access) == 4
    statement = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"][0]
    assert (statement["Effect"], statement["Condition"]) == (
        "Deny",
        {"Bool": {"aws:SecureTransport": "false"}},
    )
    expiry = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"][0][
        "NoncurrentVersionExpiration"
    ]
    assert expiry["NoncurrentDays"] == 90


def test_second_bootstrap_changes_nothing(cloud: Cloud) -> None:
    run_bootstrap(cloud)
    assert "changed" not in outcomes(cloud).values()


def test_setting_that_was_changed_manually_is_corrected(cloud: Cloud) -> None:
    run_bootstrap(cloud)
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.put_bucket_versioning(
        Bucket=cloud.environment.state.bucket, VersioningConfiguration={"Status": "Suspended"}
    )
    changed = [step.detail for step in run_bootstrap(cloud) if step.name == "state bucket settings"]
    assert changed == ["versioning"]


def test_api_gateway_gets_a_logging_role_after_retries(cloud: Cloud, gateway: ApiGateway) -> None:
    gateway.rejections = 2
    assert outcomes(cloud)["API Gateway logging role"] == "changed"
    assert gateway.role
    attached = boto3.client("iam").list_attached_role_policies(
        RoleName=gateway.role.rsplit("/")[-1]
    )
    assert [policy["PolicyArn"] for policy in attached["AttachedPolicies"]] == [API_LOGGING_POLICY]


def test_existing_logging_role_of_api_gateway_is_kept(cloud: Cloud, gateway: ApiGateway) -> None:
    gateway.role = "arn:aws:iam::123456789012:role/somebody-elses"
    assert outcomes(cloud)["API Gateway logging role"] == "unchanged"
    assert gateway.role.endswith("/somebody-elses")


def test_rejected_step_is_reported_as_failed_and_the_others_run(
    cloud: Cloud, gateway: ApiGateway
) -> None:
    gateway.rejections = 1000
    steps = outcomes(cloud)
    assert steps["API Gateway logging role"] == "failed"
    assert steps["GitHub OIDC provider"] == "changed"


def test_github_provider_needs_the_setting_github_repository(cloud: Cloud) -> None:
    assert outcomes(cloud)["GitHub OIDC provider"] == "changed"
    without = cloud.environment.model_copy(update={"github_repository": None})
    assert outcomes(replace(cloud, environment=without))["GitHub OIDC provider"] == "skipped"


def test_bucket_of_another_account_is_reported(cloud: Cloud) -> None:
    def forbid(**_: object) -> None:
        raise ClientError(
            {"Error": {"Code": "403"}, "ResponseMetadata": {"HTTPStatusCode": 403}},  # type: ignore[typeddict-item]
            "HeadBucket",
        )

    s3 = SimpleNamespace(head_bucket=forbid)
    with pytest.raises(OperatorError, match="belongs to another account"):
        run_bootstrap(FakeCloud(cloud.environment, {}, clients={"s3": s3}))


def with_responses(cloud: Cloud, service: str, **responses: Any) -> Cloud:
    """Returns a cloud whose client of a service returns these responses."""
    methods = {
        method: lambda response=response, **_: response for method, response in responses.items()
    }
    return FakeCloud(cloud.environment, {}, clients={service: SimpleNamespace(**methods)})


@pytest.mark.parametrize(("limit", "outcome"), [(1000, "unchanged"), (10, "manual")])
def test_concurrency_limit_below_the_reserved_concurrency_is_reported(
    cloud: Cloud, limit: int, outcome: str
) -> None:
    settings = {"AccountLimit": {"ConcurrentExecutions": limit}}
    limited = with_responses(cloud, "lambda", get_account_settings=settings)
    assert bootstrap._concurrency(limited).outcome == outcome


@pytest.mark.parametrize(
    ("active", "errors", "outcome"),
    [
        (["Project", "Environment", "Service"], [], "unchanged"),
        (["Project"], [], "changed"),
        ([], [{"TagKey": "Service"}], "manual"),
    ],
)
def test_cost_tags_are_activated_only_after_billing_lists_them(
    cloud: Cloud, active: list[str], errors: list[dict[str, str]], outcome: str
) -> None:
    tags = [{"TagKey": tag, "Status": "Active"} for tag in active]
    tagged = with_responses(
        cloud,
        "ce",
        list_cost_allocation_tags={"CostAllocationTags": tags},
        update_cost_allocation_tags_status={"Errors": errors},
    )
    assert bootstrap._cost_tags(tagged).outcome == outcome


@pytest.mark.parametrize(("metrics", "outcome"), [([{}], "unchanged"), ([], "manual")])
def test_billing_alerts_need_a_manual_step_unless_billing_metrics_exist(
    cloud: Cloud, metrics: list[Any], outcome: str
) -> None:
    billed = with_responses(cloud, "cloudwatch", list_metrics={"Metrics": metrics})
    assert bootstrap._billing_alerts(billed).outcome == outcome
