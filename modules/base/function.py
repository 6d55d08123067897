"""A Lambda function with a role, a log group and alarms.

The alias `live` selects the version of the function that callers invoke.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cdktf import TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.iam_role import IamRole
from cdktf_cdktf_provider_aws.iam_role_policy import IamRolePolicy
from cdktf_cdktf_provider_aws.lambda_alias import LambdaAlias
from cdktf_cdktf_provider_aws.lambda_function import (
    LambdaFunction as LambdaFunctionResource,
)
from cdktf_cdktf_provider_aws.lambda_function import (
    LambdaFunctionEnvironment,
    LambdaFunctionLoggingConfig,
    LambdaFunctionTracingConfig,
    LambdaFunctionVpcConfig,
)
from cdktf_cdktf_provider_aws.lambda_permission import LambdaPermission
from cdktf_cdktf_provider_aws.lambda_provisioned_concurrency_config import (
    LambdaProvisionedConcurrencyConfig,
)
from cdktf_cdktf_provider_aws.s3_object import S3Object
from constructs import Construct

from environments import Environment, FunctionName
from environments.resource_names import ALIAS
from modules.base.access import Access
from modules.base.alarm import Alarm
from modules.base.artifact import Artifact
from modules.base.log_group import LogGroup
from modules.base.naming import Names, service_tag
from modules.base.policy import Statement, merge_statements, policy_document, trust_policy

RUNTIME = "python3.13"

APPLICATION_LOG_LEVELS = {"debug": "DEBUG", "info": "INFO", "warning": "WARN", "error": "ERROR"}
"""Lambda's names for the log levels of environments.

With JSON logs, Lambda drops lines below the level in the function's configuration, by default INFO
(Lambda developer guide, "Log-level filtering").
"""

DURATION_ALARM_SHARE = 0.8
"""The alarm on the p99 duration fires at this fraction of the function's timeout."""


@dataclass(frozen=True)
class FunctionNetwork:
    """The subnets and the security group of a function in the VPC."""

    subnet_ids: Sequence[str]
    security_group_ids: Sequence[str]
    has_ipv6: bool = False
    """Whether the function sends traffic over IPv6 too. The subnets must have IPv6 blocks."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that the network requires."""


@dataclass(frozen=True, kw_only=True)
class FunctionPlatform:
    """The settings and resources that all functions of an environment share."""

    names: Names
    artifacts: Mapping[str, Artifact]
    """The packaged functions, by function name."""
    artifact_bucket: str
    """The bucket with the functions' packages."""
    alerts_topic_arn: str

    @property
    def environment(self) -> Environment:
        """The environment of the functions."""
        return self.names.environment


class LambdaFunction(Construct):
    """A Lambda function with its role, log group, alarms and alias `live`.

    Args:
        platform: The settings and resources that all functions share.
        function: The function's name, which is its folder in lambdas/.
        description: The function's purpose.
        variables: Environment variables in addition to those in `access`. They must not contain
            secrets, only names of secrets.
        access: The access to resources that the function uses or that invoke the function.
            The constructor adds the permissions for logs, traces and network interfaces.
        network: The function's subnets and security group. None for a function outside the VPC.

    Attributes:
        sids: The Sids of the permissions in `access`.
        invoke_permissions: The permissions to invoke the function, in the order of creation.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: FunctionPlatform,
        function: FunctionName,
        description: str,
        variables: Mapping[str, str] | None = None,
        access: Sequence[Access] = (),
        network: FunctionNetwork | None = None,
    ) -> None:
        super().__init__(scope, id_)
        environment, names = platform.environment, platform.names
        settings = environment.function(function)
        self.name = names.of(function, "lambda")
        self.service = function
        self.invoke_permissions: list[LambdaPermission] = []
        tags = service_tag(function)

        statements = merge_statements([item for grant in access for item in grant.statements])
        self.sids = {statement.sid for statement in statements}

        self.log_group = LogGroup(
            self,
            "logs",
            environment=environment,
            name=f"/aws/lambda/{self.name}",
            service=function,
        )
        self.role = IamRole(
            self,
            "role",
            name=names.of(function, "role"),
            assume_role_policy=trust_policy("lambda.amazonaws.com"),
            tags=tags,
        )
        policy = IamRolePolicy(
            self,
            "policy",
            name=names.of(function, "policy"),
            role=self.role.name,
            policy=policy_document([*statements, *self._runtime_statements(network is not None)]),
        )
        artifact = platform.artifacts[function]
        code = S3Object(
            self,
            "code",
            bucket=platform.artifact_bucket,
            key=f"functions/{function}/{artifact.digest}.zip",
            source=artifact.asset,
            tags=tags,
            # Terraform uploads the new package before it deletes the old one, so that the function
            # never refers to a deleted package.
            lifecycle=TerraformResourceLifecycle(create_before_destroy=True),
        )
        # The code comes from S3, because the provider would upload the local files of several
        # functions one after the other.
        self.function = LambdaFunctionResource(
            self,
            "function",
            function_name=self.name,
            description=description,
            role=self.role.arn,
            runtime=RUNTIME,
            architectures=["arm64"],
            handler=f"lambdas.{function}.handler.handler",
            s3_bucket=code.bucket,
            s3_key=code.key,
            memory_size=settings.memory_size,
            timeout=settings.timeout,
            reserved_concurrent_executions=settings.reserved_concurrency,
            publish=True,
            environment=LambdaFunctionEnvironment(
                variables={
                    **self._common_variables(environment),
                    **(network.variables if network else {}),
                    **{name: value for grant in access for name, value in grant.variables.items()},
                    **(variables or {}),
                }
            ),
            tracing_config=LambdaFunctionTracingConfig(mode="Active"),
            logging_config=LambdaFunctionLoggingConfig(
                log_format="JSON",
                log_group=self.log_group.name,
                application_log_level=APPLICATION_LOG_LEVELS[environment.log_level],
            ),
            vpc_config=LambdaFunctionVpcConfig(
                subnet_ids=list(network.subnet_ids),
                security_group_ids=list(network.security_group_ids),
                ipv6_allowed_for_dual_stack=network.has_ipv6 or None,
            )
            if network
            else None,
            tags=tags,
            depends_on=[policy],
        )
        gradual = environment.release_strategy == "gradual"
        self.alias = LambdaAlias(
            self,
            "alias",
            name=ALIAS,
            description="The version that serves",
            function_name=self.function.function_name,
            function_version=self.function.version,
            # Releases change the alias's version, and an apply must not revert that.
            lifecycle=TerraformResourceLifecycle(
                ignore_changes=["function_version", "routing_config"]
            )
            if gradual
            else None,
        )
        if settings.provisioned_concurrency:
            LambdaProvisionedConcurrencyConfig(
                self,
                "warm",
                function_name=self.function.function_name,
                qualifier=self.alias.name,
                provisioned_concurrent_executions=settings.provisioned_concurrency,
            )
        for grant in access:
            if grant.connect:
                grant.connect(scope, self.alias.arn, self.service)
        self._alarms(platform, settings.timeout)

    def _common_variables(self, environment: Environment) -> dict[str, str]:
        return {
            "STAGE": environment.name,
            "REGION": environment.region,
            "LOG_LEVEL": environment.log_level.upper(),
            "CORS_ORIGINS": ",".join(environment.cors_origins),
            "RATE_LIMIT_ENABLED": str(environment.rate_limiting).lower(),
            "POWERTOOLS_SERVICE_NAME": self.service,
        }

    def _runtime_statements(self, in_vpc: bool) -> list[Statement]:
        """Returns the permissions that the Lambda service needs in the function's role."""
        statements = [
            Statement(
                sid="Logs",
                actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                resources=[f"{self.log_group.arn}:*"],
            ),
            Statement(
                sid="Traces",
                actions=["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
                resources=["*"],  # X-Ray has no resource-level permissions for sending traces
            ),
        ]
        if in_vpc:
            statements.append(
                Statement(
                    sid="NetworkInterfaces",
                    actions=[
                        "ec2:CreateNetworkInterface",
                        "ec2:DescribeNetworkInterfaces",
                        "ec2:DescribeSubnets",
                        "ec2:DeleteNetworkInterface",
                        "ec2:AssignPrivateIpAddresses",
                        "ec2:UnassignPrivateIpAddresses",
                    ],
                    # The interfaces do not exist yet, so the permission cannot contain their ARNs.
                    resources=["*"],
                )
            )
        return statements

    def _alarms(self, platform: FunctionPlatform, timeout: int) -> None:
        def alarm(metric: str, description: str, threshold: float, statistic: str = "Sum") -> None:
            kind = metric.lower()
            Alarm(
                self,
                f"{kind}-alarm",
                name=platform.names.of(self.service, f"{kind}-alarm"),
                description=f"{self.name}: {description}",
                namespace="AWS/Lambda",
                metric=metric,
                dimensions={"FunctionName": self.name},
                statistic=statistic,
                threshold=threshold,
                topic_arn=platform.alerts_topic_arn,
                tags=service_tag(self.service),
            )

        alarm("Errors", "more than 10 errors in 5 minutes, twice in a row; see its logs", 10)
        alarm("Throttles", "requests throttled; raise its reserved concurrency", 0)
        alarm(
            "Duration",
            f"p99 above {DURATION_ALARM_SHARE:.0%} of its {timeout} s timeout; see its traces",
            timeout * 1000 * DURATION_ALARM_SHARE,
            "p99",
        )
