"""Every rule of rules.yml: a change that it is for, and that it says nothing of others."""
# ruff: noqa: E501 - a table's rows

from __future__ import annotations

import json
from typing import Any

import pytest

from ops.review.review import Review, review
from ops.review.rules import Rules, Verdict, judge, load_rules
from ops.terraform.plan import Action, Change, Plan
from ops.terraform.plan_values import UNKNOWN, covered
from ops.terraform.policies import compare

Values = dict[str, Any]
CREATE, UPDATE, REPLACE, DESTROY = Action.CREATE, Action.UPDATE, Action.REPLACE, Action.DESTROY
S, R, D, I = Verdict.SAFE, Verdict.REVIEW, Verdict.DANGEROUS, Verdict.IRREVERSIBLE  # noqa: E741 - columns of a table

TABLE, CLUSTER, BUCKET = "aws_dynamodb_table", "aws_rds_cluster", "aws_s3_bucket"
ACCESS, INGRESS = "aws_s3_bucket_public_access_block", "aws_vpc_security_group_ingress_rule"
LIFECYCLE, ALARM, FUNCTION = (
    "aws_s3_bucket_lifecycle_configuration",
    "aws_cloudwatch_metric_alarm",
    "aws_lambda_function",
)
CACHE, POOL, ROLE = "aws_elasticache_replication_group", "aws_cognito_user_pool", "aws_iam_role"
DISTRIBUTION, SETTINGS = "aws_cloudfront_distribution", "aws_api_gateway_method_settings"
OPEN, OPEN6 = {"cidr_ipv4": "0.0.0.0/0"}, {"cidr_ipv6": "::/0"}


def scaling(**capacity: float) -> Values:
    return {"serverlessv2_scaling_configuration": [capacity]}


# rule, verdict, type, action, before, after
CASES: list[tuple[str, Verdict, str, Action, Values, Values]] = [
    ("stateful-destroyed", I, BUCKET, DESTROY, {"bucket": "a"}, {}),
    ("stateful-replaced", I, POOL, REPLACE, {"name": "a"}, {"name": "b"}),
    ("identity-replaced", D, "aws_api_gateway_rest_api", REPLACE, {"name": "a"}, {"name": "b"}),
    ("bystander", S, "aws_api_gateway_deployment", REPLACE, {"triggers": "a"}, {"triggers": "b"}),
    ("instance-replaced", D, "aws_rds_cluster_instance", REPLACE, {"identifier": "a"}, {"identifier": "b"}),
    ("deletion-protection", D, TABLE, UPDATE, {"deletion_protection_enabled": True}, {"deletion_protection_enabled": False}),
    ("deletion-protection", D, POOL, UPDATE, {"deletion_protection": "ACTIVE"}, {"deletion_protection": "INACTIVE"}),
    ("final-snapshot", D, CLUSTER, UPDATE, {"skip_final_snapshot": False}, {"skip_final_snapshot": True}),
    ("force-destroy", D, BUCKET, UPDATE, {"force_destroy": False}, {"force_destroy": True}),
    ("point-in-time-recovery", D, TABLE, UPDATE, {"point_in_time_recovery": [{"enabled": True}]}, {"point_in_time_recovery": [{"enabled": False}]}),
    ("encryption", D, CLUSTER, UPDATE, {"storage_encrypted": True}, {"storage_encrypted": False}),
    ("encryption", D, CACHE, UPDATE, {"at_rest_encryption_enabled": "true"}, {"at_rest_encryption_enabled": "false"}),
    ("encryption", D, CACHE, UPDATE, {"transit_encryption_enabled": True}, {"transit_encryption_enabled": False}),
    ("encryption", D, TABLE, UPDATE, {"server_side_encryption": [{"enabled": True}]}, {"server_side_encryption": []}),
    ("encryption", D, "aws_sqs_queue", UPDATE, {"kms_master_key_id": "k"}, {"kms_master_key_id": ""}),
    ("encryption", D, "aws_cloudwatch_log_group", UPDATE, {"kms_key_id": "k"}, {"kms_key_id": ""}),
    ("encryption-key", R, "aws_cloudwatch_log_group", UPDATE, {"kms_key_id": "k"}, {"kms_key_id": "l"}),
    ("encryption-key", R, "aws_sqs_queue", UPDATE, {"kms_master_key_id": "k"}, {"kms_master_key_id": "l"}),
    ("key-rotation", D, "aws_kms_key", UPDATE, {"enable_key_rotation": True}, {"enable_key_rotation": False}),
    ("key-deletion-window", D, "aws_kms_key", UPDATE, {"deletion_window_in_days": 30}, {"deletion_window_in_days": 7}),
    ("versioning", D, "aws_s3_bucket_versioning", UPDATE, {"versioning_configuration": [{"status": "Enabled"}]}, {"versioning_configuration": [{"status": "Suspended"}]}),
    ("guard-removed", D, "aws_wafv2_web_acl_association", DESTROY, {"resource_arn": "a"}, {}),
    ("retention", I, "aws_cloudwatch_log_group", UPDATE, {"retention_in_days": 0}, {"retention_in_days": 7}),
    ("retention", I, "aws_cloudwatch_event_archive", UPDATE, {"retention_days": 30}, {"retention_days": 7}),
    ("retention", I, CLUSTER, UPDATE, {"backup_retention_period": 35}, {"backup_retention_period": 1}),
    ("retention", I, CACHE, UPDATE, {"snapshot_retention_limit": 7}, {"snapshot_retention_limit": 0}),
    ("retention", I, "aws_sqs_queue", UPDATE, {"message_retention_seconds": 1209600}, {"message_retention_seconds": 60}),
    ("retention", I, LIFECYCLE, UPDATE, {"rule": [{"expiration": [{"days": 90}]}]}, {"rule": [{"expiration": [{"days": 9}]}]}),
    ("retention", I, LIFECYCLE, UPDATE, {"rule": [{"noncurrent_version_expiration": [{"noncurrent_days": 90}]}]}, {"rule": [{"noncurrent_version_expiration": [{"noncurrent_days": 9}]}]}),
    ("time-to-live", R, TABLE, UPDATE, {"ttl": [{"enabled": True}]}, {"ttl": [{"enabled": False}]}),
    ("public-bucket", D, ACCESS, UPDATE, {"block_public_acls": True}, {"block_public_acls": False}),
    ("public-bucket", D, ACCESS, UPDATE, {"ignore_public_acls": True}, {"ignore_public_acls": False}),
    ("public-bucket", D, ACCESS, CREATE, {}, {"block_public_policy": False}),
    ("public-bucket", D, ACCESS, UPDATE, {"restrict_public_buckets": True}, {"restrict_public_buckets": False}),
    ("public-bucket", D, "aws_s3_bucket_acl", CREATE, {}, {"acl": "public-read"}),
    ("open-to-the-internet", D, INGRESS, CREATE, {}, OPEN),
    ("open-to-the-internet", D, INGRESS, UPDATE, {"cidr_ipv6": "fd00::/8"}, OPEN6),
    ("open-to-the-internet", D, "aws_security_group", UPDATE, {"ingress": []}, {"ingress": [{"cidr_blocks": ["10.0.0.0/8", "0.0.0.0/0"]}]}),
    ("open-to-the-internet", D, "aws_security_group", UPDATE, {"ingress": []}, {"ingress": [{"ipv6_cidr_blocks": ["::/0"]}]}),
    ("security-group-rule", R, INGRESS, CREATE, {}, {"cidr_ipv4": "10.0.0.0/16"}),
    ("public-address", D, "aws_rds_cluster_instance", UPDATE, {"publicly_accessible": False}, {"publicly_accessible": True}),
    ("public-address", R, "aws_subnet", UPDATE, {"map_public_ip_on_launch": False}, {"map_public_ip_on_launch": True}),
    ("public-endpoint", D, "aws_lambda_function_url", CREATE, {}, {"authorization_type": "NONE"}),
    ("public-endpoint", D, "aws_api_gateway_method", UPDATE, {"authorization": "CUSTOM"}, {"authorization": "NONE"}),
    ("public-endpoint", D, "aws_apigatewayv2_route", UPDATE, {"authorization_type": "CUSTOM"}, {"authorization_type": "NONE"}),
    ("public-endpoint", D, "aws_apigatewayv2_api", UPDATE, {"disable_execute_api_endpoint": True}, {"disable_execute_api_endpoint": False}),
    ("plain-http", D, DISTRIBUTION, UPDATE, {"default_cache_behavior": [{"viewer_protocol_policy": "https-only"}]}, {"default_cache_behavior": [{"viewer_protocol_policy": "allow-all"}]}),
    ("plain-http", D, DISTRIBUTION, CREATE, {}, {"ordered_cache_behavior": [{"viewer_protocol_policy": "allow-all"}]}),
    ("cors", R, "aws_s3_bucket_cors_configuration", UPDATE, {"cors_rule": [{"allowed_origins": ["https://a"]}]}, {"cors_rule": [{"allowed_origins": ["*"]}]}),
    ("throttling", R, SETTINGS, UPDATE, {"settings": [{"throttling_rate_limit": 10}]}, {"settings": [{"throttling_rate_limit": 20}]}),
    ("throttling", D, SETTINGS, UPDATE, {"settings": [{"throttling_rate_limit": 20}]}, {"settings": [{"throttling_rate_limit": 10}]}),
    ("firewall-rules", D, "aws_wafv2_web_acl", UPDATE, {"rule": [{"name": "a"}, {"name": "b"}]}, {"rule": [{"name": "a"}]}),
    ("firewall-rules", R, "aws_wafv2_web_acl", UPDATE, {"rule": [{"name": "a", "priority": 1}]}, {"rule": [{"name": "a", "priority": 2}]}),
    ("sign-in", D, POOL, UPDATE, {"mfa_configuration": "OPTIONAL"}, {"mfa_configuration": "OFF"}),
    ("sign-in", R, POOL, UPDATE, {"password_policy": [{"minimum_length": 12}]}, {"password_policy": [{"minimum_length": 8}]}),
    ("boundary", D, ROLE, UPDATE, {"permissions_boundary": "arn"}, {"permissions_boundary": ""}),
    ("alarm-removed", D, ALARM, DESTROY, {"alarm_name": "a"}, {}),
    ("alarm-silenced", D, ALARM, UPDATE, {"actions_enabled": True}, {"actions_enabled": False}),
    ("alarm-silenced", D, ALARM, UPDATE, {"alarm_actions": ["arn"]}, {"alarm_actions": []}),
    ("alarm-dulled", R, ALARM, UPDATE, {"threshold": 10}, {"threshold": 100}),
    ("subscription-removed", D, "aws_sns_topic_subscription", DESTROY, {"endpoint": "a"}, {}),
    ("tracing", R, FUNCTION, UPDATE, {"tracing_config": [{"mode": "Active"}]}, {"tracing_config": [{"mode": "PassThrough"}]}),
    ("tracing", R, "aws_api_gateway_stage", UPDATE, {"xray_tracing_enabled": True}, {"xray_tracing_enabled": False}),
    ("capacity", D, CLUSTER, UPDATE, scaling(min_capacity=1, max_capacity=8), scaling(min_capacity=1, max_capacity=4)),
    ("capacity", R, CLUSTER, UPDATE, scaling(min_capacity=2, max_capacity=8), scaling(min_capacity=1, max_capacity=8)),
    ("capacity", D, CACHE, UPDATE, {"num_cache_clusters": 2}, {"num_cache_clusters": 1}),
    ("capacity", R, CACHE, UPDATE, {"node_type": "cache.t4g.small"}, {"node_type": "cache.t4g.micro"}),
    ("capacity", D, CACHE, UPDATE, {"automatic_failover_enabled": True}, {"automatic_failover_enabled": False}),
    ("capacity", D, "aws_rds_cluster_instance", DESTROY, {"identifier": "a"}, {}),
    ("capacity", D, TABLE, UPDATE, {"read_capacity": 10}, {"read_capacity": 5}),
    ("capacity", D, TABLE, UPDATE, {"write_capacity": 10}, {"write_capacity": 5}),
    ("capacity", D, "aws_appautoscaling_target", UPDATE, {"max_capacity": 100}, {"max_capacity": 5}),
    ("billing-mode", R, TABLE, UPDATE, {"billing_mode": "PROVISIONED"}, {"billing_mode": "PAY_PER_REQUEST"}),
    ("index", D, TABLE, UPDATE, {"global_secondary_index": [{"name": "by-user"}]}, {"global_secondary_index": []}),
    ("concurrency", D, FUNCTION, UPDATE, {"reserved_concurrent_executions": -1}, {"reserved_concurrent_executions": 5}),
    ("concurrency", R, "aws_lambda_provisioned_concurrency_config", UPDATE, {"provisioned_concurrent_executions": 10}, {"provisioned_concurrent_executions": 5}),
    ("concurrency", R, "aws_lambda_provisioned_concurrency_config", DESTROY, {"provisioned_concurrent_executions": 10}, {}),
    ("network-path", D, "aws_nat_gateway", REPLACE, {"subnet_id": "a"}, {"subnet_id": "b"}),
    ("runtime", R, FUNCTION, UPDATE, {"runtime": "python3.12"}, {"runtime": "python3.13"}),
    ("runtime", R, FUNCTION, UPDATE, {"architectures": ["x86_64"]}, {"architectures": ["arm64"]}),
    ("function-limits", R, FUNCTION, UPDATE, {"memory_size": 1024}, {"memory_size": 512}),
    ("function-limits", R, FUNCTION, UPDATE, {"timeout": 30}, {"timeout": 3}),
    ("function-replaced", D, FUNCTION, REPLACE, {"function_name": "a"}, {"function_name": "b"}),
    ("release", S, FUNCTION, UPDATE, {"s3_key": "a"}, {"s3_key": "b"}),
    ("release", S, "aws_lambda_alias", UPDATE, {"function_version": "1"}, {"function_version": "2"}),
    ("dns", D, "aws_route53_record", UPDATE, {"records": ["a"]}, {"records": ["b"]}),
    ("dns", R, "aws_route53_record", CREATE, {}, {"records": ["b"]}),
    ("certificate", R, "aws_acm_certificate", REPLACE, {"domain_name": "a"}, {"domain_name": "b"}),
    ("domain", D, "aws_api_gateway_domain_name", REPLACE, {"domain_name": "a"}, {"domain_name": "b"}),
    ("labels", S, TABLE, UPDATE, {"tags": {"a": "1"}}, {"tags": {"a": "2"}}),
    ("labels", S, INGRESS.replace("ingress_rule", "x"), UPDATE, {"description": "a"}, {"description": "b"}),
    ("labels", S, DISTRIBUTION, UPDATE, {"comment": "a"}, {"comment": "b"}),
    ("labels", S, "aws_cloudwatch_dashboard", UPDATE, {"dashboard_body": "{}"}, {"dashboard_body": '{"widgets": [1]}'}),
    ("labels", S, ALARM, UPDATE, {"alarm_description": "a"}, {"alarm_description": "b"}),
    ("capacity-grows", S, CLUSTER, UPDATE, scaling(max_capacity=4), scaling(max_capacity=8)),
    ("retention-grows", S, "aws_cloudwatch_log_group", UPDATE, {"retention_in_days": 7}, {"retention_in_days": 0}),
    ("concurrency-grows", S, FUNCTION, UPDATE, {"reserved_concurrent_executions": 5}, {"reserved_concurrent_executions": 10}),
]  # fmt: skip


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
    ("policy-unknown", R, UPDATE, PLAIN, UNKNOWN),
    ("policy-same", S, UPDATE, PLAIN, statement(Sid="Named", Action=["s3:GetObject"])),
]


@pytest.fixture(scope="module")
def rules() -> Rules:
    return load_rules()


def change(type_: str, action: Action, before: Values, after: Values) -> Change:
    return Change("a.b", type_, action, before, after)


@pytest.mark.parametrize(("rule", "verdict", "type_", "action", "before", "after"), CASES, ids=[f"{case[0]}-{number}" for number, case in enumerate(CASES)])  # fmt: skip
def test_a_rule_fits_what_it_is_for(
    rules: Rules,
    rule: str,
    verdict: Verdict,
    type_: str,
    action: Action,
    before: Values,
    after: Values,
) -> None:
    reasons = judge(change(type_, action, before, after), [], rules)
    assert (rule, verdict) in {(reason.rule, reason.verdict) for reason in reasons}
    assert not [reason for reason in reasons if "{" in reason.says]
    if action is UPDATE and rule != "dns":
        # And nothing of the kind where nothing changes.
        assert rule not in {
            reason.rule for reason in judge(change(type_, UPDATE, after, after), [], rules)
        }


@pytest.mark.parametrize(
    ("rule", "verdict", "action", "before", "after"), POLICIES, ids=[case[0] for case in POLICIES]
)
def test_a_rule_for_policies_fits(
    rules: Rules, rule: str, verdict: Verdict, action: Action, before: Any, after: Any
) -> None:
    changed = change("aws_iam_role_policy", action, {"policy": before}, {"policy": after})
    reasons = judge(changed, [compare(before, after)], rules)
    assert (rule, verdict) in {(reason.rule, reason.verdict) for reason in reasons}


def test_every_rule_has_a_case(rules: Rules) -> None:
    fitting = set()
    for number, rule in enumerate(rules.rules):
        alone = rules.model_copy(update={"rules": (rule,)})
        cases = [
            judge(change(type_, action, before, after), [], alone)
            for _, _, type_, action, before, after in CASES
        ]
        cases += [
            judge(
                change("aws_iam_role_policy", action, {"policy": before}, {"policy": after}),
                [compare(before, after)],
                alone,
            )
            for _, _, action, before, after in POLICIES
        ]
        if any(reason.rule == rule.id for reasons in cases for reason in reasons):
            fitting.add(number)
    assert [rule for number, rule in enumerate(rules.rules) if number not in fitting] == []


def test_the_gravest_reason_counts_and_the_others_are_kept(rules: Rules) -> None:
    before = {"deletion_protection_enabled": True, "tags": {"a": "1"}, "ttl": [{"enabled": True}]}
    after = {"deletion_protection_enabled": False, "tags": {"a": "2"}, "ttl": [{"enabled": False}]}
    reasons = judge(change(TABLE, UPDATE, before, after), [], rules)
    assert [(reason.rule, reason.verdict) for reason in reasons] == [
        ("deletion-protection", D),
        ("time-to-live", R),
    ]


def test_safe_is_only_what_nothing_else_comes_with(rules: Rules) -> None:
    both = judge(
        change(FUNCTION, UPDATE, {"s3_key": "a", "layers": []}, {"s3_key": "b", "layers": ["c"]}),
        [],
        rules,
    )
    assert [reason.verdict for reason in both] == [R]


def test_what_is_unknown_is_never_called_a_change(rules: Rules) -> None:
    after = covered({"retention_in_days": None}, unknown={"retention_in_days": True})
    [reason] = judge(
        change("aws_cloudwatch_log_group", UPDATE, {"retention_in_days": 30}, after), [], rules
    )
    assert reason.rule == "otherwise"


@pytest.mark.parametrize(
    ("action", "verdict"),
    [(CREATE, S), (UPDATE, R), (REPLACE, R), (DESTROY, R), (Action.FORGET, R), (Action.MOVE, S)],
)
def test_where_no_rule_fits_the_action_decides(
    rules: Rules, action: Action, verdict: Verdict
) -> None:
    [reason] = judge(change("aws_unheard_of", action, {"a": 1}, {"a": 2}), [], rules)
    assert (reason.rule, reason.verdict) == ("otherwise", verdict)


def test_the_gravest_change_comes_first() -> None:
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
    assert reviewed.says() == "irreversible: 1 created, 1 destroyed"
