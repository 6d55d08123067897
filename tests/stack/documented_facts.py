"""The facts that the specification documents, as one table for comparison with the stacks.

The facts are copied from the specification, never from the program's output. A comment with
"Corrected" explains why a value deviates from the specification. `where` contains the arguments
that identify a resource. `facts` maps paths in the resource to expected values
(`stacks.find_value` explains paths). `{env}` is replaced by the environment's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lambdas.route_tables import SERVICES as ALL_SERVICES

ENVIRONMENTS = ("dev", "staging", "prod")
COMMON_RULES = "rule.name=AWSManagedRulesCommonRuleSet"
SERVICES = ("auth", "profile", "chat", "post", "catalog", "ai")
FUNCTIONS = (*SERVICES, "authorizer", "health", "migration", "relay", "statistics", "delivery")
ADDED = tuple(name for name in ALL_SERVICES if name not in FUNCTIONS)
"""Services that the specification does not contain, for example those of `ops new service`."""


@dataclass(frozen=True)
class PerEnv:
    """A value that depends on the environment."""

    dev: Any
    staging: Any
    prod: Any


@dataclass(frozen=True)
class Containing:
    """A list or mapping that contains at least these elements or entries."""

    elements: Any


@dataclass(frozen=True)
class Reference:
    """A reference to an attribute of the resource with this type and these values."""

    type: str
    where: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Documented:
    """A documented resource and its documented values."""

    type: str
    where: Mapping[str, Any]
    facts: Mapping[str, Any]
    environments: tuple[str, ...] = ENVIRONMENTS


@dataclass(frozen=True)
class Count:
    """The documented number of resources of a type."""

    type: str
    where: Mapping[str, Any]
    number: int | PerEnv


def table(name: str, hash_key: str, *facts: Mapping[str, Any]) -> Documented:
    """Returns a DynamoDB table that is billed on demand, and protected from deletion in prod."""
    shared = {
        "hash_key": hash_key,
        "range_key": None,
        "billing_mode": "PAY_PER_REQUEST",
        f"attribute.name={hash_key}.type": "S",
        "deletion_protection_enabled": PerEnv(False, False, True),
        "lifecycle.prevent_destroy": PerEnv(None, None, True),
    }
    merged = {path: value for part in (shared, *facts) for path, value in part.items()}
    return Documented("aws_dynamodb_table", {"name": f"{name}-{{env}}"}, merged)


def index(name: str, hash_key: str, range_key: str | None = None) -> dict[str, Any]:
    """Returns the facts of a table's index. Every index projects all attributes."""
    start = f"global_secondary_index.name={name}"
    facts: dict[str, Any] = {
        f"{start}.hash_key": hash_key,
        f"{start}.range_key": range_key,
        f"{start}.projection_type": "ALL",
    }
    keys = (hash_key, range_key) if range_key else (hash_key,)
    return facts | {f"attribute.name={key}.type": "S" for key in keys}


STREAM = {"stream_enabled": True, "stream_view_type": "NEW_AND_OLD_IMAGES"}
ALWAYS_RECOVERABLE = {"point_in_time_recovery.enabled": True}
# The specification requires recovery in prod, and says that staging uses all mechanisms of prod.
RECOVERABLE_BY_ENVIRONMENT = {"point_in_time_recovery.enabled": PerEnv(False, True, True)}

TABLES = [
    table(
        "auth-sessions",
        "session_id",
        index("user-id-index", "user_id"),
        STREAM,
        ALWAYS_RECOVERABLE,
        {"ttl.attribute_name": "expires_at", "ttl.enabled": True},
    ),
    table("profile-profiles", "user_id", STREAM, ALWAYS_RECOVERABLE),
    table(
        "chat-messages",
        "message_id",
        index("room-messages-index", "room_id", "timestamp"),
        STREAM,
        RECOVERABLE_BY_ENVIRONMENT,
    ),
    table("chat-rooms", "room_id", index("room-type-index", "type"), RECOVERABLE_BY_ENVIRONMENT),
    table(
        "post-posts",
        "post_id",
        # Corrected: with created_at as hash key, a query returns only posts with equal times.
        index("timeline-index", "timeline_bucket", "created_at"),
        index("author-posts-index", "author_id", "created_at"),
        STREAM,
        RECOVERABLE_BY_ENVIRONMENT,
    ),
    table(
        "post-comments",
        "comment_id",
        index("post-comments-index", "post_id", "created_at"),
        STREAM,
        RECOVERABLE_BY_ENVIRONMENT,
    ),
]

# Functions that are not listed have 512 MB of memory and a timeout of 30 s. The reserved
# concurrency is the environment's limit, or the service's documented value if that is lower. None
# means that the function has no reserved concurrency.
MEMORY = {"chat": 1024}
TIMEOUT = {"auth": 10, "migration": 300}
RESERVED = {
    **dict.fromkeys(SERVICES, PerEnv(5, 20, 100)),
    "auth": PerEnv(5, 20, 20),
    **dict.fromkeys(("authorizer", "health", "migration", "relay", "statistics", "delivery"), None),
}
PROVISIONED = {**dict.fromkeys(SERVICES, 10), "chat": 5}
"""Provisioned concurrency by function in prod."""
VARIABLES: dict[str, dict[str, Any]] = {
    "auth": {
        "COGNITO_USER_POOL_ID": Reference("aws_cognito_user_pool"),
        "COGNITO_CLIENT_ID": Reference("aws_cognito_user_pool_client"),
        "DYNAMODB_TABLE_SESSIONS": "auth-sessions-{env}",
        "JWT_SECRET_PARAMETER": "/multitask/{env}/jwt-secret",
    },
    "profile": {
        "DYNAMODB_TABLE_PROFILES": "profile-profiles-{env}",
        "S3_BUCKET_AVATARS": "profile-avatars-bucket-{env}",
        "CLOUDFRONT_DOMAIN": PerEnv(
            "cdn-dev.multitask.com", "cdn-staging.multitask.com", "cdn.multitask.com"
        ),
    },
    "chat": {
        "DYNAMODB_TABLE_MESSAGES": "chat-messages-{env}",
        "DYNAMODB_TABLE_ROOMS": "chat-rooms-{env}",
        "ELASTICACHE_CLUSTER": Reference("aws_elasticache_replication_group"),
        "WEBSOCKET_API_ENDPOINT": Reference("aws_apigatewayv2_api"),
    },
    "post": {
        "DYNAMODB_TABLE_POSTS": "post-posts-{env}",
        "DYNAMODB_TABLE_COMMENTS": "post-comments-{env}",
        # Corrected together with the timeline's index: the number of partitions of a month.
        "TIMELINE_SHARDS": PerEnv("1", "1", "4"),
    },
    "catalog": {
        "RDS_ENDPOINT": Reference("aws_rds_cluster"),
        "RDS_DATABASE": "multitask_{env}",
        "RDS_USERNAME": "catalog",
        # Corrected: IAM authentication instead of a password.
        "RDS_PASSWORD": None,
    },
    "ai": {
        "GEMINI_API_KEY_PARAMETER": "/multitask/{env}/gemini-api-key",
        "OPENAI_API_KEY_PARAMETER": "/multitask/{env}/openai-api-key",
        # Corrected: variables contain the names of secrets, never their values.
        "GEMINI_API_KEY": None,
        "OPENAI_API_KEY": None,
    },
    "authorizer": {"JWT_SECRET_PARAMETER": "/multitask/{env}/jwt-secret", "JWT_SECRET": None},
    "health": {"RDS_ENDPOINT": Reference("aws_rds_cluster")},
    "migration": {"MIGRATION_STATE_TABLE": "migration-state-{env}"},
    # The specification does not document the relay, statistics and delivery functions. They process
    # events and frames of other functions.
    "relay": {
        "DYNAMODB_TABLE_OUTBOX": "platform-outbox-{env}",
        "EVENT_BUS_NAME": Reference("aws_cloudwatch_event_bus"),
    },
    "statistics": {"DYNAMODB_TABLE_PROFILES": "profile-profiles-{env}"},
    "delivery": {
        "DYNAMODB_TABLE_MESSAGES": "chat-messages-{env}",
        "DYNAMODB_TABLE_MEMBERS": "chat-members-{env}",
        "DYNAMODB_TABLE_AUTHORS": "platform-authors-{env}",
        "S3_BUCKET_ATTACHMENTS": "chat-attachments-bucket-{env}",
        "ELASTICACHE_CLUSTER": Reference("aws_elasticache_replication_group"),
        "WEBSOCKET_API_ENDPOINT": Reference("aws_apigatewayv2_api"),
    },
}


def function(name: str) -> list[Documented]:
    """Returns a function, its alias, log group, role, and provisioned concurrency."""
    where = {"function_name": f"{name}-lambda-{{env}}"}
    common = {
        "STAGE": "{env}",
        "REGION": "us-east-1",
        "LOG_LEVEL": PerEnv("DEBUG", "INFO", "INFO"),
        "CORS_ORIGINS": PerEnv(
            "*", "https://staging.multitask.com", "https://multitask.com,https://www.multitask.com"
        ),
        "RATE_LIMIT_ENABLED": PerEnv("false", "true", "true"),
    }
    facts = {
        "runtime": "python3.13",  # corrected: AWS has retired go1.x, the documented runtime
        "architectures": ["arm64"],
        "memory_size": MEMORY.get(name, 512),
        "timeout": TIMEOUT.get(name, 30),
        "reserved_concurrent_executions": RESERVED[name],
        "tracing_config.mode": "Active",
        "role": Reference(
            "aws_iam_role", {"name": f"{name}-role-{{env}}"}
        ),  # corrected: each function has a separate role
        **{
            f"environment.variables.{key}": value
            for key, value in {**common, **VARIABLES[name]}.items()
        },
    }
    documented = [
        Documented("aws_lambda_function", where, facts),
        Documented("aws_lambda_alias", where, {"name": "live"}),
        Documented(
            "aws_cloudwatch_log_group",
            {"name": f"/aws/lambda/{name}-lambda-{{env}}"},
            {"retention_in_days": PerEnv(7, 30, 365)},
        ),
        Documented(
            "aws_iam_role",
            {"name": f"{name}-role-{{env}}"},
            {"assume_role_policy|json.Statement.Principal.Service": "lambda.amazonaws.com"},
        ),
    ]
    if name in PROVISIONED:
        warm = {
            "provisioned_concurrent_executions": PerEnv(None, 1, PROVISIONED[name]),
            "qualifier": "live",
        }
        documented.append(
            Documented(
                "aws_lambda_provisioned_concurrency_config", where, warm, ("staging", "prod")
            )
        )
    return documented


def bucket(name: str, **lifecycle: Any) -> list[Documented]:
    """Returns a private, encrypted and versioned bucket, and its lifecycle rules."""
    where = {"bucket": f"{name}-{{env}}"}
    blocked = dict.fromkeys(
        (
            "block_public_acls",
            "block_public_policy",
            "ignore_public_acls",
            "restrict_public_buckets",
        ),
        True,
    )
    encryption = "rule.apply_server_side_encryption_by_default.sse_algorithm"
    return [
        Documented("aws_s3_bucket", where, {"force_destroy": PerEnv(True, True, False)}),
        Documented("aws_s3_bucket_public_access_block", where, blocked),
        Documented(
            "aws_s3_bucket_versioning", where, {"versioning_configuration.status": "Enabled"}
        ),
        Documented(
            "aws_s3_bucket_server_side_encryption_configuration", where, {encryption: "AES256"}
        ),
        *(
            [Documented("aws_s3_bucket_lifecycle_configuration", where, lifecycle)]
            if lifecycle
            else []
        ),
    ]


# Corrected: CloudFront cannot serve objects in GLACIER, and expiration deletes pictures in use.
SERVED = {
    "rule.id=age.transition.storage_class=STANDARD_IA.days": 30,
    "rule.id=age.transition.storage_class=GLACIER_IR.days": 90,
    "rule.id=age.expiration": None,
}
ARCHIVED = {
    "rule.id=age.transition.storage_class=STANDARD_IA.days": 30,
    "rule.id=age.transition.storage_class=GLACIER.days": 90,
    "rule.id=age.expiration.days": 2555,
}


IN_VPC = ("chat", "catalog", "migration", "health")
"""The functions in the VPC."""


def security_group(name: str) -> Reference:
    """Returns a reference to the security group of a function or a data store."""
    return Reference("aws_security_group", {"name": f"{name}-security-group-{{env}}"})


def domain(name: str) -> PerEnv:
    """Returns a domain name of the platform in each environment."""
    return PerEnv(
        f"{name}-dev.multitask.com", f"{name}-staging.multitask.com", f"{name}.multitask.com"
    )


DOCUMENTED: list[Documented] = [
    *TABLES,
    *(item for name in FUNCTIONS for item in function(name)),
    *bucket("profile-avatars-bucket", **SERVED),
    *bucket("chat-attachments-bucket", **SERVED),
    *bucket("platform-backups-bucket", **ARCHIVED),
    *bucket("platform-frontend-bucket"),
    *bucket("platform-access-logs-bucket", **ARCHIVED),
    # security
    Documented(
        "aws_cognito_user_pool",
        {},
        {
            "username_attributes": ["email"],
            "auto_verified_attributes": ["email"],
            "password_policy.minimum_length": 8,
            "password_policy.require_lowercase": True,
            "password_policy.require_uppercase": True,
            "password_policy.require_numbers": True,
            "password_policy.require_symbols": True,
            "account_recovery_setting.recovery_mechanism.name": "verified_email",
            "admin_create_user_config.allow_admin_create_user_only": False,
            "verification_message_template.email_subject": (
                "Verify your email for Multitask Platform"
            ),
            "verification_message_template.email_message": "Your verification code is {####}",
            "deletion_protection": PerEnv("INACTIVE", "INACTIVE", "ACTIVE"),
        },
    ),
    Documented(
        "aws_cognito_user_pool_client",
        {},
        {"generate_secret": False, "explicit_auth_flows": ["ALLOW_ADMIN_USER_PASSWORD_AUTH"]},
    ),
    Documented(
        "aws_cognito_user_group",
        {"name": "moderator"},
        {"user_pool_id": Reference("aws_cognito_user_pool")},
    ),
    Documented(
        "aws_cognito_user_group",
        {"name": "admin"},
        {"user_pool_id": Reference("aws_cognito_user_pool")},
    ),
    Documented(
        "aws_wafv2_web_acl",
        {"name": "multitask-waf-{env}"},
        {
            "scope": "REGIONAL",
            "default_action.allow": {},
            f"{COMMON_RULES}.priority": 2,
            f"{COMMON_RULES}.override_action.none": {},
            f"{COMMON_RULES}.statement.managed_rule_group_statement.vendor_name": "AWS",
            f"{COMMON_RULES}.statement.managed_rule_group_statement.name": (
                "AWSManagedRulesCommonRuleSet"
            ),
            f"{COMMON_RULES}.visibility_config.metric_name": "CommonRuleSetMetric",
            f"{COMMON_RULES}.visibility_config.sampled_requests_enabled": True,
            f"{COMMON_RULES}.visibility_config.cloudwatch_metrics_enabled": True,
        },
    ),
    Documented(
        "aws_wafv2_web_acl",
        {"name": "multitask-waf-{env}"},
        {
            "rule.name=RateLimitRule.priority": 1,
            "rule.name=RateLimitRule.statement.rate_based_statement.limit": 1000,
            "rule.name=RateLimitRule.statement.rate_based_statement.aggregate_key_type": "IP",
            "rule.name=RateLimitRule.action.block.custom_response.response_code": 429,
            "rule.name=RateLimitRule.visibility_config.metric_name": "RateLimitRule",
            "rule.name=RateLimitRule.visibility_config.sampled_requests_enabled": True,
            "rule.name=RateLimitRule.visibility_config.cloudwatch_metrics_enabled": True,
        },
        ("staging", "prod"),
    ),
    Documented(
        "aws_wafv2_web_acl",
        {"name": "multitask-waf-{env}"},
        {"rule.name=RateLimitRule": None},
        ("dev",),
    ),
    Documented("aws_kms_key", {}, {"enable_key_rotation": True}),
    # networking
    Documented(
        "aws_vpc",
        {},
        {"cidr_block": "10.0.0.0/16", "enable_dns_hostnames": True, "enable_dns_support": True},
    ),
    # Corrected: one group for each function in the VPC, because only some need the database.
    *(
        Documented(
            "aws_security_group",
            {"name": f"{name}-security-group-{{env}}"},
            {"vpc_id": Reference("aws_vpc")},
        )
        for name in (*IN_VPC, "database", "cache")
    ),
    *(
        Documented(
            "aws_vpc_security_group_egress_rule",
            {"security_group_id": security_group(name)},
            {"ip_protocol": "-1", "cidr_ipv4": "0.0.0.0/0"},
        )
        # Corrected: health and migration may reach only the services that they use.
        for name in ("chat", "catalog")
    ),
    *(
        Documented(
            "aws_vpc_security_group_ingress_rule",
            {
                "security_group_id": security_group("database"),
                "referenced_security_group_id": security_group(name),
            },
            {"from_port": 5432, "to_port": 5432, "ip_protocol": "tcp", "cidr_ipv4": None},
        )
        for name in ("catalog", "migration", "health")
    ),
    # databases
    Documented(
        "aws_rds_cluster",
        {},
        {
            "engine": "aurora-postgresql",
            "database_name": "multitask_{env}",
            "serverlessv2_scaling_configuration.min_capacity": PerEnv(0.5, 0.5, 2),
            "serverlessv2_scaling_configuration.max_capacity": PerEnv(1, 4, 16),
            "manage_master_user_password": True,
            "master_password": None,
            "storage_encrypted": True,
            "iam_database_authentication_enabled": True,
            "deletion_protection": PerEnv(False, False, True),
        },
    ),
    Documented(
        "aws_elasticache_replication_group",
        {},
        {
            "at_rest_encryption_enabled": "true",
            "transit_encryption_enabled": True,
            "auth_token": None,
        },
    ),
    # APIs
    Documented("aws_api_gateway_rest_api", {}, {"endpoint_configuration.types": ["EDGE"]}),
    Documented("aws_api_gateway_stage", {}, {"stage_name": "{env}", "xray_tracing_enabled": True}),
    Documented("aws_api_gateway_domain_name", {}, {"domain_name": domain("api")}),
    Documented(
        "aws_apigatewayv2_api",
        {},
        {"protocol_type": "WEBSOCKET", "route_selection_expression": "$request.body.action"},
    ),
    Documented("aws_apigatewayv2_domain_name", {}, {"domain_name": domain("ws")}),
    Documented("aws_apigatewayv2_stage", {}, {"name": "{env}"}),
    *(
        Documented(
            "aws_apigatewayv2_route",
            {"route_key": route},
            {"target": Reference("aws_apigatewayv2_integration")},
        )
        for route in (
            "$connect",
            "$disconnect",
            "$default",
            "join_room",
            "leave_room",
            "send_message",
        )
    ),
    # edge
    Documented("aws_cloudfront_distribution", {"aliases": [domain("cdn")]}, {"enabled": True}),
    Documented(
        "aws_cloudfront_distribution",
        {
            "aliases": PerEnv(
                ["dev.multitask.com"],
                ["staging.multitask.com"],
                ["multitask.com", "www.multitask.com"],
            )
        },
        {"enabled": True, "viewer_certificate.minimum_protocol_version": "TLSv1.2_2021"},
    ),
    # events
    Documented("aws_cloudwatch_event_bus", {}, {"name": "multitask-events-{env}"}),
    Documented(
        "aws_sns_topic",
        {"name": "multitask-alerts-{env}"},
        {"kms_master_key_id": Reference("aws_kms_key")},
    ),
    # monitoring and cost
    Documented(
        "aws_cloudwatch_metric_alarm",
        {"alarm_name": "multitask-high-error-rate-{env}"},
        {
            "evaluation_periods": 2,
            "threshold": 10,
            "comparison_operator": "GreaterThanThreshold",
            "alarm_actions": [Reference("aws_sns_topic", {"name": "multitask-alerts-{env}"})],
        },
    ),
    *(
        Documented(
            "aws_cloudwatch_metric_alarm",
            {"alarm_name": f"{name}-errors-alarm-{{env}}"},
            {
                "namespace": "AWS/Lambda",
                "metric_name": "Errors",
                "statistic": "Sum",
                "period": 300,
                "evaluation_periods": 2,
                "threshold": 10,
                "comparison_operator": "GreaterThanThreshold",
                "dimensions.FunctionName": f"{name}-lambda-{{env}}",
            },
        )
        for name in FUNCTIONS
    ),
    *(
        Documented(
            "aws_xray_group", {"group_name": f"{name}-service-{{env}}"}, {"tags.Service": name}
        )
        for name in SERVICES
    ),
    Documented(
        "aws_budgets_budget",
        {"name": "multitask-platform-{env}"},
        {
            "budget_type": "COST",
            # Corrected: the documented sizes cost more than the documented 100 USD.
            "limit_amount": PerEnv("200", "250", "1200"),
            "limit_unit": "USD",
            "time_unit": "MONTHLY",
            # Corrected: TagKey and TagValue are not valid filters.
            "cost_filter.name": "TagKeyValue",
            "cost_filter.values": ["user:Environment${env}"],
            "notification.notification_type=ACTUAL.threshold": 80,
            "notification.notification_type=ACTUAL.threshold_type": "PERCENTAGE",
            "notification.notification_type=ACTUAL.comparison_operator": "GREATER_THAN",
        },
    ),
    # migration
    Documented(
        "aws_cloudwatch_event_rule",
        {"name": "migration-schedule-{env}"},
        {"schedule_expression": "rate(1 day)", "state": "DISABLED"},
    ),
    Documented(
        "aws_cloudwatch_event_target",
        {"rule": "migration-schedule-{env}"},
        {"arn": Reference("aws_lambda_alias", {"function_name": "migration-lambda-{env}"})},
    ),
    # secrets
    *(
        Documented(
            "aws_ssm_parameter",
            {"name": f"/multitask/{{env}}/{key}"},
            {"type": "SecureString", "value": None},
        )
        for key in ("jwt-secret", "cursor-key", "gemini-api-key", "openai-api-key")
    ),
]

COUNTS = [
    Count(
        "aws_rds_cluster_instance", {"instance_class": "db.serverless"}, PerEnv(1, 1, 2)
    ),  # Multi-AZ in production
    Count("aws_rds_cluster_instance", {}, PerEnv(1, 1, 2)),
    Count("aws_nat_gateway", {}, PerEnv(1, 1, 3)),
    Count(
        "aws_vpc_security_group_ingress_rule", {"security_group_id": security_group("database")}, 3
    ),
    Count("aws_subnet", {"map_public_ip_on_launch": True}, 0),
    Count("aws_lambda_function", {}, len(FUNCTIONS) + len(ADDED)),
    Count(
        "aws_lambda_provisioned_concurrency_config",
        {},
        PerEnv(0, len(SERVICES) + len(ADDED), len(SERVICES) + len(ADDED)),
    ),
    # No email address receives alerts by default.
    Count("aws_sns_topic_subscription", {"protocol": "email"}, 0),
    Count("aws_appautoscaling_target", {}, 0),  # tables are billed on demand
    Count("aws_route53_zone", {}, 0),  # the zone exists outside the stack
    Count("aws_iam_user", {}, 0),
]

SETTINGS: dict[str, Any] = {
    # Corrected: bucket names are global, so each account needs a different name.
    "terraform.backend.s3.bucket": PerEnv(
        "multitask-terraform-state-111122223333",
        "multitask-terraform-state-444455556666",
        "multitask-terraform-state-123456789012",
    ),
    "terraform.backend.s3.key": "multitask-platform/{env}/terraform.tfstate",
    "terraform.backend.s3.region": "us-east-1",
    "terraform.backend.s3.encrypt": True,
    "terraform.backend.s3.use_lockfile": True,
    "terraform.required_providers.aws.source": "hashicorp/aws",
    "terraform.required_providers.aws.version": "5.100.0",  # satisfies the documented ~> 5.0
    "data": None,  # a plan reads no existing resources
}
"""Values outside of the stack's resources, by path."""

TERRAFORM_VERSION = ">= 1.11"
"""Corrected: the first version with lock files in S3 and write-only arguments."""

PROVIDER = {
    "region": "us-east-1",
    "default_tags.tags": {
        "Project": "multitask-platform",
        "Environment": "{env}",
        "ManagedBy": "terraform",
    },
}
"""Arguments of every AWS provider."""

BEHIND_AUTHORIZER = (
    *("/v1/profile", "/v1/chat", "/v1/posts", "/v1/catalog", "/v1/ai"),
    *(f"/v1/{service}" for service in ADDED),
)
"""Paths whose requests, except preflights, need a token."""

ROUTES = {
    f"{path}{below}": {"ANY", "OPTIONS"}
    for path in BEHIND_AUTHORIZER
    for below in ("", "/{proxy+}")
} | {
    "/v1/auth": {"ANY"},
    "/v1/auth/{proxy+}": {"ANY"},
    "/health": {"ANY"},
    "": {"ANY"},
    "/{proxy+}": {"ANY"},
}
"""The paths and methods of the REST API. Corrected: /health accepts every method, so that it can
return 405, and unknown paths return 404."""

HEALTH_TABLES = {"auth-sessions-{env}", "profile-profiles-{env}"}
"""The tables that the health check must include."""

DASHBOARD = {
    "AWS/Lambda": {"Invocations", "Errors", "Duration"},
    "AWS/DynamoDB": {"ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"},
}
"""Metrics of every function and table on the dashboard `multitask-platform-<env>`."""
