"""Checks the SES identity from which Cognito sends mails."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from ops.cloud import Cloud
from ops.doctor.result import Result, failure, ok, warning

COGNITO_LIMIT = 50
"""Emails per day that Cognito sends without SES (Cognito guide, "Quotas", 2026-11-29)."""


def check_mail(cloud: Cloud) -> Iterator[Result]:
    """Checks that the identity is verified and that SES may send to unverified addresses."""
    arn = cloud.environment.mail_identity_arn
    if arn is None:
        detail = f"Cognito sends at most {COGNITO_LIMIT} mails a day without SES"
        if cloud.environment.retains_data:
            yield warning(detail, "verify an SES identity and set mail_identity_arn")
        else:
            yield ok(detail)
        return
    region, identity = arn.split(":")[3], arn.rpartition("identity/")[2]
    ses = cloud.client("sesv2", region)
    try:
        verified = ses.get_email_identity(EmailIdentity=identity)["VerifiedForSendingStatus"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NotFoundException":
            raise
        verified = None
    if not verified:
        yield failure(
            f"SES in {region} has "
            + (f"not verified {identity}" if verified is False else f"no identity {identity}"),
            f"verify {identity} in the SES console of {region}",
        )
        return
    if ses.get_account()["ProductionAccessEnabled"]:
        yield ok(f"{identity} is verified and SES has production access")
    else:
        yield warning(
            f"SES in {region} is in the sandbox and sends only to verified addresses",
            "request production access in the SES console",
        )
