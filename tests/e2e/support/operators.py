"""Creates IAM roles for operators, and copies of the checkout in which they run commands.

The roles have only policies of docs/policies/.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ops.cloud import ROLE_VARIABLE, Cloud
from ops.root import PROJECT
from tests.e2e.support.platform import Platform

POLICIES = PROJECT / "docs" / "policies"
DEPLOY_POLICIES = (
    "deploy-state",
    "deploy-functions",
    "deploy-data",
    "deploy-edge",
    "deploy-network",
)
"""The policies that a deployment needs, except for those about roles."""
COPIED_FOLDERS = ("ops", "lambdas", "modules", "environments", "web", "tools", "docs/api")

RESOURCE_ACTIONS = [
    "budgets:DescribeBudget",  # AWS checks budgets:ViewBudget instead
    "budgets:DescribeNotificationsForBudget",
    "budgets:DescribeSubscribersForNotification",
    "budgets:ListTagsForResource",
    "cloudfront:DescribeFunction",
    "cloudfront:GetFunction",
    "cloudfront:GetOriginAccessControl",
    "cloudfront:GetResponseHeadersPolicy",
    "cloudfront:ListTagsForResource",
    "cloudwatch:GetDashboard",
    "cloudwatch:ListTagsForResource",
    "dynamodb:ListTagsOfResource",
    "elasticache:DescribeCacheSubnetGroups",
    "elasticache:DescribeUserGroups",
    "elasticache:DescribeUsers",
    "elasticache:ListTagsForResource",
    "events:DescribeArchive",
    "events:ListTagsForResource",
    "events:ListTargetsByRule",
    "lambda:ListTags",
    "logs:ListTagsForResource",
    "rds:ListTagsForResource",
    "sns:ListTagsForResource",
    "wafv2:GetLoggingConfiguration",
    "wafv2:GetWebACLForResource",
    "wafv2:ListTagsForResource",
]
"""Actions that the policies allow only on certain resources.

The embedded AWS checks these actions without a resource, and denies them.
"""


TAG_ACTIONS = ["ec2:ModifySecurityGroupRules"]
"""Actions that the policies allow only on resources with certain tags.

The embedded AWS does not evaluate conditions on tags, and denies these actions.
"""

CREATE_ACTIONS = [
    "budgets:CreateBudget",  # AWS checks budgets:ModifyBudget instead
    "budgets:CreateNotification",
    "cloudfront:CreateDistributionWithTags",  # AWS checks cloudfront:CreateDistribution instead
    "cloudfront:PublishFunction",
    "cloudfront:TagResource",
    "cloudwatch:PutDashboard",
    "elasticache:CreateCacheSubnetGroup",
    "elasticache:CreateUser",
    "elasticache:CreateUserGroup",
    "events:CreateArchive",
    "events:PutTargets",
    "iam:CreateOpenIDConnectProvider",
    "iam:CreatePolicy",
    "kms:CreateAlias",
    "lambda:CreateEventSourceMapping",
    "lambda:CreateFunction",
    "rds:CreateDBClusterParameterGroup",
    "rds:CreateDBSubnetGroup",
    "rds:ModifyDBClusterParameterGroup",
    "wafv2:AssociateWebACL",
    "wafv2:PutLoggingConfiguration",
    # The policies allow changes of roles only if they keep the permissions boundary. The embedded
    # AWS does not evaluate this condition.
    "iam:AttachRolePolicy",
    "iam:CreateRole",
    "iam:PutRolePolicy",
    # The policies allow these actions only on network resources with certain tags. The embedded AWS
    # does not evaluate these conditions.
    "ec2:AssociateRouteTable",
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateFlowLogs",
    "ec2:CreateRouteTable",
    "ec2:CreateSecurityGroup",
    "ec2:CreateSubnet",
    "ec2:CreateTags",
    "ec2:CreateVpc",
    "ec2:CreateVpcEndpoint",
    "ec2:ModifySubnetAttribute",
    "ec2:ModifyVpcAttribute",
    "ec2:RevokeSecurityGroupEgress",
    "ec2:RevokeSecurityGroupIngress",
]
"""Further actions that a role needs for the first deployment on the embedded AWS.

The policies suffice on AWS. The embedded AWS checks permissions differently.
"""

DELETE_ACTIONS = [
    "budgets:DeleteBudget",  # AWS checks budgets:ModifyBudget instead
    "cloudfront:DeleteFunction",
    "cloudfront:DeleteOriginAccessControl",
    "cloudfront:DeleteResponseHeadersPolicy",
    "cloudwatch:DeleteAlarms",
    "cloudwatch:DeleteDashboards",
    "elasticache:DeleteCacheSubnetGroup",
    "elasticache:DeleteUser",
    "elasticache:DeleteUserGroup",
    "events:DeleteArchive",
    "events:RemoveTargets",
    "kms:DeleteAlias",
    "rds:DeleteDBClusterParameterGroup",
    "rds:DeleteDBSubnetGroup",
    "wafv2:DeleteLoggingConfiguration",
    "wafv2:DisassociateWebACL",
    # The policies allow these actions only on network resources with certain tags. The embedded AWS
    # does not evaluate these conditions.
    "ec2:DeleteFlowLogs",
    "ec2:DeleteRouteTable",
    "ec2:DeleteSecurityGroup",
    "ec2:DeleteSubnet",
    "ec2:DeleteVpc",
    "ec2:DeleteVpcEndpoints",
    "ec2:DisassociateRouteTable",
]
"""Further actions that a role needs for `ops remove` on the embedded AWS.

The policies suffice on AWS. The embedded AWS checks permissions differently.
"""


class Checkout:
    """A copy of the checkout that a test may change, with methods that run `ops` commands in it."""

    def __init__(
        self, directory: Path, platform: Platform, role: str | None, **variables: str
    ) -> None:
        """Copies the checkout.

        Args:
            role: the ARN of the operator's role. None selects the root key.
            variables: environment variables of every command.
        """
        self.directory, self._platform = directory, platform
        self._variables = {**variables, **({ROLE_VARIABLE: role} if role else {})}
        for folder in COPIED_FOLDERS:
            shutil.copytree(
                PROJECT / folder,
                directory / folder,
                ignore=shutil.ignore_patterns("__pycache__", ".venv", "node_modules"),
            )
        for file in ("main.py", "Pipfile.lock", "pyproject.toml", ".gitignore"):
            shutil.copy(PROJECT / file, directory / file)
        (directory / ".build").mkdir()
        (directory / ".build" / "dependencies").symlink_to(PROJECT / ".build" / "dependencies")
        (directory / "node_modules").symlink_to(PROJECT / "node_modules")

    def change_handler(self, code: str) -> None:
        """Sets the health function's handler to the project's handler followed by this code."""
        original = (PROJECT / "lambdas" / "health" / "handler.py").read_text()
        (self.directory / "lambdas" / "health" / "handler.py").write_text(original + code)

    def commit(self) -> str:
        """Commits all files and returns the commit's id."""
        author = ("-c", "user.name=Operator", "-c", "user.email=operator@example.com")
        for command in (
            ("init", "--quiet"),
            ("add", "--all"),
            (*author, "commit", "--quiet", "--message=All"),
        ):
            subprocess.run(["git", *command], cwd=self.directory, check=True)
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=self.directory,
            check=True,
            capture_output=True,
            text=True,
        )
        return result.stdout.strip()

    def start_ops(
        self, *arguments: str, stdin: int | None = None, stderr: int = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        return self._start_process(arguments, {}, stdin, stderr)

    def _start_process(
        self,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        stdin: int | None = None,
        stderr: int = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        environment = {**os.environ, **self._variables, **variables}
        return subprocess.Popen(
            [sys.executable, "-m", "ops", *arguments, "--root", str(self._platform.root)],
            cwd=self.directory,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def run_ops(self, *arguments: str, status: int = 0, **variables: str) -> tuple[str, str]:
        """Runs an `ops` command, and returns its standard output and standard error."""
        process = self._start_process(arguments, variables)
        stdout, stderr = process.communicate(timeout=300)
        assert process.returncode == status, (
            f"ops {' '.join(arguments)}: {process.returncode}: {stderr[-3000:]}"
        )
        return stdout, stderr


class AwsAccount(Protocol):
    """An AWS account, with or without a deployed platform."""

    @property
    def cloud(self) -> Cloud:
        """The account's AWS clients, which use the root key."""

    def aws(self, service: str) -> Any:
        """Returns a boto3 client with the root key."""


@dataclass(frozen=True)
class EmptyCloud:
    """An embedded cloud without a deployed platform."""

    cloud: Cloud

    def aws(self, service: str) -> Any:
        return self.cloud.client(service)


@contextmanager
def create_operator(
    platform: AwsAccount,
    name: str,
    policies: Sequence[str] = ("operator",),
    *,
    environment: str = "local",
    state_key: str | None = None,
    extra_actions: Sequence[str] = (),
) -> Iterator[str]:
    """Creates a role with policies of docs/policies/ for an environment, and yields its ARN.

    Args:
        state_key: the S3 key of the environment's state, if it is not the default.
        extra_actions: actions that the role may call on all resources, in addition to those of
            the policies. They are necessary because the embedded AWS checks permissions
            differently from AWS.
    """
    bucket = platform.cloud.environment.state.bucket
    documents = {
        policy: _render_policy(policy, environment, state_key, bucket) for policy in policies
    }
    with create_role(
        platform, name, {**documents, **({"extra": extra_actions} if extra_actions else {})}
    ) as arn:
        yield arn


def _render_policy(policy: str, environment: str, state_key: str | None, bucket: str) -> str:
    text = (POLICIES / f"{policy}.json").read_text()
    text = text.replace("multitask-terraform-state-<account>", bucket)
    if state_key:
        text = text.replace("multitask-platform/<environment>/terraform.tfstate", state_key)
    for name, value in (
        ("environment", environment),
        ("account", "000000000000"),
        ("region", "us-east-1"),
    ):
        text = text.replace(f"<{name}>", value)
    return text


@contextmanager
def create_role(
    platform: AwsAccount,
    name: str,
    policies: Mapping[str, str | Sequence[str]],
    attached: Sequence[str] = (),
) -> Iterator[str]:
    """Creates a role that the embedded AWS's root user may assume. Yields its ARN.

    Args:
        policies: policy documents, or actions that are allowed on all resources.
        attached: ARNs of managed policies.
    """
    iam = platform.aws("iam")
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
        "Action": "sts:AssumeRole",
    }
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_format_policy(trust))["Role"][
        "Arn"
    ]
    try:
        for policy, content in policies.items():
            document = (
                content
                if isinstance(content, str)
                else _format_policy({"Effect": "Allow", "Action": list(content), "Resource": "*"})
            )
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=document)
        for policy in attached:
            iam.attach_role_policy(RoleName=name, PolicyArn=policy)
        yield arn
    finally:
        for policy in policies:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        for policy in attached:
            iam.detach_role_policy(RoleName=name, PolicyArn=policy)
        iam.delete_role(RoleName=name)


@contextmanager
def collect_alerts(platform: Platform) -> Iterator[list[Any]]:
    """Yields a list. At the end of the block, adds the alerts that commands have published."""
    sns, sqs = platform.aws("sns"), platform.aws("sqs")
    messages: list[Any] = []
    url = sqs.create_queue(QueueName="alerts-test")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:*",
        "Resource": queue,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    topic = sns.subscribe(
        TopicArn=platform.outputs["alerts_topic_arn"],
        Protocol="sqs",
        Endpoint=queue,
        ReturnSubscriptionArn=True,
    )
    try:
        yield messages
        while received := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=1, WaitTimeSeconds=1
        ).get("Messages"):
            message = json.loads(received[0]["Body"])
            # Skips the messages of alarms and budgets, which do not have the attribute `state`.
            if "state" in message.get("MessageAttributes", {}):
                messages.append(message)
            sqs.delete_message(QueueUrl=url, ReceiptHandle=received[0]["ReceiptHandle"])
    finally:
        sns.unsubscribe(SubscriptionArn=topic["SubscriptionArn"])
        sqs.delete_queue(QueueUrl=url)


def _format_policy(statement: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
