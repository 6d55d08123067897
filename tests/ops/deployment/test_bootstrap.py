from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from environments import Environment, load_environment
from ops.cloud import Cloud
from ops.deployment import bootstrap as subject
from ops.deployment.bootstrap import bootstrap_account
from ops.errors import OperatorError


class ApiGateway:
    """API Gateway's account settings; refuses a role as often as told, as it does one that IAM has just made."""

    def __init__(self) -> None:
        self.role: str | None = None
        self.refusals = 0

    def get_account(self) -> dict[str, str]:
        return {"cloudwatchRoleArn": self.role} if self.role else {}

    def update_account(self, *, patchOperations: list[dict[str, str]]) -> None:  # noqa: N803
        if self.refusals:
            self.refusals -= 1
            raise ClientError(
                {"Error": {"Code": "BadRequestException", "Message": "role"}}, "UpdateAccount"
            )
        assert (patchOperations[0]["op"], patchOperations[0]["path"]) == (
            "replace",
            "/cloudwatchRoleArn",
        )
        self.role = patchOperations[0]["value"]


@pytest.fixture(autouse=True)
def gateway(monkeypatch: pytest.MonkeyPatch) -> ApiGateway:
    gateway, client = ApiGateway(), Cloud.client
    monkeypatch.setattr(subject, "ROLE_INTERVAL", 0.0)
    monkeypatch.setattr(
        Cloud,
        "client",
        lambda self, name, *rest: gateway if name == "apigateway" else client(self, name, *rest),
    )
    return gateway


def outcomes(cloud: Cloud) -> dict[str, str]:
    return {step.name: step.outcome for step in bootstrap_account(cloud, billing=False)}


def test_the_state_bucket_is_versioned_encrypted_private_and_tls_only(cloud: Cloud) -> None:
    assert outcomes(cloud)["state bucket"] == "made"
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


def test_doing_it_again_changes_nothing(cloud: Cloud) -> None:
    bootstrap_account(cloud, billing=False)
    assert "made" not in outcomes(cloud).values()


def test_a_setting_undone_by_hand_is_made_again(cloud: Cloud) -> None:
    bootstrap_account(cloud, billing=False)
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.put_bucket_versioning(
        Bucket=cloud.environment.state.bucket, VersioningConfiguration={"Status": "Suspended"}
    )
    changed = [
        step.detail
        for step in bootstrap_account(cloud, billing=False)
        if step.name == "state bucket settings"
    ]
    assert changed == ["versioning"]


def test_a_cloud_addressed_by_plain_http_gets_no_tls_only_policy(aws: None) -> None:
    local = load_environment("local", variables={}).model_copy(update={"allowed_account_ids": []})
    cloud = Cloud(local, {})
    assert outcomes(cloud)["state bucket TLS-only policy"] == "skipped"
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        boto3.client("s3").get_bucket_policy(Bucket=cloud.environment.state.bucket)


def test_api_gateway_gets_a_role_to_log_with(cloud: Cloud, gateway: ApiGateway) -> None:
    gateway.refusals = 2
    assert outcomes(cloud)["API Gateway logging role"] == "made"
    assert gateway.role
    attached = boto3.client("iam").list_attached_role_policies(
        RoleName=gateway.role.rsplit("/")[-1]
    )
    assert [policy["PolicyArn"] for policy in attached["AttachedPolicies"]] == [
        subject.LOGGING_POLICY
    ]


def test_a_role_that_api_gateway_has_stays(cloud: Cloud, gateway: ApiGateway) -> None:
    gateway.role = "arn:aws:iam::123456789012:role/somebody-elses"
    assert outcomes(cloud)["API Gateway logging role"] == "already there"
    assert gateway.role.endswith("/somebody-elses")


def test_a_step_that_is_refused_is_reported_and_the_rest_is_done(
    cloud: Cloud, gateway: ApiGateway
) -> None:
    gateway.refusals = 1000
    found = outcomes(cloud)
    assert found["API Gateway logging role"] == "skipped"
    assert found["GitHub OIDC provider"] == "made"


def test_github_is_trusted_only_where_a_repository_is_named(cloud: Cloud) -> None:
    assert outcomes(cloud)["GitHub OIDC provider"] == "made"
    without = cloud.environment.model_copy(update={"github_repository": None})
    assert outcomes(Cloud(without, {}))["GitHub OIDC provider"] == "skipped"


def test_somebody_elses_bucket_is_told(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(**_: object) -> None:
        raise ClientError(
            {"Error": {"Code": "403"}, "ResponseMetadata": {"HTTPStatusCode": 403}},  # type: ignore[typeddict-item]
            "HeadBucket",
        )

    s3 = cloud.client("s3")
    monkeypatch.setattr(s3, "head_bucket", forbidden)
    with pytest.raises(OperatorError, match="belongs to another account"):
        subject._ensure_bucket(s3, "taken", "us-east-1")


class _Answers:
    """A client that gives one answer to every call."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        return lambda **_: self._answers[name]


def _with(environment: Environment, monkeypatch: pytest.MonkeyPatch, **answers: Any) -> Cloud:
    cloud = Cloud(environment, {})
    monkeypatch.setattr(Cloud, "client", lambda *_: _Answers(**answers))
    return cloud


@pytest.mark.parametrize(("limit", "outcome"), [(1000, "already there"), (10, "by hand")])
def test_the_accounts_concurrency_must_leave_room(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, limit: int, outcome: str
) -> None:
    asked = _with(
        cloud.environment,
        monkeypatch,
        get_account_settings={"AccountLimit": {"ConcurrentExecutions": limit}},
    )
    assert subject._concurrency(asked, "1").outcome == outcome


@pytest.mark.parametrize(
    ("active", "refused", "outcome"),
    [
        (["Project", "Environment", "Service"], [], "already there"),
        (["Project"], [], "made"),
        ([], [{"TagKey": "Service"}], "by hand"),
    ],
)
def test_cost_tags_are_activated_or_wait_for_billing(
    cloud: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    active: list[str],
    refused: list[dict[str, str]],
    outcome: str,
) -> None:
    asked = _with(
        cloud.environment,
        monkeypatch,
        list_cost_allocation_tags={
            "CostAllocationTags": [{"TagKey": tag, "Status": "Active"} for tag in active]
        },
        update_cost_allocation_tags_status={"Errors": refused},
    )
    assert subject._cost_tags(asked, "1").outcome == outcome


@pytest.mark.parametrize(("metrics", "outcome"), [([{}], "already there"), ([], "by hand")])
def test_billing_alerts_show_in_the_metrics(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, metrics: list[Any], outcome: str
) -> None:
    assert (
        subject._billing_alerts(
            _with(cloud.environment, monkeypatch, list_metrics={"Metrics": metrics}), "1"
        ).outcome
        == outcome
    )
