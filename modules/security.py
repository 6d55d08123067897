"""The encryption key, the user pool and the web ACLs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdktf import TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.cognito_user_group import CognitoUserGroup
from cdktf_cdktf_provider_aws.cognito_user_pool import (
    CognitoUserPool,
    CognitoUserPoolAccountRecoverySetting,
    CognitoUserPoolAccountRecoverySettingRecoveryMechanism,
    CognitoUserPoolAdminCreateUserConfig,
    CognitoUserPoolEmailConfiguration,
    CognitoUserPoolPasswordPolicy,
    CognitoUserPoolUserAttributeUpdateSettings,
    CognitoUserPoolUsernameConfiguration,
    CognitoUserPoolVerificationMessageTemplate,
)
from cdktf_cdktf_provider_aws.cognito_user_pool_client import (
    CognitoUserPoolClient,
    CognitoUserPoolClientTokenValidityUnits,
)
from cdktf_cdktf_provider_aws.kms_alias import KmsAlias
from cdktf_cdktf_provider_aws.kms_key import KmsKey
from cdktf_cdktf_provider_aws.wafv2_web_acl import (
    Wafv2WebAcl,
    Wafv2WebAclCustomResponseBody,
    Wafv2WebAclDefaultAction,
    Wafv2WebAclDefaultActionAllow,
    Wafv2WebAclRule,
    Wafv2WebAclRuleAction,
    Wafv2WebAclRuleActionBlock,
    Wafv2WebAclRuleActionBlockCustomResponse,
    Wafv2WebAclRuleActionBlockCustomResponseResponseHeader,
    Wafv2WebAclRuleOverrideAction,
    Wafv2WebAclRuleOverrideActionNone,
    Wafv2WebAclRuleVisibilityConfig,
    Wafv2WebAclVisibilityConfig,
)
from cdktf_cdktf_provider_aws.wafv2_web_acl_association import Wafv2WebAclAssociation
from cdktf_cdktf_provider_aws.wafv2_web_acl_logging_configuration import (
    Wafv2WebAclLoggingConfiguration,
    Wafv2WebAclLoggingConfigurationLoggingFilter,
    Wafv2WebAclLoggingConfigurationLoggingFilterFilter,
    Wafv2WebAclLoggingConfigurationLoggingFilterFilterCondition,
    Wafv2WebAclLoggingConfigurationLoggingFilterFilterConditionActionCondition,
    Wafv2WebAclLoggingConfigurationRedactedFields,
    Wafv2WebAclLoggingConfigurationRedactedFieldsQueryString,
    Wafv2WebAclLoggingConfigurationRedactedFieldsSingleHeader,
)
from constructs import Construct

from environments.resource_names import PROJECT
from modules.api.errors import GatewayError
from modules.base.log_group import LogGroup
from modules.base.naming import Names, service_tag
from modules.base.policy import Statement, policy_document

RATE_LIMIT = 1000
"""The specification's maximum number of requests per network address within RATE_WINDOW."""
RATE_WINDOW = 300
"""Seconds. The specification requires 5 minutes."""
RATE_LIMIT_BODY = "rate-limit"

COUNTED_RULES = (
    "SizeRestrictions_BODY",
    "CrossSiteScripting_BODY",
    "GenericLFI_BODY",
    "GenericRFI_BODY",
    "EC2MetaDataSSRF_BODY",
)
"""Rules of AWS's common rule set that only count requests instead of blocking them.

They are all the rules of the set that inspect the body (WAF developer guide, baseline rule groups).
Posts, code and prompts can resemble attacks. For example, GenericLFI_BODY matches `../`.
"""

ROLES = {
    "moderator": "Deletes content that violates the rules",
    "admin": "Administers the platform",
}
"""The descriptions of the Cognito groups. The role `user`, which all users have, has no group."""

COGNITO_TOKEN_MINUTES = 5
"""Minutes. Cognito's minimum validity of access and id tokens. The auth service uses each token for
only one ChangePassword call.
"""
COGNITO_REFRESH_MINUTES = 60
"""Minutes. Cognito's minimum validity of refresh tokens, which the platform does not use."""


class Security(Construct):
    """The customer managed KMS key, the Cognito user pool and the web ACLs of an environment.

    Attributes:
        kms_key_arn: The KMS key of topics and queues that AWS services write to.
        user_pool_id, user_pool_arn: The user pool.
        user_pool_client_id: The app client, without a secret, that only the auth service uses.
        web_acl_arn: The web ACL for the REST API's stage. The user pool has a separate web ACL.
    """

    def __init__(self, scope: Construct, id_: str, *, names: Names) -> None:
        super().__init__(scope, id_)
        environment = names.environment
        self._environment = environment
        self._names = names
        self.kms_key_arn: str = self._key().arn
        pool = self._user_pool()
        self.user_pool_id: str = pool.id
        self.user_pool_arn: str = pool.arn
        self.user_pool_client_id: str = self._client(pool).id
        self.web_acl_arn: str = self._web_acl(
            "firewall",
            name=f"multitask-waf-{environment.name}",
            description="Rate limit and AWS's common rules, for the REST API",
            rate_limited=environment.rate_limiting,
        ).arn
        # The user pool's web ACL has no rate limit, because all requests to the pool come from the
        # few addresses of the auth service. The auth service limits the requests of each client.
        pool_acl = self._web_acl(
            "user-pool-firewall",
            name=names.of("auth", "waf"),
            description="AWS's common rules, for the user pool",
            rate_limited=False,
        )
        Wafv2WebAclAssociation(
            self, "user-pool-firewall-of", resource_arn=pool.arn, web_acl_arn=pool_acl.arn
        )

    def _key(self) -> KmsKey:
        account = self._environment.account_id
        use = ["kms:Decrypt", "kms:GenerateDataKey*"]
        policy = policy_document(
            [
                Statement(
                    # Lets IAM policies of the account allow access. Without this statement, nobody
                    # could ever change the key.
                    sid="Account",
                    actions=["kms:*"],
                    resources=["*"],
                    principals={"AWS": f"arn:aws:iam::{account}:root"},
                ),
                Statement(
                    sid="Services",
                    actions=use,
                    resources=["*"],
                    principals={
                        "Service": [
                            "budgets.amazonaws.com",
                            "cloudwatch.amazonaws.com",
                            "sns.amazonaws.com",
                        ],
                    },
                    conditions={"StringEquals": {"aws:SourceAccount": account}},
                ),
                Statement(
                    # EventBridge sends no source account to an encrypted topic (SNS developer
                    # guide, key management), so a condition would reject its events. Instead, the
                    # policies of topics and queues restrict the senders.
                    sid="Events",
                    actions=use,
                    resources=["*"],
                    principals={"Service": "events.amazonaws.com"},
                ),
            ]
        )
        key = KmsKey(
            self,
            "key",
            description=f"Topics and queues of {PROJECT} {self._environment.name}",
            enable_key_rotation=True,
            deletion_window_in_days=30 if self._environment.retains_data else 7,
            policy=policy,
            tags=service_tag("platform"),
        )
        KmsAlias(
            self,
            "key-alias",
            name=f"alias/multitask-{self._environment.name}",
            target_key_id=key.key_id,
        )
        return key

    def _user_pool(self) -> CognitoUserPool:
        environment = self._environment
        retain = environment.retains_data
        pool = CognitoUserPool(
            self,
            "user-pool",
            name=f"{PROJECT}-{environment.name}",
            # The cheapest tier. Threat protection is only in the most expensive tier.
            user_pool_tier="LITE",
            username_attributes=["email"],
            username_configuration=CognitoUserPoolUsernameConfiguration(case_sensitive=False),
            auto_verified_attributes=["email"],
            user_attribute_update_settings=CognitoUserPoolUserAttributeUpdateSettings(
                attributes_require_verification_before_update=["email"]
            ),
            admin_create_user_config=CognitoUserPoolAdminCreateUserConfig(
                allow_admin_create_user_only=False
            ),
            password_policy=CognitoUserPoolPasswordPolicy(
                minimum_length=8,
                require_lowercase=True,
                require_uppercase=True,
                require_numbers=True,
                require_symbols=True,
                temporary_password_validity_days=7,
            ),
            account_recovery_setting=CognitoUserPoolAccountRecoverySetting(
                recovery_mechanism=[
                    CognitoUserPoolAccountRecoverySettingRecoveryMechanism(
                        name="verified_email", priority=1
                    )
                ]
            ),
            verification_message_template=CognitoUserPoolVerificationMessageTemplate(
                default_email_option="CONFIRM_WITH_CODE",
                email_subject="Verify your email for Multitask Platform",
                email_message="Your verification code is {####}",
            ),
            email_configuration=CognitoUserPoolEmailConfiguration(
                email_sending_account="DEVELOPER"
                if environment.mail_identity_arn
                else "COGNITO_DEFAULT",
                source_arn=environment.mail_identity_arn,
            ),
            deletion_protection="ACTIVE" if retain else "INACTIVE",
            lifecycle=TerraformResourceLifecycle(prevent_destroy=True) if retain else None,
            tags=service_tag("auth"),
        )
        for role, description in ROLES.items():
            CognitoUserGroup(self, role, name=role, description=description, user_pool_id=pool.id)
        return pool

    def _client(self, pool: CognitoUserPool) -> CognitoUserPoolClient:
        unit = "minutes"
        return CognitoUserPoolClient(
            self,
            "user-pool-client",
            name=f"{PROJECT}-{self._environment.name}",
            user_pool_id=pool.id,
            generate_secret=False,
            explicit_auth_flows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"],
            prevent_user_existence_errors="ENABLED",
            enable_token_revocation=True,
            read_attributes=["email", "email_verified", "name"],
            write_attributes=["email", "name"],
            access_token_validity=COGNITO_TOKEN_MINUTES,
            id_token_validity=COGNITO_TOKEN_MINUTES,
            refresh_token_validity=COGNITO_REFRESH_MINUTES,
            token_validity_units=[
                CognitoUserPoolClientTokenValidityUnits(
                    access_token=unit, id_token=unit, refresh_token=unit
                )
            ],
        )

    def _web_acl(self, id_: str, *, name: str, description: str, rate_limited: bool) -> Wafv2WebAcl:
        acl = _WebAcl(
            self,
            id_,
            name=name,
            description=description,
            scope="REGIONAL",
            default_action=Wafv2WebAclDefaultAction(allow=Wafv2WebAclDefaultActionAllow()),
            custom_response_body=[_rate_limit_body()] if rate_limited else None,
            rule=[*([_rate_limit_rule()] if rate_limited else []), _common_rules()],
            visibility_config=Wafv2WebAclVisibilityConfig(
                sampled_requests_enabled=True, cloudwatch_metrics_enabled=True, metric_name=name
            ),
            tags=service_tag("platform"),
        )
        self._log(acl, id_, name)
        return acl

    def _log(self, acl: Wafv2WebAcl, id_: str, name: str) -> None:
        """Logs blocked and counted requests of a web ACL.

        Allowed requests are in the API's access log.
        """
        log_group = LogGroup(
            self,
            f"{id_}-log",
            environment=self._environment,
            name=f"aws-waf-logs-{name}",  # WAF requires the prefix aws-waf-logs-
            service="platform",
        )
        condition = Wafv2WebAclLoggingConfigurationLoggingFilterFilterCondition
        action = Wafv2WebAclLoggingConfigurationLoggingFilterFilterConditionActionCondition
        Wafv2WebAclLoggingConfiguration(
            self,
            f"{id_}-logging",
            resource_arn=acl.arn,
            log_destination_configs=[log_group.arn],
            logging_filter=Wafv2WebAclLoggingConfigurationLoggingFilter(
                default_behavior="DROP",
                filter=[
                    Wafv2WebAclLoggingConfigurationLoggingFilterFilter(
                        behavior="KEEP",
                        requirement="MEETS_ANY",
                        condition=[
                            condition(action_condition=action(action=kept))
                            for kept in ("BLOCK", "COUNT")
                        ],
                    )
                ],
            ),
            redacted_fields=[
                Wafv2WebAclLoggingConfigurationRedactedFields(
                    single_header=Wafv2WebAclLoggingConfigurationRedactedFieldsSingleHeader(
                        name="authorization"
                    )
                ),
                Wafv2WebAclLoggingConfigurationRedactedFields(
                    query_string=Wafv2WebAclLoggingConfigurationRedactedFieldsQueryString()
                ),
            ],
        )


class _WebAcl(Wafv2WebAcl):
    """A web ACL that CDKTF can write to HCL.

    In the bindings, rule statements have no type. CDKTF would write them as attributes, not blocks.
    """

    def _synthesize_hcl_attributes(self) -> Mapping[str, Any]:
        attributes = super()._synthesize_hcl_attributes()
        for rule in attributes["rule"]["value"]:
            rule["statement"] = _blocks(rule["statement"]["value"])
        return attributes


def _blocks(value: Any) -> dict[str, Any]:
    """Converts mappings, alone or in a list, to values that CDKTF writes to HCL as blocks."""
    if isinstance(value, Mapping | list):
        blocks = value if isinstance(value, list) else [value]
        inner = [{name: _blocks(item) for name, item in block.items()} for block in blocks]
        return {"value": inner, "isBlock": True, "type": "list"}
    kind = "number" if isinstance(value, int) else "string"
    return {"value": value, "isBlock": False, "type": "simple", "storageClassType": kind}


def _rate_limit_body() -> Wafv2WebAclCustomResponseBody:
    error = GatewayError(
        429,
        "Too Many Requests",
        "too_many_requests",
        f"Too many requests from this address. Try again in {RATE_WINDOW} seconds.",
    )
    # The content type is application/json, because WAF does not support application/problem+json.
    return Wafv2WebAclCustomResponseBody(
        key=RATE_LIMIT_BODY, content_type="APPLICATION_JSON", content=error.body
    )


def _rate_limit_rule() -> Wafv2WebAclRule:
    headers = {
        "Retry-After": str(RATE_WINDOW),
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "Retry-After",
    }
    header = Wafv2WebAclRuleActionBlockCustomResponseResponseHeader
    response = Wafv2WebAclRuleActionBlockCustomResponse(
        response_code=429,
        custom_response_body_key=RATE_LIMIT_BODY,
        response_header=[header(name=name, value=value) for name, value in headers.items()],
    )
    return Wafv2WebAclRule(
        name="RateLimitRule",
        priority=1,
        action=Wafv2WebAclRuleAction(block=Wafv2WebAclRuleActionBlock(custom_response=response)),
        statement={
            "rate_based_statement": {
                "limit": RATE_LIMIT,
                "aggregate_key_type": "IP",
                "evaluation_window_sec": RATE_WINDOW,
            }
        },
        visibility_config=_visibility("RateLimitRule"),
    )


def _common_rules() -> Wafv2WebAclRule:
    counted: list[dict[str, Any]] = [
        {"name": name, "action_to_use": {"count": {}}} for name in COUNTED_RULES
    ]
    return Wafv2WebAclRule(
        name="AWSManagedRulesCommonRuleSet",
        priority=2,
        override_action=Wafv2WebAclRuleOverrideAction(none=Wafv2WebAclRuleOverrideActionNone()),
        statement={
            "managed_rule_group_statement": {
                "vendor_name": "AWS",
                "name": "AWSManagedRulesCommonRuleSet",
                "rule_action_override": counted,
            }
        },
        visibility_config=_visibility("CommonRuleSetMetric"),
    )


def _visibility(metric: str) -> Wafv2WebAclRuleVisibilityConfig:
    return Wafv2WebAclRuleVisibilityConfig(
        sampled_requests_enabled=True, cloudwatch_metrics_enabled=True, metric_name=metric
    )
