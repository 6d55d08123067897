"""Connects commands to an environment: AWS with the caller's credentials, or the embedded AWS."""

from __future__ import annotations

import functools
import getpass
import os
from dataclasses import dataclass, replace
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from environments import Environment, EnvironmentFileError, load_environment
from environments.resource_names import DEFAULT_REGION
from ops.embedded import Addresses, EmbeddedCloud
from ops.embedded.services import ACCESS_KEY, SECRET_KEY
from ops.env_file import provider_settings
from ops.errors import OperatorError
from ops.root import Root

EMBEDDED = "local"
"""Name of the environment that runs in the embedded cloud (local AWS, PostgreSQL and Valkey)."""
ROLE_VARIABLE = "OPERATOR_ROLE_ARN"
"""Environment variable with the ARN of a role that each command assumes before other AWS calls.

A variable such as DEV_OPERATOR_ROLE_ARN applies to one environment and takes precedence. A
promotion needs two such variables, because its two environments are in two accounts.
"""


AWS_SETTINGS = "AWS_"
"""Prefix of the environment variables that AWS's tools read."""


def _isolated_session() -> botocore.session.Session:
    """Returns a session that ignores AWS's configuration files and environment variables."""
    unset = {"profile": None, "ca_bundle": None, "config_file": os.devnull}
    return botocore.session.Session(
        session_vars={
            name: (None, None, value, None)
            for name, value in {**unset, "credentials_file": os.devnull}.items()
        }
    )


@dataclass(frozen=True)
class Cloud:
    """A connection to an environment, with the variables that Terraform, CDKTF and boto3 need."""

    environment: Environment
    variables: dict[str, str]
    endpoint: str | None = None
    """URL of the embedded AWS, or None if the environment is on AWS."""
    role: str | None = None
    """ARN of the assumed role, whose credentials are in `variables`. None if no role is assumed."""

    @property
    def authority(self) -> str | None:
        """Path of the CA certificate that verifies the environment's servers.

        None if a public CA issued their certificates.
        """
        return self.variables.get("AWS_CA_BUNDLE")

    @functools.cached_property
    def _session(self) -> boto3.Session:
        keys: dict[str, Any] = {}
        if self.role:
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
            keys = {name.lower(): self.variables[name] for name in names}
        elif self.endpoint:
            keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
        return boto3.Session(
            region_name=self.environment.region,
            botocore_session=self._botocore_session(),
            **keys,
        )

    def _botocore_session(self) -> botocore.session.Session:
        return _isolated_session() if self.endpoint else botocore.session.get_session()

    def inherited_variables(self) -> dict[str, str]:
        """Returns the shell's environment variables that programs for this environment inherit.

        For the embedded AWS, omits the shell's AWS settings. A profile or an endpoint could break
        the platform on this machine, or make a program call the real AWS.
        """
        return {
            name: value
            for name, value in os.environ.items()
            if self.endpoint is None or not name.startswith(AWS_SETTINGS)
        }

    def client(
        self, service: Any, region: str | None = None, settings: Config | None = None
    ) -> Any:
        """Returns a boto3 client.

        Args:
            region: The default is the environment's region.
            settings: Overrides boto3's default timeouts and the standard retry mode.
        """
        config = Config(
            retries={"mode": "standard"}, s3={"addressing_style": "path"} if self.endpoint else None
        )
        if settings:
            config = config.merge(settings)
        return self._session.client(
            service,
            region_name=region,
            endpoint_url=self.endpoint,
            config=config,
            verify=self.authority,
        )

    @functools.cached_property
    def _caller(self) -> dict[str, Any]:
        try:
            caller: dict[str, Any] = self.client("sts").get_caller_identity()
        except (BotoCoreError, ClientError) as error:
            raise OperatorError(
                f"AWS rejected the current credentials ({error}): log in, or set AWS_PROFILE"
            ) from error
        return caller

    @property
    def account(self) -> str:
        """ID of the account that the credentials belong to."""
        return str(self._caller["Account"])

    @property
    def identity(self) -> str:
        """ARN of the IAM identity that the credentials belong to."""
        return str(self._caller["Arn"])

    @property
    def operator(self) -> str:
        """The AWS identity and the user name (in CI: GitHub actor and run), for the ledger's
        records.
        """
        run = os.environ.get("GITHUB_RUN_ID")
        person = f"{os.environ.get('GITHUB_ACTOR')} in run {run}" if run else getpass.getuser()
        return f"{self.identity} ({person})"


def embedded_variables(addresses: Addresses) -> dict[str, str]:
    """Returns the environment variables that Terraform, CDKTF and boto3 need for an embedded cloud.

    environments/local.yml refers to some of these variables.
    """
    return {
        "AWS_ENDPOINT_URL": addresses.aws,
        "AWS_CA_BUNDLE": addresses.authority,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        **_region_variables(DEFAULT_REGION),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "DATABASE_ENDPOINT": addresses.database,
        "CACHE_ENDPOINT": addresses.cache,
        "AUTHORITY_FILE": addresses.authority,
    }


def connect(name: str, root: Root, kind: type[Cloud] = Cloud) -> Cloud:
    """Connects to an environment and verifies that the credentials belong to its account.

    Assumes the role in <NAME>_OPERATOR_ROLE_ARN or OPERATOR_ROLE_ARN if one of them is set.

    Args:
        kind: The class of the returned connection: Cloud or a subclass.

    Raises:
        OperatorError: The environment's file is missing or invalid, the embedded cloud is not
            running, the credentials are invalid or belong to another account, or the role cannot
            be assumed.
    """
    cloud = locate(name, root, kind)
    allowed = cloud.environment.allowed_account_ids
    if cloud.account not in allowed:
        raise OperatorError(
            f"The credentials belong to account {cloud.account}, but {name} allows only"
            f" {', '.join(allowed)}: use credentials of that account, or correct"
            " allowed_account_ids in its environment file"
        )
    return cloud


def locate(name: str, root: Root, kind: type[Cloud] = Cloud, *, assumes_role: bool = True) -> Cloud:
    """Connects to an environment without checking the credentials, which may be missing.

    CDKTF, for example, synthesizes a stack without credentials.

    Args:
        kind: The class of the returned connection: Cloud or a subclass.
        assumes_role: False to use the access key of the embedded AWS's root user even if a role
            is configured.

    Raises:
        OperatorError: The environment's file is missing or invalid, the embedded cloud is not
            running, or the role cannot be assumed.
    """
    variables: dict[str, str] = {}
    endpoint = None
    if name == EMBEDDED:
        addresses = EmbeddedCloud(root).addresses()
        if addresses is None:
            raise OperatorError(
                "The platform is not running on this machine: start it with `make up`"
            )
        endpoint = addresses.aws
        variables = {**embedded_variables(addresses), **provider_settings()}
    try:
        environment = load_environment(name, variables={**os.environ, **variables})
    except EnvironmentFileError as error:
        raise OperatorError(str(error)) from error
    cloud = kind(environment, variables or _region_variables(environment.region), endpoint)
    for variable in (f"{name.upper().replace('-', '_')}_{ROLE_VARIABLE}", ROLE_VARIABLE):
        if assumes_role and (role := os.environ.get(variable)):
            return _assume_role(role, variable, cloud)
    return cloud


def _assume_role(role: str, variable: str, cloud: Cloud) -> Cloud:
    try:
        response = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="operator")
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(
            f"Cannot assume {role} ({error}): correct {variable}, or the role's trust policy"
        ) from error
    keys = response["Credentials"]
    credentials = {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }
    return replace(cloud, variables={**cloud.variables, **credentials}, role=role)


def _region_variables(region: str) -> dict[str, str]:
    """Returns the region for Terraform (AWS_REGION) and boto3 (AWS_DEFAULT_REGION)."""
    return {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
