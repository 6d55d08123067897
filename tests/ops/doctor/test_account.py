"""Tests the checks of account settings, roles and the clock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import boto3
import pytest

from environments.resource_names import GITHUB_ISSUER
from ops.cloud import Cloud
from ops.doctor.account import (
    check_clock,
    check_github_provider,
    check_logging_role,
    check_region,
    check_service_linked_roles,
)
from tests.ops.clouds import FakeCloud, stubbed_client


def with_settings(cloud: Cloud, **settings: Any) -> Cloud:
    return Cloud(cloud.environment.model_copy(update=settings), {})


@pytest.mark.parametrize(
    ("skew", "status", "words"),
    [
        (0, "ok", "s "),
        (-90, "warning", "behind AWS"),
        (400, "failure", "ahead of AWS"),
    ],
)
def test_clock_must_agree_with_aws(cloud: Cloud, skew: int, status: str, words: str) -> None:
    [result] = check_clock(cloud, clock=lambda: time.time() + skew)
    assert result.status == status
    assert words in result.detail


@pytest.mark.parametrize(
    ("region", "status", "words"),
    [
        ("us-east-1", "ok", "us-east-1"),
        ("ap-east-1", "failure", "has not enabled ap-east-1"),
        ("us-east-9", "failure", "AWS has no region us-east-9"),
    ],
)
def test_region_must_exist_and_be_enabled(
    cloud: Cloud, region: str, status: str, words: str
) -> None:
    ec2 = boto3.client("ec2", region_name="us-east-1")
    environment = cloud.environment.model_copy(update={"region": region})
    [result] = check_region(FakeCloud(environment, {}, clients={"ec2": ec2}))
    assert (result.status, words in result.detail) == (status, True)


def test_missing_service_linked_roles_cause_a_warning_with_a_command(cloud: Cloud) -> None:
    [result] = check_service_linked_roles(cloud)
    assert result.status == "warning"
    assert "rds.amazonaws.com" in result.detail
    # The role for sending mail is not needed, because the environment has no mail identity.
    assert "email.cognito-idp" not in result.detail
    assert "--aws-service-name elasticache.amazonaws.com" in result.remedy
    iam = boto3.client("iam")
    for service in ("elasticache", "ops.apigateway", "rds", "wafv2"):
        iam.create_service_linked_role(AWSServiceName=f"{service}.amazonaws.com")
    [result] = check_service_linked_roles(cloud)
    assert result.status == "ok"


def test_github_provider_must_exist_if_the_environment_has_pipelines(cloud: Cloud) -> None:
    [result] = check_github_provider(cloud)
    assert (result.status, result.remedy) == ("failure", "run `ops bootstrap dev`")
    boto3.client("iam").create_open_id_connect_provider(Url=f"https://{GITHUB_ISSUER}")
    [result] = check_github_provider(cloud)
    assert result.status == "ok"
    [result] = check_github_provider(with_settings(cloud, github_repository=None))
    assert result.status == "ok"


@pytest.mark.parametrize(
    ("account", "status"),
    [({"cloudwatchRoleArn": "arn:aws:iam::123456789012:role/logs"}, "ok"), ({}, "failure")],
)
def test_api_gateway_needs_a_logging_role(
    cloud: Cloud, account: Mapping[str, Any], status: str
) -> None:
    client = stubbed_client("apigateway", ("get_account", account))
    [result] = check_logging_role(FakeCloud(cloud.environment, {}, clients={"apigateway": client}))
    assert result.status == status
