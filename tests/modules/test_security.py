from __future__ import annotations

import json
from typing import Any

import pytest

from modules.security import Security
from tests.modules.synthesis import Block, Synthesized, environment, synthesize


def security(name: str = "dev", **changes: Any) -> Synthesized:
    return synthesize(
        lambda stack, _env, names: Security(stack, "security", names=names),
        environment(name, **changes),
    )


@pytest.fixture(scope="module")
def dev() -> Synthesized:
    return security()


@pytest.fixture(scope="module")
def prod() -> Synthesized:
    return security("prod")


def rules(synthesized: Synthesized) -> dict[str, Block]:
    return {rule["name"]: rule for rule in web_acl(synthesized)["rule"]}


def web_acl(synthesized: Synthesized, resource: str = "multitask-waf") -> Block:
    """Returns the web ACL whose name begins with `resource`, by default the REST API's."""
    [match] = [
        acl for acl in synthesized.all("aws_wafv2_web_acl") if acl["name"].startswith(resource)
    ]
    return match


def test_the_key_rotates_and_has_the_documented_alias(prod: Synthesized) -> None:
    assert prod.find_only("aws_kms_key")["enable_key_rotation"] is True
    assert prod.find_only("aws_kms_alias")["name"] == "alias/multitask-prod"


@pytest.mark.parametrize(("name", "days"), [("dev", 7), ("prod", 30)])
def test_the_deletion_window_of_the_key_is_longer_if_data_is_retained(name: str, days: int) -> None:
    assert security(name).find_only("aws_kms_key")["deletion_window_in_days"] == days


def test_services_can_use_the_key_only_for_this_account(prod: Synthesized) -> None:
    statements = {item["Sid"]: item for item in prod.policy("aws_kms_key")}
    assert set(statements) == {"Account", "Services", "Events"}
    assert statements["Account"]["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    services = statements["Services"]
    assert set(services["Principal"]["Service"]) == {
        "budgets.amazonaws.com",
        "cloudwatch.amazonaws.com",
        "sns.amazonaws.com",
    }
    assert services["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_eventbridge_can_use_the_key_without_a_source_account_condition(prod: Synthesized) -> None:
    [events] = [item for item in prod.policy("aws_kms_key") if item["Sid"] == "Events"]
    assert events["Principal"] == {"Service": "events.amazonaws.com"}
    assert "Condition" not in events
    assert set(events["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey*"}


def test_users_log_in_with_an_email_address_in_any_case(dev: Synthesized) -> None:
    pool = dev.find_only("aws_cognito_user_pool")
    assert pool["username_attributes"] == ["email"]
    assert pool["username_configuration"] == {"case_sensitive": False}
    assert pool["admin_create_user_config"] == {"allow_admin_create_user_only": False}


def test_the_password_policy_is_as_documented(dev: Synthesized) -> None:
    policy = dev.find_only("aws_cognito_user_pool")["password_policy"]
    assert policy["minimum_length"] == 8
    assert all(
        policy[f"require_{kind}"] for kind in ("uppercase", "lowercase", "numbers", "symbols")
    )


def test_an_email_address_is_verified_and_can_recover_the_account(dev: Synthesized) -> None:
    pool = dev.find_only("aws_cognito_user_pool")
    assert pool["auto_verified_attributes"] == ["email"]
    assert pool["user_attribute_update_settings"] == {
        "attributes_require_verification_before_update": ["email"]
    }
    assert pool["account_recovery_setting"]["recovery_mechanism"] == [
        {"name": "verified_email", "priority": 1}
    ]
    message = pool["verification_message_template"]
    assert message["email_subject"] == "Verify your email for Multitask Platform"
    assert message["email_message"] == "Your verification code is {####}"
    assert message["default_email_option"] == "CONFIRM_WITH_CODE"


def test_the_pool_sends_mail_through_ses_if_an_identity_is_set(dev: Synthesized) -> None:
    assert dev.find_only("aws_cognito_user_pool")["email_configuration"] == {
        "email_sending_account": "COGNITO_DEFAULT"
    }
    arn = "arn:aws:ses:us-east-1:111122223333:identity/multitask.com"
    assert security(mail_identity_arn=arn).find_only("aws_cognito_user_pool")[
        "email_configuration"
    ] == {
        "email_sending_account": "DEVELOPER",
        "source_arn": arn,
    }


def test_the_user_pool_is_protected_where_data_is_retained(
    dev: Synthesized, prod: Synthesized
) -> None:
    retained, deletable = (
        prod.find_only("aws_cognito_user_pool"),
        dev.find_only("aws_cognito_user_pool"),
    )
    assert (retained["deletion_protection"], retained["lifecycle"]["prevent_destroy"]) == (
        "ACTIVE",
        True,
    )
    assert deletable["deletion_protection"] == "INACTIVE"
    assert "lifecycle" not in deletable


def test_each_elevated_role_is_a_group_of_the_pool(dev: Synthesized) -> None:
    assert {group["name"] for group in dev.all("aws_cognito_user_group")} == {"moderator", "admin"}


def test_the_client_has_no_secret_and_allows_only_server_side_login(dev: Synthesized) -> None:
    client = dev.find_only("aws_cognito_user_pool_client")
    assert client["generate_secret"] is False
    assert client["explicit_auth_flows"] == ["ALLOW_ADMIN_USER_PASSWORD_AUTH"]
    assert client["prevent_user_existence_errors"] == "ENABLED"
    assert client["read_attributes"] == ["email", "email_verified", "name"]
    assert client["write_attributes"] == ["email", "name"]


def test_tokens_have_the_shortest_lifetimes_that_cognito_accepts(dev: Synthesized) -> None:
    client = dev.find_only("aws_cognito_user_pool_client")
    assert client["token_validity_units"] == [
        {"access_token": "minutes", "id_token": "minutes", "refresh_token": "minutes"}
    ]
    assert [client[f"{kind}_token_validity"] for kind in ("access", "id", "refresh")] == [5, 5, 60]


def test_the_web_acl_has_the_documented_rules(prod: Synthesized) -> None:
    acl = web_acl(prod)
    assert acl["name"] == "multitask-waf-prod"
    assert acl["scope"] == "REGIONAL"
    assert acl["default_action"] == {"allow": {}}
    acl_rules = rules(prod)
    assert {name: rule["priority"] for name, rule in acl_rules.items()} == {
        "RateLimitRule": 1,
        "AWSManagedRulesCommonRuleSet": 2,
    }
    assert {name: rule["visibility_config"]["metric_name"] for name, rule in acl_rules.items()} == {
        "RateLimitRule": "RateLimitRule",
        "AWSManagedRulesCommonRuleSet": "CommonRuleSetMetric",
    }
    assert acl_rules["RateLimitRule"]["statement"] == {
        "rate_based_statement": {
            "limit": 1000,
            "aggregate_key_type": "IP",
            "evaluation_window_sec": 300,
        }
    }


def test_a_rate_limited_response_has_a_retry_after_header(prod: Synthesized) -> None:
    response = rules(prod)["RateLimitRule"]["action"]["block"]["custom_response"]
    assert response["response_code"] == 429
    headers = {header["name"]: header["value"] for header in response["response_header"]}
    assert headers["Retry-After"] == "300"
    assert headers["Access-Control-Allow-Origin"] == "*"
    [body] = web_acl(prod)["custom_response_body"]
    assert body["key"] == response["custom_response_body_key"]
    assert body["content_type"] == "APPLICATION_JSON"
    problem = json.loads(body["content"])
    assert (problem["status"], problem["code"]) == (429, "too_many_requests")


def test_the_web_acl_has_no_rate_rule_if_rate_limiting_is_off(dev: Synthesized) -> None:
    assert set(rules(dev)) == {"AWSManagedRulesCommonRuleSet"}
    assert "custom_response_body" not in web_acl(dev)


def test_rules_on_request_bodies_count_instead_of_blocking(prod: Synthesized) -> None:
    rule = rules(prod)["AWSManagedRulesCommonRuleSet"]
    assert rule["override_action"] == {"none": {}}
    group = rule["statement"]["managed_rule_group_statement"]
    assert (group["vendor_name"], group["name"]) == ("AWS", "AWSManagedRulesCommonRuleSet")
    assert all(item["action_to_use"] == {"count": {}} for item in group["rule_action_override"])
    assert {item["name"] for item in group["rule_action_override"]} == {
        "SizeRestrictions_BODY",
        "CrossSiteScripting_BODY",
        "GenericLFI_BODY",
        "GenericRFI_BODY",
        "EC2MetaDataSSRF_BODY",
    }


def test_the_web_acl_of_the_pool_has_no_rate_rule(prod: Synthesized) -> None:
    association = prod.find_only("aws_wafv2_web_acl_association")
    assert association["resource_arn"].startswith("${aws_cognito_user_pool.")
    label = association["web_acl_arn"].split(".")[1]
    acl = prod.document["resource"]["aws_wafv2_web_acl"][label]
    assert acl["name"] == "auth-waf-prod"
    assert [rule["name"] for rule in acl["rule"]] == ["AWSManagedRulesCommonRuleSet"]


def test_web_acl_logs_omit_credentials_and_queries(prod: Synthesized) -> None:
    groups = prod.all("aws_cloudwatch_log_group")
    assert {group["name"] for group in groups} == {
        "aws-waf-logs-multitask-waf-prod",
        "aws-waf-logs-auth-waf-prod",
    }
    assert {group["retention_in_days"] for group in groups} == {365}
    for logging in prod.all("aws_wafv2_web_acl_logging_configuration"):
        assert logging["redacted_fields"] == [
            {"single_header": {"name": "authorization"}},
            {"query_string": {}},
        ]
        log_filter = logging["logging_filter"]
        assert log_filter["default_behavior"] == "DROP"
        assert [
            item["action_condition"]["action"] for item in log_filter["filter"][0]["condition"]
        ] == [
            "BLOCK",
            "COUNT",
        ]
