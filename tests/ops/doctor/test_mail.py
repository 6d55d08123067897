"""Tests the checks of the SES identity."""

from __future__ import annotations

import boto3
import pytest

from ops.cloud import Cloud
from ops.doctor.mail import check_mail
from ops.doctor.result import Result
from tests.ops.clouds import FakeCloud, stubbed_client

ARN = "arn:aws:ses:us-east-1:123456789012:identity/multitask.com"


def check(cloud: Cloud, client: object, **settings: object) -> Result:
    environment = cloud.environment.model_copy(update={"mail_identity_arn": ARN, **settings})
    [result] = check_mail(FakeCloud(environment, {}, clients={"sesv2": client}))
    return result


def test_missing_ses_identity_causes_a_failure(cloud: Cloud) -> None:
    result = check(cloud, boto3.client("sesv2", region_name="us-east-1"))
    assert (result.status, "has no identity multitask.com" in result.detail) == ("failure", True)


@pytest.mark.parametrize(
    ("verified", "production", "status"),
    [(True, True, "ok"), (True, False, "warning"), (False, True, "failure")],
)
def test_ses_identity_must_be_verified_and_its_account_out_of_the_sandbox(
    cloud: Cloud, verified: bool, production: bool, status: str
) -> None:
    client = stubbed_client(
        "sesv2",
        ("get_email_identity", {"VerifiedForSendingStatus": verified}),
        ("get_account", {"ProductionAccessEnabled": production}),
    )
    assert check(cloud, client).status == status


@pytest.mark.parametrize(("policy", "status"), [("retain", "warning"), ("destroy", "ok")])
def test_cognitos_daily_mail_limit_causes_a_warning_if_the_environment_retains_data(
    cloud: Cloud, policy: str, status: str
) -> None:
    result = check(cloud, None, mail_identity_arn=None, removal_policy=policy)
    assert (result.status, "50 mails a day" in result.detail) == (status, True)
