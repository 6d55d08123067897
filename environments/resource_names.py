"""Names that both the stack and the operator's commands use.

A command reads most names from Terraform's outputs. This module has the other names: those that a
command needs before the first apply, and those that Terraform does not output.
"""

from __future__ import annotations

PREFIX = "multitask"
PROJECT = "multitask-platform"
"""The value of the Project tag, and the prefix of the dashboard's and the budget's name."""
ALIAS = "live"
"""The alias that each Lambda function has. API Gateway and the event sources invoke the alias."""
UNSET = "unset"
"""The value of an API key before an operator stores a key. Lambda functions treat this value
as a missing key."""
DATABASE_MASTER = PREFIX
"""The master user, which owns the database. Migrations create all other roles."""
API_LOGGING_ROLE = f"{PREFIX}-api-gateway-logging"
"""The role that API Gateway writes logs with. It exists once per account."""
API_LOGGING_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
"""The AWS managed policy of API_LOGGING_ROLE."""
GITHUB_ISSUER = "token.actions.githubusercontent.com"
"""The issuer of the identity tokens of GitHub's workflows."""
DEFAULT_REGION = "us-east-1"
"""The default region of an environment."""
GLOBAL_REGION = "us-east-1"
"""The only region that has CloudFront's certificates and metrics, and AWS's billing data."""

SERVICE_LINKED_ROLES = [
    f"{service}.amazonaws.com"
    for service in (
        "dynamodb.application-autoscaling",
        "elasticache",
        "email.cognito-idp",
        "ops.apigateway",
        "rds",
        "wafv2",
    )
]
"""Services for which AWS creates a service-linked role when an account first uses them."""
BUCKETS = (
    ("platform", "access-logs"),
    ("profile", "avatars"),
    ("chat", "attachments"),
    ("platform", "backups"),
    ("platform", "frontend"),
    ("platform", "artifacts"),
)
"""All buckets of an environment, as pairs of service and resource (see `bucket_name`)."""


def resource_name(service: str, resource: str, environment: str) -> str:
    """Returns a resource name in the specified pattern, for example `auth-lambda-prod`."""
    return f"{service}-{resource}-{environment}"


def bucket_name(service: str, resource: str, environment: str, suffix: str | None) -> str:
    """Returns a bucket's name, which ends in `suffix` to be globally unique."""
    name = resource_name(service, f"{resource}-bucket", environment)
    return f"{name}-{suffix}" if suffix else name


def ledger_table(environment: str) -> str:
    """Returns the name of the DynamoDB table with the release ledger and the lock."""
    return resource_name("platform", "releases", environment)


def topic_name(purpose: str, environment: str) -> str:
    """Returns the name of an SNS topic, for example `multitask-alerts-prod`."""
    return f"{PREFIX}-{purpose}-{environment}"


def database_name(environment: str) -> str:
    """Returns the name of the PostgreSQL database."""
    return f"{PREFIX}_{environment}"


def access_log_group(api: str, environment: str) -> str:
    """Returns the log group with the access log of an API (`api` for REST, or `websocket`)."""
    return f"/aws/apigateway/{resource_name('platform', api, environment)}"
