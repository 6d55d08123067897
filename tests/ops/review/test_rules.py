"""Tests that every rule of rules.yml matches the intended changes and no others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ops.review.review import Review, review
from ops.review.rules import Rules, Verdict, judge, load_rules
from ops.terraform.plan import Action, Change, Plan
from ops.terraform.plan_values import UNKNOWN, masked
from ops.terraform.policies import compare

Values = dict[str, Any]
CREATE, UPDATE, REPLACE, DESTROY = Action.CREATE, Action.UPDATE, Action.REPLACE, Action.DESTROY
SUPERSEDE = Action.SUPERSEDE
S, R, D, I = Verdict.SAFE, Verdict.REVIEW, Verdict.DANGEROUS, Verdict.IRREVERSIBLE  # noqa: E741

TABLE, CLUSTER, BUCKET = "aws_dynamodb_table", "aws_rds_cluster", "aws_s3_bucket"
ACCESS, INGRESS = "aws_s3_bucket_public_access_block", "aws_vpc_security_group_ingress_rule"
LIFECYCLE, ALARM, FUNCTION = (
    "aws_s3_bucket_lifecycle_configuration",
    "aws_cloudwatch_metric_alarm",
    "aws_lambda_function",
)
CACHE, POOL, ROLE = "aws_elasticache_replication_group", "aws_cognito_user_pool", "aws_iam_role"
DISTRIBUTION, SETTINGS = "aws_cloudfront_distribution", "aws_api_gateway_method_settings"
VERSIONING, CORS = "aws_s3_bucket_versioning", "aws_s3_bucket_cors_configuration"
ROUTE, API = "aws_apigatewayv2_route", "aws_apigatewayv2_api"
GROUP, FIREWALL = "aws_security_group", "aws_wafv2_web_acl"
CONCURRENCY = "aws_lambda_provisioned_concurrency_config"
PROVISIONED = "provisioned_concurrent_executions"
NONCURRENT_DAYS = "rule.noncurrent_version_expiration.noncurrent_days"
DEFAULT_PROTOCOL = "default_cache_behavior.viewer_protocol_policy"
ORDERED_PROTOCOL = "ordered_cache_behavior.viewer_protocol_policy"
SCALING = "serverlessv2_scaling_configuration"
ACU_1_TO_4, ACU_1_TO_8, ACU_2_TO_8 = (
    [{"min_capacity": low, "max_capacity": high}] for low, high in ((1, 4), (1, 8), (2, 8))
)


REST_API, PRIVATE = "aws_api_gateway_rest_api", ["PRIVATE"]
DATA_ACCESS, LISTENER = "aws_opensearchserverless_access_policy", "aws_lb_listener"
DELETES_DISK = "root_block_device.delete_on_termination"
MSK = "aws_msk_cluster"
MSK_ACCESS = "broker_node_group_info.connectivity_info.public_access.type"
IMAGES, GATEWAYS = "aws_ec2_image_block_public_access", "aws_vpc_block_public_access_options"
RATE_LIMIT = "rule.statement.rate_based_statement.limit"
COUNTRIES = "restrictions.geo_restriction.restriction_type"
CACHE_USER, ADMINISTRATOR = "aws_elasticache_user", "arn:aws:iam::aws:policy/AdministratorAccess"
BOUNDARY = "arn:aws:iam::111122223333:policy/boundary"
INDEXING = "aws_opensearchserverless_lifecycle_policy"
NEVER = '{"Rules": [{"NoMinIndexRetention": true}]}'
AFTER_A_DAY = '{"Rules": [{"MinIndexRetention": "1d"}]}'
ENCRYPTION = "aws_s3_bucket_server_side_encryption_configuration"
DEFAULT_ENCRYPTION = "rule.apply_server_side_encryption_by_default"
ATTACHMENT, AWS_POLICY = "aws_iam_role_policy_attachment", "arn:aws:iam::aws:policy"
KEY_POLICY, LOCKED_POLICY = (
    json.dumps(
        {
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": action,
                    "Resource": "*",
                    "Principal": {"AWS": "111122223333"},
                }
            ]
        }
    )
    for action in ("kms:*", "kms:Decrypt")
)


def values(path: str, value: Any) -> Values:
    """Returns the values of a resource with one attribute, which may be in a block (`a.b`)."""
    if value is None:
        return {}
    name, _, rest = path.partition(".")
    return {name: [values(rest, value)] if rest else value}


# Rule, verdict, type, action, attribute, old value (None if the resource is new), new value.
CASES: list[tuple[str, Verdict, str, Action, str, Any, Any]] = [
    ("stateful-destroyed", I, BUCKET, DESTROY, "bucket", "a", None),
    ("stateful-replaced", I, POOL, REPLACE, "name", "a", "b"),
    ("identity-replaced", D, "aws_api_gateway_rest_api", REPLACE, "name", "a", "b"),
    ("released", S, "aws_api_gateway_deployment", REPLACE, "triggers", "a", "b"),
    ("released", S, "aws_s3_object", REPLACE, "key", "a", "b"),
    ("new", S, TABLE, CREATE, "name", None, "a"),
    ("new", S, VERSIONING, CREATE, "bucket", None, UNKNOWN),
    ("released", S, "aws_s3_object", UPDATE, "source_hash", "a", "b"),
    ("public-address", D, "aws_lb", REPLACE, "internal", True, False),
    (
        "public-address",
        D,
        "aws_msk_cluster",
        UPDATE,
        MSK_ACCESS,
        "DISABLED",
        "SERVICE_PROVIDED_EIPS",
    ),
    ("public-address", D, IMAGES, UPDATE, "state", "block-new-sharing", "unblocked"),
    ("public-address", D, GATEWAYS, UPDATE, "internet_gateway_block_mode", "block-ingress", "off"),
    ("open-to-the-internet", R, INGRESS, CREATE, "cidr_ipv4", None, UNKNOWN),
    ("overwrites", R, "aws_ssm_parameter", CREATE, "overwrite", None, True),
    ("switched-off", D, "aws_ec2_serial_console_access", UPDATE, "enabled", False, True),
    ("tls", D, "aws_lb_listener", UPDATE, "protocol", "HTTPS", "HTTP"),
    ("tls", D, "aws_transfer_server", UPDATE, "protocols", ["SFTP"], ["SFTP", "FTP"]),
    ("encryption", D, "aws_eks_cluster", UPDATE, "encryption_config.resources", ["secrets"], []),
    ("firewall-rules", D, FIREWALL, UPDATE, RATE_LIMIT, 100, 10_000),
    ("firewall-rules", D, "aws_route53_resolver_firewall_rule", UPDATE, "action", "BLOCK", "ALERT"),
    ("restriction", D, DISTRIBUTION, UPDATE, COUNTRIES, "whitelist", "none"),
    ("restriction", D, "aws_lb", UPDATE, "desync_mitigation_mode", "strictest", "monitor"),
    ("restriction", D, CACHE_USER, UPDATE, "access_string", "on ~app:* +get", "on ~* +@all"),
    ("restriction", D, CACHE_USER, UPDATE, "access_string", "on ~* +@all -keys", "on ~* +@all"),
    (
        "restriction",
        D,
        ROLE,
        UPDATE,
        "permissions_boundary",
        "arn:aws:iam::1:policy/b",
        ADMINISTRATOR,
    ),
    ("retention", I, INDEXING, UPDATE, "policy", NEVER, AFTER_A_DAY),
    ("public-address", D, "aws_transfer_server", UPDATE, "endpoint_type", "VPC", "PUBLIC"),
    ("public-address", D, REST_API, UPDATE, "endpoint_configuration.types", PRIVATE, ["REGIONAL"]),
    ("public-grant", D, DATA_ACCESS, CREATE, "policy", None, '[{"Principal": ["*"]}]'),
    ("restriction", D, LISTENER, UPDATE, "default_action.type", "authenticate-oidc", "forward"),
    ("force-destroy", D, "aws_instance", UPDATE, DELETES_DISK, False, True),
    ("replica", I, TABLE, UPDATE, "replica", [{"region_name": "eu-west-1"}], []),
    ("created-only", R, CLUSTER, UPDATE, "database_name", "a", "b"),
    ("stopped", D, "aws_lb", DESTROY, "name", "a", None),
    ("stateful-superseded", D, TABLE, SUPERSEDE, "hash_key", "a", "b"),
    ("superseded", R, FUNCTION, SUPERSEDE, "function_name", "a", "b"),
    ("engine", I, CLUSTER, UPDATE, "engine_version", "16.8", "17.4"),
    ("engine", I, "aws_db_instance", UPDATE, "engine_version", "8.0.35", "8.4.3"),
    (
        "engine",
        I,
        "aws_opensearch_domain",
        UPDATE,
        "engine_version",
        "OpenSearch_1.3",
        "OpenSearch_2.11",
    ),
    ("engine", I, "aws_eks_cluster", UPDATE, "version", "1.30", "1.31"),
    ("engine", I, CACHE, UPDATE, "engine", "redis", "valkey"),
    ("engine", D, CLUSTER, UPDATE, "engine_version", "16.8", "16.9"),
    ("engine", D, "aws_msk_cluster", UPDATE, "kafka_version", "3.5.1", "3.6.0"),
    ("instance-replaced", D, "aws_rds_cluster_instance", REPLACE, "identifier", "a", "b"),
    ("deletion-protection", D, TABLE, UPDATE, "deletion_protection_enabled", True, False),
    ("deletion-protection", D, POOL, UPDATE, "deletion_protection", "ACTIVE", "INACTIVE"),
    ("final-snapshot", D, CLUSTER, UPDATE, "skip_final_snapshot", False, True),
    ("force-destroy", D, BUCKET, UPDATE, "force_destroy", False, True),
    ("point-in-time-recovery", D, TABLE, UPDATE, "point_in_time_recovery.enabled", True, False),
    ("encryption", D, CLUSTER, UPDATE, "storage_encrypted", True, False),
    ("encryption", D, CACHE, UPDATE, "at_rest_encryption_enabled", "true", "false"),
    ("encryption", D, CACHE, UPDATE, "transit_encryption_enabled", True, False),
    ("encryption", D, TABLE, UPDATE, "server_side_encryption", [{"enabled": True}], []),
    ("encryption", D, "aws_sqs_queue", UPDATE, "kms_master_key_id", "k", ""),
    ("encryption", D, "aws_cloudwatch_log_group", UPDATE, "kms_key_id", "k", ""),
    ("encryption-key", R, "aws_cloudwatch_log_group", UPDATE, "kms_key_id", "k", "l"),
    ("encryption-key", R, "aws_sqs_queue", UPDATE, "kms_master_key_id", "k", "l"),
    ("key-rotation", D, "aws_kms_key", UPDATE, "enable_key_rotation", True, False),
    ("recovery-window", D, "aws_kms_key", UPDATE, "deletion_window_in_days", 30, 7),
    ("recovery-window", D, "aws_secretsmanager_secret", UPDATE, "recovery_window_in_days", 30, 0),
    (
        "encryption",
        D,
        ENCRYPTION,
        UPDATE,
        f"{DEFAULT_ENCRYPTION}.sse_algorithm",
        "aws:kms:dsse",
        "aws:kms",
    ),
    (
        "encryption",
        D,
        ENCRYPTION,
        UPDATE,
        f"{DEFAULT_ENCRYPTION}.sse_algorithm",
        "aws:kms",
        "AES256",
    ),
    ("encryption", D, ENCRYPTION, UPDATE, f"{DEFAULT_ENCRYPTION}.kms_master_key_id", "k", ""),
    ("encryption", D, "aws_kinesis_stream", UPDATE, "encryption_type", "KMS", "NONE"),
    ("encryption", D, CACHE, UPDATE, "transit_encryption_mode", "required", "preferred"),
    (
        "tls",
        D,
        DISTRIBUTION,
        UPDATE,
        "viewer_certificate.minimum_protocol_version",
        "TLSv1.2_2021",
        "TLSv1",
    ),
    (
        "tls",
        D,
        DISTRIBUTION,
        UPDATE,
        "viewer_certificate.minimum_protocol_version",
        "TLSv1.2_2021",
        "TLSv1.2_2018",
    ),
    (
        "tls",
        D,
        "aws_lb_listener",
        UPDATE,
        "ssl_policy",
        "ELBSecurityPolicy-TLS13-1-2-2021-06",
        "ELBSecurityPolicy-2016-08",
    ),
    ("tls", D, "aws_api_gateway_domain_name", UPDATE, "security_policy", "TLS_1_2", "TLS_1_0"),
    (
        "tls",
        D,
        DISTRIBUTION,
        UPDATE,
        "origin.custom_origin_config.origin_ssl_protocols",
        ["TLSv1.2"],
        ["TLSv1.2", "SSLv3"],
    ),
    (
        "tls",
        D,
        DISTRIBUTION,
        UPDATE,
        "origin.custom_origin_config.origin_protocol_policy",
        "https-only",
        "match-viewer",
    ),
    (
        "parameter",
        D,
        "aws_rds_cluster_parameter_group",
        UPDATE,
        "parameter",
        [{"name": "rds.force_ssl", "value": "1"}],
        [{"name": "rds.force_ssl", "value": "0"}],
    ),
    (
        "parameter",
        D,
        "aws_db_parameter_group",
        UPDATE,
        "parameter",
        [{"name": "require_secure_transport", "value": "ON"}],
        [],
    ),
    ("firewall", D, DISTRIBUTION, UPDATE, "web_acl_id", "arn", ""),
    ("restriction", D, ROLE, UPDATE, "permissions_boundary", "arn", ""),
    ("restriction", D, "aws_api_gateway_method", UPDATE, "authorizer_id", "a", ""),
    ("restriction", D, CACHE, UPDATE, "user_group_ids", ["a"], []),
    (
        "restriction",
        D,
        "aws_instance",
        UPDATE,
        "metadata_options.http_tokens",
        "required",
        "optional",
    ),
    (
        "restriction",
        D,
        "aws_elasticache_user",
        UPDATE,
        "authentication_mode.type",
        "iam",
        "no-password-required",
    ),
    (
        "restriction",
        D,
        "aws_ecr_repository",
        UPDATE,
        "image_tag_mutability",
        "IMMUTABLE",
        "MUTABLE",
    ),
    (
        "restriction",
        D,
        "aws_s3_bucket_ownership_controls",
        UPDATE,
        "rule.object_ownership",
        "BucketOwnerEnforced",
        "ObjectWriter",
    ),
    (
        "restriction",
        D,
        "aws_s3_bucket_object_lock_configuration",
        UPDATE,
        "rule.default_retention.mode",
        "COMPLIANCE",
        "GOVERNANCE",
    ),
    (
        "logging",
        D,
        "aws_api_gateway_stage",
        UPDATE,
        "access_log_settings",
        [{"destination_arn": "a"}],
        [],
    ),
    (
        "logging",
        D,
        CLUSTER,
        UPDATE,
        "enabled_cloudwatch_logs_exports",
        ["audit", "error"],
        ["error"],
    ),
    ("protection", D, CLUSTER, UPDATE, "iam_database_authentication_enabled", True, False),
    ("protection", D, "aws_db_instance", UPDATE, "multi_az", True, False),
    ("protection", D, "aws_cloudtrail", UPDATE, "enable_log_file_validation", True, False),
    (
        "exposure",
        D,
        "aws_cognito_identity_pool",
        CREATE,
        "allow_unauthenticated_identities",
        None,
        True,
    ),
    ("exposure", D, "aws_eks_cluster", UPDATE, "vpc_config.endpoint_public_access", False, True),
    ("switched-off", D, DISTRIBUTION, UPDATE, "enabled", True, False),
    ("switched-off", D, "aws_lambda_event_source_mapping", UPDATE, "enabled", True, False),
    ("switched-off", D, TABLE, UPDATE, "stream_enabled", True, False),
    ("switched-off", D, "aws_scheduler_schedule", UPDATE, "state", "ENABLED", "DISABLED"),
    (
        "switched-off",
        D,
        "aws_s3_bucket_replication_configuration",
        UPDATE,
        "rule.status",
        "Enabled",
        "Disabled",
    ),
    (
        "switched-off",
        D,
        "aws_apigatewayv2_api",
        UPDATE,
        "disable_execute_api_endpoint",
        False,
        True,
    ),
    ("switched-off", D, "aws_ecs_service", UPDATE, "desired_count", 2, 0),
    ("concurrency", D, FUNCTION, UPDATE, "reserved_concurrent_executions", 5, 0),
    ("key-locked", D, "aws_kms_key", UPDATE, "bypass_policy_lockout_safety_check", False, True),
    ("key-locked", I, "aws_kms_key_policy", UPDATE, "policy", KEY_POLICY, LOCKED_POLICY),
    (
        "versioning",
        D,
        VERSIONING,
        UPDATE,
        "versioning_configuration.status",
        "Enabled",
        "Suspended",
    ),
    ("guard-removed", D, "aws_wafv2_web_acl_association", DESTROY, "resource_arn", "a", None),
    ("retention", I, "aws_cloudwatch_log_group", UPDATE, "retention_in_days", 0, 7),
    ("retention", I, "aws_cloudwatch_event_archive", UPDATE, "retention_days", 30, 7),
    ("retention", I, CLUSTER, UPDATE, "backup_retention_period", 35, 1),
    ("retention", I, CACHE, UPDATE, "snapshot_retention_limit", 7, 0),
    ("retention", I, "aws_sqs_queue", UPDATE, "message_retention_seconds", 1209600, 60),
    ("retention", I, "aws_cloudwatch_log_group", UPDATE, "retention_in_days", None, 7),
    ("retention", I, "aws_kinesis_stream", UPDATE, "retention_period", 48, 24),
    ("retention", I, "aws_backup_plan", UPDATE, "rule.lifecycle.delete_after", 30, 7),
    ("retention", I, LIFECYCLE, UPDATE, "rule.expiration.days", 90, 9),
    ("retention", I, LIFECYCLE, CREATE, "rule.expiration.days", None, 9),
    ("retention", I, LIFECYCLE, UPDATE, NONCURRENT_DAYS, 90, 9),
    ("time-to-live", I, TABLE, UPDATE, "ttl.enabled", False, True),
    ("time-to-live", I, TABLE, UPDATE, "ttl.attribute_name", "a", "b"),
    ("time-to-live", R, TABLE, UPDATE, "ttl.enabled", True, False),
    ("public-bucket", D, ACCESS, UPDATE, "block_public_acls", True, False),
    ("public-bucket", D, ACCESS, UPDATE, "ignore_public_acls", True, False),
    ("public-bucket", D, ACCESS, CREATE, "block_public_policy", None, False),
    ("public-bucket", D, ACCESS, UPDATE, "restrict_public_buckets", True, False),
    ("public-bucket", D, "aws_s3_bucket_acl", CREATE, "acl", None, "public-read"),
    ("open-to-the-internet", D, INGRESS, CREATE, "cidr_ipv4", None, "0.0.0.0/0"),
    ("open-to-the-internet", D, INGRESS, UPDATE, "cidr_ipv6", "fd00::/8", "::/0"),
    (
        "open-to-the-internet",
        D,
        GROUP,
        UPDATE,
        "ingress",
        [],
        [{"cidr_blocks": ["10.0.0.0/8", "0.0.0.0/0"]}],
    ),
    ("open-to-the-internet", D, GROUP, UPDATE, "ingress", [], [{"ipv6_cidr_blocks": ["::/0"]}]),
    ("security-group-rule", R, INGRESS, CREATE, "cidr_ipv4", None, "10.0.0.0/16"),
    (
        "open-to-the-internet",
        D,
        "aws_security_group_rule",
        CREATE,
        "cidr_blocks",
        None,
        ["0.0.0.0/0"],
    ),
    (
        "open-to-the-internet",
        D,
        "aws_network_acl",
        UPDATE,
        "ingress",
        [],
        [{"action": "allow", "cidr_block": "0.0.0.0/0"}],
    ),
    (
        "open-to-the-internet",
        D,
        "aws_eks_cluster",
        UPDATE,
        "vpc_config.public_access_cidrs",
        ["198.51.100.0/24"],
        ["0.0.0.0/0"],
    ),
    (
        "public-grant",
        D,
        "aws_s3_bucket_acl",
        CREATE,
        "access_control_policy.grant.grantee.uri",
        None,
        "http://acs.amazonaws.com/groups/global/AllUsers",
    ),
    ("public-grant", D, "aws_db_snapshot", UPDATE, "shared_accounts", ["1"], ["1", "all"]),
    ("public-address", D, "aws_rds_cluster_instance", UPDATE, "publicly_accessible", False, True),
    ("public-address", R, "aws_subnet", UPDATE, "map_public_ip_on_launch", False, True),
    ("public-endpoint", D, "aws_lambda_function_url", CREATE, "authorization_type", None, "NONE"),
    ("public-endpoint", D, "aws_api_gateway_method", UPDATE, "authorization", "CUSTOM", "NONE"),
    ("public-endpoint", D, ROUTE, UPDATE, "authorization_type", "CUSTOM", "NONE"),
    ("public-endpoint", D, API, UPDATE, "disable_execute_api_endpoint", True, False),
    ("plain-http", D, DISTRIBUTION, UPDATE, DEFAULT_PROTOCOL, "https-only", "allow-all"),
    ("plain-http", D, DISTRIBUTION, CREATE, ORDERED_PROTOCOL, None, "allow-all"),
    ("cors", R, CORS, UPDATE, "cors_rule.allowed_origins", ["https://a"], ["*"]),
    ("throttling", R, SETTINGS, UPDATE, "settings.throttling_rate_limit", 10, 20),
    ("throttling", D, SETTINGS, UPDATE, "settings.throttling_rate_limit", 20, 10),
    (
        "firewall-rules",
        D,
        FIREWALL,
        UPDATE,
        "rule",
        [{"name": "a"}, {"name": "b"}],
        [{"name": "a"}],
    ),
    (
        "firewall-rules",
        D,
        FIREWALL,
        UPDATE,
        "default_action",
        [{"allow": [], "block": [{}]}],
        [{"allow": [{}], "block": []}],
    ),
    (
        "firewall-rules",
        D,
        FIREWALL,
        UPDATE,
        "rule",
        [{"name": "a", "action": [{"block": [{}], "count": []}]}],
        [{"name": "a", "action": [{"block": [], "count": [{}]}]}],
    ),
    ("firewall-rules", R, FIREWALL, UPDATE, "rule", [{"priority": 1}], [{"priority": 2}]),
    ("sign-in", D, POOL, UPDATE, "mfa_configuration", "OPTIONAL", "OFF"),
    ("sign-in", D, POOL, UPDATE, "mfa_configuration", "ON", "OPTIONAL"),
    ("sign-in", D, POOL, UPDATE, "user_pool_add_ons.advanced_security_mode", "ENFORCED", "AUDIT"),
    ("sign-in", R, POOL, UPDATE, "password_policy.minimum_length", 12, 8),
    ("alarm-removed", D, ALARM, DESTROY, "alarm_name", "a", None),
    ("switched-off", D, ALARM, UPDATE, "actions_enabled", True, False),
    ("alarm-silenced", D, ALARM, UPDATE, "alarm_actions", ["arn"], []),
    ("alarm-threshold", R, ALARM, UPDATE, "threshold", 10, 100),
    ("subscription-removed", D, "aws_sns_topic_subscription", DESTROY, "endpoint", "a", None),
    ("tracing", R, FUNCTION, UPDATE, "tracing_config.mode", "Active", "PassThrough"),
    ("tracing", R, "aws_api_gateway_stage", UPDATE, "xray_tracing_enabled", True, False),
    ("capacity", D, CLUSTER, UPDATE, SCALING, ACU_1_TO_8, ACU_1_TO_4),
    ("capacity", R, CLUSTER, UPDATE, SCALING, ACU_2_TO_8, ACU_1_TO_8),
    ("capacity", D, CACHE, UPDATE, "num_cache_clusters", 2, 1),
    ("capacity", R, CACHE, UPDATE, "node_type", "cache.t4g.small", "cache.t4g.micro"),
    ("capacity", D, CACHE, UPDATE, "automatic_failover_enabled", True, False),
    ("capacity", D, "aws_rds_cluster_instance", DESTROY, "identifier", "a", None),
    ("capacity", D, TABLE, UPDATE, "read_capacity", 10, 5),
    ("capacity", D, TABLE, UPDATE, "write_capacity", 10, 5),
    ("capacity", D, "aws_appautoscaling_target", UPDATE, "max_capacity", 100, 5),
    ("billing-mode", R, TABLE, UPDATE, "billing_mode", "PROVISIONED", "PAY_PER_REQUEST"),
    ("index", D, TABLE, UPDATE, "global_secondary_index", [{"name": "by-user"}], []),
    (
        "index",
        D,
        TABLE,
        UPDATE,
        "global_secondary_index",
        [{"name": "by-user", "range_key": "at"}],
        [{"name": "by-user", "range_key": "score"}],
    ),
    (
        "policy-attached",
        D,
        ATTACHMENT,
        CREATE,
        "policy_arn",
        None,
        f"{AWS_POLICY}/AdministratorAccess",
    ),
    (
        "policy-attached",
        D,
        ROLE,
        UPDATE,
        "managed_policy_arns",
        [],
        [f"{AWS_POLICY}/AmazonS3FullAccess"],
    ),
    ("policy-attached", R, ATTACHMENT, CREATE, "policy_arn", None, f"{AWS_POLICY}/ReadOnlyAccess"),
    ("concurrency", D, FUNCTION, UPDATE, "reserved_concurrent_executions", -1, 5),
    ("concurrency", R, CONCURRENCY, UPDATE, PROVISIONED, 10, 5),
    ("concurrency", R, CONCURRENCY, DESTROY, PROVISIONED, 10, None),
    ("network-path", D, "aws_nat_gateway", REPLACE, "subnet_id", "a", "b"),
    ("runtime", R, FUNCTION, UPDATE, "runtime", "python3.12", "python3.13"),
    ("runtime", R, FUNCTION, UPDATE, "architectures", ["x86_64"], ["arm64"]),
    ("function-limits", R, FUNCTION, UPDATE, "memory_size", 1024, 512),
    ("function-limits", R, FUNCTION, UPDATE, "timeout", 30, 3),
    ("function-replaced", D, FUNCTION, REPLACE, "function_name", "a", "b"),
    ("release", S, FUNCTION, UPDATE, "s3_key", "a", "b"),
    ("release", S, "aws_lambda_alias", UPDATE, "function_version", "1", "2"),
    ("dns", D, "aws_route53_record", UPDATE, "records", ["a"], ["b"]),
    ("dns", R, "aws_route53_record", CREATE, "records", None, ["b"]),
    ("certificate", R, "aws_acm_certificate", REPLACE, "domain_name", "a", "b"),
    ("domain", D, "aws_api_gateway_domain_name", REPLACE, "domain_name", "a", "b"),
    ("labels", S, TABLE, UPDATE, "tags", {"a": "1"}, {"a": "2"}),
    ("labels", S, "aws_kms_alias", UPDATE, "description", "a", "b"),
    ("labels", S, DISTRIBUTION, UPDATE, "comment", "a", "b"),
    ("labels", S, "aws_cloudwatch_dashboard", UPDATE, "dashboard_body", "{}", '{"widgets": [1]}'),
    ("labels", S, ALARM, UPDATE, "alarm_description", "a", "b"),
    ("capacity-grows", S, CLUSTER, UPDATE, "serverlessv2_scaling_configuration.max_capacity", 4, 8),
    ("retention-grows", S, "aws_cloudwatch_log_group", UPDATE, "retention_in_days", 7, 0),
    ("concurrency-grows", S, FUNCTION, UPDATE, "reserved_concurrent_executions", 5, 10),
]


def statement(**parts: Any) -> str:
    return json.dumps(
        {"Statement": [{"Effect": "Allow", "Resource": "arn:r", "Action": "s3:GetObject", **parts}]}
    )


PLAIN = statement()
DENIED = json.dumps(
    {"Statement": [{"Effect": "Deny", "Resource": "*", "Action": "s3:*", "Principal": "*"}]}
)
POLICIES: list[tuple[str, Verdict, Action, Any, Any]] = [
    ("policy-public", D, CREATE, None, statement(Principal="*")),
    ("policy-permissions", D, UPDATE, PLAIN, statement(Action=["s3:GetObject", "iam:PassRole"])),
    ("policy-wildcard", D, UPDATE, PLAIN, statement(Action="s3:*")),
    ("policy-wider", R, UPDATE, PLAIN, statement(Action=["s3:GetObject", "s3:PutObject"])),
    ("policy-undenied", D, UPDATE, DENIED, statement(Principal={"Service": "a"})),
    ("policy-denied", R, UPDATE, statement(Principal={"Service": "a"}), DENIED),
    ("policy-narrower", R, UPDATE, statement(Action=["s3:GetObject", "s3:PutObject"]), PLAIN),
    ("policy-removed", R, DESTROY, PLAIN, None),
    ("policy-wider", R, CREATE, None, PLAIN),
    ("policy-wildcard", D, CREATE, None, statement(Action="s3:*")),
    ("policy-undenied", D, DESTROY, DENIED, None),
    ("policy-undecided", R, UPDATE, PLAIN, statement(Effect="allow")),
    ("policy-unknown", R, UPDATE, PLAIN, UNKNOWN),
    ("policy-same", S, UPDATE, PLAIN, statement(Sid="Named", Action=["s3:GetObject"])),
]


FORMS: list[tuple[str, Verdict, Change]] = [
    ("deposed", R, Change("a.b", FUNCTION, DESTROY, {"function_name": "f"}, {}, deposed="0ab1")),
    ("imported", R, Change("a.b", BUCKET, Action.IMPORT, {"id": "b"}, {"id": "b"}, imported="b")),
    (
        "sensitivity",
        S,
        Change("a.b", FUNCTION, UPDATE, {"x": 1}, {"x": 1}, sensitivity_changes=("x",)),
    ),
]


@pytest.fixture(scope="module")
def rules() -> Rules:
    return load_rules()


def change(type_: str, action: Action, before: Values, after: Values) -> Change:
    return Change("a.b", type_, action, before, after)


@pytest.mark.parametrize(
    ("rule", "verdict", "type_", "action", "attribute", "before", "after"),
    CASES,
    ids=[f"{case[0]}-{number}" for number, case in enumerate(CASES)],
)
def test_rule_matches_the_change_of_its_case(
    rules: Rules,
    rule: str,
    verdict: Verdict,
    type_: str,
    action: Action,
    attribute: str,
    before: Any,
    after: Any,
) -> None:
    before, after = values(attribute, before), values(attribute, after)
    reasons = judge(change(type_, action, before, after), [], rules)
    assert (rule, verdict) in {(reason.rule, reason.verdict) for reason in reasons}
    assert not [reason for reason in reasons if "{" in reason.text]
    if action is UPDATE and rule != "dns":
        # The rule must not match if nothing changes.
        assert rule not in {
            reason.rule for reason in judge(change(type_, UPDATE, after, after), [], rules)
        }


@pytest.mark.parametrize(
    ("rule", "verdict", "action", "before", "after"), POLICIES, ids=[case[0] for case in POLICIES]
)
def test_policy_rule_matches_the_change_of_its_case(
    rules: Rules, rule: str, verdict: Verdict, action: Action, before: Any, after: Any
) -> None:
    changed = change("aws_iam_role_policy", action, {"policy": before}, {"policy": after})
    reasons = judge(changed, [compare(before, after)], rules)
    assert (rule, verdict) in {(reason.rule, reason.verdict) for reason in reasons}


@pytest.mark.parametrize(("rule", "verdict", "changed"), FORMS, ids=[case[0] for case in FORMS])
def test_rule_matches_a_deposed_imported_or_newly_sensitive_resource(
    rules: Rules, rule: str, verdict: Verdict, changed: Change
) -> None:
    assert [(item.rule, item.verdict) for item in judge(changed, [], rules)] == [(rule, verdict)]


def test_every_rule_has_a_case(rules: Rules) -> None:
    matching = set()
    for number, rule in enumerate(rules.rules):
        alone = rules.model_copy(update={"rules": (rule,)})
        cases = [
            judge(change(type_, action, values(path, before), values(path, after)), [], alone)
            for _, _, type_, action, path, before, after in CASES
        ]
        cases += [
            judge(
                change("aws_iam_role_policy", action, {"policy": before}, {"policy": after}),
                [compare(before, after)],
                alone,
            )
            for _, _, action, before, after in POLICIES
        ]
        cases += [judge(changed, [], alone) for _, _, changed in FORMS]
        if any(reason.rule == rule.id for reasons in cases for reason in reasons):
            matching.add(number)
    assert [rule for number, rule in enumerate(rules.rules) if number not in matching] == []


def test_most_severe_reason_comes_first(rules: Rules) -> None:
    before = {"deletion_protection_enabled": True, "tags": {"a": "1"}, "ttl": [{"enabled": True}]}
    after = {"deletion_protection_enabled": False, "tags": {"a": "2"}, "ttl": [{"enabled": False}]}
    reasons = judge(change(TABLE, UPDATE, before, after), [], rules)
    assert [(reason.rule, reason.verdict) for reason in reasons] == [
        ("deletion-protection", D),
        ("time-to-live", R),
    ]


def test_rule_for_a_single_changed_attribute_does_not_match_two_changes(
    rules: Rules,
) -> None:
    both = judge(
        change(FUNCTION, UPDATE, {"s3_key": "a", "layers": []}, {"s3_key": "b", "layers": ["c"]}),
        [],
        rules,
    )
    assert [reason.verdict for reason in both] == [R]


def test_rule_about_an_attribute_does_not_match_its_unknown_value(rules: Rules) -> None:
    after = masked({"retention_in_days": None}, unknown={"retention_in_days": True})
    [reason] = judge(
        change("aws_cloudwatch_log_group", UPDATE, {"retention_in_days": 30}, after), [], rules
    )
    assert reason.rule == "otherwise"


@pytest.mark.parametrize(
    ("action", "verdict"),
    [(CREATE, R), (UPDATE, R), (REPLACE, R), (DESTROY, R), (Action.FORGET, R), (Action.MOVE, S)],
)
def test_action_determines_the_verdict_if_no_rule_matches(
    rules: Rules, action: Action, verdict: Verdict
) -> None:
    [reason] = judge(change("aws_gamelift_alias", action, {"a": 1}, {"a": 2}), [], rules)
    assert (reason.rule, reason.verdict) == ("otherwise", verdict)


@pytest.mark.parametrize("action", [REPLACE, DESTROY])
@pytest.mark.parametrize(
    "type_", ["aws_unknown", "aws_efs_file_system", "aws_ecr_repository", "random_password"]
)
def test_replacing_or_destroying_a_stateful_or_unknown_type_is_irreversible(
    rules: Rules, type_: str, action: Action
) -> None:
    assert judge(change(type_, action, {"a": 1}, {"a": 2}), [], rules)[0].verdict is I


def test_rule_for_a_single_changed_attribute_does_not_match_unknown_arguments(
    rules: Rules,
) -> None:
    unknown = masked({"arn": None, "policy": None}, unknown={"policy": True, "arn": True})
    before = {"tags": {"a": "1"}, "policy": "{}", "arn": "a"}
    [reason] = judge(
        change("aws_sqs_queue", UPDATE, before, {"tags": {"a": "2"}, **unknown}), [], rules
    )
    assert reason.rule == "otherwise"
    computed = {"tags": {"a": "2"}, "policy": "{}", "arn": unknown["arn"]}
    [reason] = judge(change("aws_sqs_queue", UPDATE, before, computed), [], rules)
    assert reason.rule == "labels"


def test_most_severe_change_comes_first() -> None:
    changes = (
        change(ALARM, CREATE, {}, {"alarm_name": "new"}),
        Change(
            "aws_s3_bucket.storage_a_bucket_0123ABCD",
            BUCKET,
            DESTROY,
            {"bucket": "a", "tags": {"Service": "chat"}},
            {},
        ),
    )
    reviewed: Review = review(Plan("1.11.4", None, changes, (), (), "us-east-1"), "dev")
    assert [item.verdict for item in reviewed.changes] == [I, S]
    assert (reviewed.groups[0].module, reviewed.groups[0].service) == ("storage", "chat")
    assert reviewed.summary == "irreversible: 1 created, 1 destroyed"
