"""One environment's cloud as the commands reach it: AWS by the caller's credentials, or the embedded AWS of a root."""

from __future__ import annotations

import functools
import getpass
import os
from dataclasses import dataclass, replace
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
ROLE_VARIABLE = "OPERATOR_ROLE_ARN"
"""Names a role that the commands take on before anything else, with the credentials in use. DEV_OPERATOR_ROLE_ARN and so on name one
for that environment alone: a promotion works on two, each in an account of its own."""


@dataclass(frozen=True)
class Cloud:
    """An environment and the variables that lead programs (Terraform, boto3, synthesis) to its cloud."""

    environment: Environment
    variables: dict[str, str]
    endpoint: str | None = None
    """The embedded AWS's address; None: AWS."""
    role: str | None = None
    """ARN of a role that has been taken on: the variables have its credentials. None: the caller's own credentials."""

    @functools.cached_property
    def _session(self) -> boto3.Session:
        keys: dict[str, Any] = {}
        if self.role:
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
            keys = {name.lower(): self.variables[name] for name in names}
        elif self.endpoint:
            keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
        return boto3.Session(region_name=self.environment.region, **keys)

    def client(
        self, service: Any, region: str | None = None, settings: Config | None = None
    ) -> Any:
        """A boto3 client; in the environment's region unless another is named.

        Args:
            settings: what differs from the usual: boto3's timeouts, and its standard retries.
        """
        config = Config(
            retries={"mode": "standard"}, s3={"addressing_style": "path"} if self.endpoint else None
        )
        if settings:
            config = config.merge(settings)
        return self._session.client(
            service, region_name=region, endpoint_url=self.endpoint, config=config
        )

    @functools.cached_property
    def _identity(self) -> dict[str, Any]:
        try:
            identity: dict[str, Any] = self.client("sts").get_caller_identity()
        except (BotoCoreError, ClientError) as error:
            raise OperatorError(
                f"AWS does not accept the credentials in use ({error}): log in, or set AWS_PROFILE"
            ) from error
        return identity

    def who(self) -> str:
        """Who is at work, for records and notifications: the identity AWS knows, and the person or pipeline run behind it.

        Raises:
            OperatorError: there are no usable credentials.
        """
        run = os.environ.get("GITHUB_RUN_ID")
        person = f"{os.environ.get('GITHUB_ACTOR')} in run {run}" if run else getpass.getuser()
        return f"{self._identity['Arn']} ({person})"

    def check_account(self) -> str:
        """The account the credentials lead to.

        Raises:
            OperatorError: there are no usable credentials, or the environment does not allow that account.
        """
        account = str(self._identity["Account"])
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
    """The cloud of an environment, under the role that <NAME>_OPERATOR_ROLE_ARN or OPERATOR_ROLE_ARN names where one is set.

    Raises:
        OperatorError: there is no such environment or its file is wrong, it is the embedded one and does not run, or the role
            cannot be taken on.
    """
    variables: dict[str, str] = {}
    endpoint = None
    if name == EMBEDDED:
        addresses = EmbeddedCloud(root).addresses()
        if addresses is None:
            raise OperatorError(
                "The platform does not run on this machine: start it with `make up`"
            )
        endpoint = addresses.aws
        variables = {**embedded_variables(addresses), **provider_addresses()}
    try:
        environment = load_environment(name, variables={**os.environ, **variables})
    except EnvironmentFileError as error:
        raise OperatorError(str(error)) from error
    cloud = Cloud(environment, variables or _region(environment.region), endpoint)
    for variable in (f"{name.upper().replace('-', '_')}_{ROLE_VARIABLE}", ROLE_VARIABLE):
        if role := os.environ.get(variable):
            return _under(role, variable, cloud)
    return cloud


def _under(role: str, variable: str, cloud: Cloud) -> Cloud:
    try:
        answer = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="operator")
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(
            f"{variable} names {role}, which cannot be taken on: {error}"
        ) from error
    keys = answer["Credentials"]
    taken = {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }
    return replace(cloud, variables={**cloud.variables, **taken}, role=role)


def _region(region: str) -> dict[str, str]:
    """Terraform reads the first, boto3 the second."""
    return {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
