"""AWS clients, each created on first use and once per execution environment.

boto3 is imported at module level because Lambda provides more CPU for initialization.
"""

from functools import cached_property
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

CONNECT_TIMEOUT = 0.5
READ_TIMEOUT = 1.0
ATTEMPTS = 2
"""Timeouts in seconds, and attempts per call. A call that hangs takes at most 2 x (0.5 + 1) s, plus
botocore's pause of up to 1 s. The shortest function timeout is 10 s (auth), so the caller gets a
problem document with 503 before the function times out."""


def client_config(read_timeout: float = READ_TIMEOUT, attempts: int = ATTEMPTS) -> Config:
    """Returns a client configuration with short timeouts. `read_timeout` is in seconds.

    With botocore's defaults (60 s, 5 attempts), a call could exceed the function's timeout.
    """
    return Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        tcp_keepalive=True,
    )


class Clients:
    def __init__(self, region: str) -> None:
        self._region = region

    @cached_property
    def session(self) -> boto3.session.Session:
        return boto3.session.Session(region_name=self._region)

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        return self.session.client("dynamodb", config=client_config())

    @cached_property
    def ssm(self) -> "SSMClient":
        return self.session.client("ssm", config=client_config())

    @cached_property
    def cognito(self) -> "CognitoIdentityProviderClient":
        # Cognito sends emails during the call, which can take up to 4 s. No retries: a second
        # SignUp would fail because the user exists, and a confirmation code works only once.
        return self.session.client(
            "cognito-idp", config=client_config(read_timeout=3.5, attempts=1)
        )

    @cached_property
    def s3(self) -> "S3Client":
        # Copying several megabytes takes longer than other calls. Without an explicit signature
        # version, botocore signs upload forms with SigV2 in some regions.
        config = client_config(read_timeout=5.0).merge(Config(signature_version="s3v4"))
        return self.session.client("s3", config=config)

    @cached_property
    def events(self) -> "EventBridgeClient":
        return self.session.client("events", config=client_config())

    @cached_property
    def sqs(self) -> "SQSClient":
        return self.session.client("sqs", config=client_config())
