"""One environment's cloud as the commands reach it: AWS by the caller's credentials, or the embedded AWS of a root."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from environments import Environment, EnvironmentFileError, load_environment
from ops.embedded import Addresses, EmbeddedCloud
from ops.embedded.services import ACCESS_KEY, SECRET_KEY
from ops.env_file import provider_addresses
from ops.errors import OperatorError
from ops.root import Root

EMBEDDED = "local"
"""The environment that lives in the embedded cloud."""


@dataclass(frozen=True)
class Cloud:
    """An environment and the variables that lead programs (Terraform, boto3, synthesis) to its cloud."""

    environment: Environment
    variables: dict[str, str]
    endpoint: str | None = None
    """The embedded AWS's address; None: AWS."""

    @functools.cached_property
    def _session(self) -> boto3.Session:
        keys: dict[str, Any] = (
            {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY} if self.endpoint else {}
        )
        return boto3.Session(region_name=self.environment.region, **keys)

    def client(self, service: Any, region: str | None = None, settings: Config | None = None) -> Any:
        """A boto3 client; in the environment's region unless another is named.

        Args:
            settings: what differs from the usual: boto3's timeouts, and its standard retries.
        """
        config = Config(retries={"mode": "standard"}, s3={"addressing_style": "path"} if self.endpoint else None)
        if settings:
            config = config.merge(settings)
        return self._session.client(service, region_name=region, endpoint_url=self.endpoint, config=config)

    def check_account(self) -> str:
        """The account the credentials lead to.

        Raises:
            OperatorError: there are no usable credentials, or the environment does not allow that account.
        """
        try:
            account = str(self.client("sts").get_caller_identity()["Account"])
        except (BotoCoreError, ClientError) as error:
            raise OperatorError(
                f"AWS does not accept the credentials in use ({error}): log in, or set AWS_PROFILE"
            ) from error
        allowed = self.environment.allowed_account_ids
        if allowed and account not in allowed:
            raise OperatorError(
                f"The credentials lead to account {account}, and {self.environment.name} allows only {', '.join(allowed)}:"
                " use that account's, or correct allowed_account_ids"
            )
        return account


def embedded_variables(addresses: Addresses) -> dict[str, str]:
    """The variables that lead Terraform, CDKTF and AWS programs to an embedded cloud, and that its environment file refers to."""
    return {
        "AWS_ENDPOINT_URL": addresses.aws,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        **_region("us-east-1"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "DATABASE_ENDPOINT": addresses.database,
        "CACHE_ENDPOINT": addresses.cache,
    }


def connect(name: str, root: Root) -> Cloud:
    """The cloud of an environment.

    Raises:
        OperatorError: there is no such environment or its file is wrong, or it is the embedded one and does not run.
    """
    variables: dict[str, str] = {}
    endpoint = None
    if name == EMBEDDED:
        addresses = EmbeddedCloud(root).addresses()
        if addresses is None:
            raise OperatorError("The platform does not run on this machine: start it with `make up`")
        endpoint = addresses.aws
        variables = {**embedded_variables(addresses), **provider_addresses()}
    try:
        environment = load_environment(name, variables=variables) if variables else load_environment(name)
    except EnvironmentFileError as error:
        raise OperatorError(str(error)) from error
    return Cloud(environment, variables or _region(environment.region), endpoint)


def _region(region: str) -> dict[str, str]:
    """Terraform reads the first, boto3 the second."""
    return {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
