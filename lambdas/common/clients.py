"""AWS clients, each made at its first use and once per execution environment.

boto3 itself is imported with the module: a function's initialization runs with more CPU than its invocations get.
"""

from functools import cached_property
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_ssm import SSMClient

CONNECT_TIMEOUT = 1.0
READ_TIMEOUT = 5.0
ATTEMPTS = 3


def client_config(read_timeout: float = READ_TIMEOUT, attempts: int = ATTEMPTS) -> Config:
    """Timeouts in seconds; botocore's own defaults (60 s, 5 attempts) outlast any function of ours."""
    return Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        tcp_keepalive=True,
    )


class Clients:
    """The AWS clients of one region."""

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
        # Cognito mails codes within the call, which can take seconds; a repeated SignUp would meet its own user.
        return self.session.client("cognito-idp", config=client_config(read_timeout=8, attempts=1))

    @cached_property
    def events(self) -> "EventBridgeClient":
        # An event must not hold up the answer it goes with.
        return self.session.client("events", config=client_config(read_timeout=2, attempts=2))
