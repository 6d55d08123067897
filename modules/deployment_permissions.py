"""The permissions of the workflows' roles, and the boundary of all roles in the stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from environments import Environment, FunctionName
from environments.resource_names import (
    API_LOGGING_POLICY,
    API_LOGGING_ROLE,
    GITHUB_ISSUER,
    GLOBAL_REGION,
    SERVICE_LINKED_ROLES,
    ledger_table,
    topic_name,
)
from modules.base.naming import Names
from modules.base.policy import Statement

Conditions = Mapping[str, Mapping[str, str | Sequence[str]]]

READ_ACTION_PREFIXES = ("Describe", "Get", "List")
"""The prefixes of read-only IAM actions."""

OTHER_READ_ACTIONS = ("budgets:ViewBudget",)
"""Read-only actions whose names have none of the prefixes in READ_ACTION_PREFIXES."""

PLATFORM_ROLES = ("exports", "flow-logs")
"""The purposes of the stack's roles that do not belong to a function."""

WORKFLOW_ROLES = ("deploy", "drift", "plan")

ASSUMING_SERVICES = [
    f"{service}.amazonaws.com" for service in ("lambda", "scheduler", "vpc-flow-logs")
]
"""The services that assume roles of the stack."""


@dataclass(frozen=True)
class DeploymentPermissions:
    """The policy statements of an environment. Each method returns the statements of one policy.

    Where ARNs contain names, permissions are limited to the names of the environment's resources.
    Where ARNs contain ids, `deny_other_environments` protects resources with another environment's
    tag. Resources that have neither names in their ARNs nor tags are protected only by separate
    accounts.
    """

    environment: Environment
    names: Names

    @property
    def boundary_arn(self) -> str:
        """The ARN of the permissions boundary of all roles in the stack."""
        return self._global_arn("iam", f"policy/{self.names.of('platform', 'boundary')}")

    def allow_state_access(self, *, write: bool) -> list[Statement]:
        """Allows planning with the Terraform state.

        With `write`, also allows changing the state and running `ops doctor`.
        """
        state = self.environment.state
        bucket, key = f"arn:aws:s3:::{state.bucket}", f"arn:aws:s3:::{state.bucket}/{state.key}"
        # Terraform also lists the states of other workspaces, which have the prefix env:/.
        prefixes = {"StringLike": {"s3:prefix": [f"{state.key}*", "env:/*"]}}
        statements = [
            _allow("FindState", "s3:ListBucket", bucket, conditions=prefixes),
            _allow("State", "s3:GetObject PutObject" if write else "s3:GetObject", key),
            # Even commands that only read the state check whether another command holds the lock.
            _allow("ReadLock", "s3:GetObject", f"{key}.tflock"),
            # A plan also opens ephemeral resources, whose generated values are discarded.
            _allow("MakeSecrets", "secretsmanager:GetRandomPassword", "*"),
        ]
        if write:
            statements.append(_allow("Lock", "s3:PutObject DeleteObject", f"{key}.tflock"))
            statements += self._doctor_statements(bucket)
        return statements

    def _doctor_statements(self, state_bucket: str) -> list[Statement]:
        """Allows the checks before a deployment (`ops doctor`) that no other statement allows."""
        return [
            _allow("CheckStateBucket", "s3:GetBucketVersioning", state_bucket),
            _allow(
                "CheckApiSettings",
                "apigateway:GET",
                f"arn:aws:apigateway:{self.environment.region}::/account",
            ),
            # The actions of this statement read settings and lists of the whole account.
            _allow(
                "CheckAccount",
                "ec2:DescribeRegions DescribeAddresses DescribeVpcs s3:ListAllMyBuckets "
                "iam:ListRoles ListOpenIDConnectProviders acm:ListCertificates "
                "ses:GetEmailIdentity GetAccount lambda:GetAccountSettings "
                "cloudfront:ListDistributions servicequotas:GetServiceQuota",
                "*",
            ),
        ]

    def deny_data_access(self) -> list[Statement]:
        """Denies reading users' data and secrets, even if the role gets more permissions later."""
        return [
            _deny(
                "NoData",
                "ssm:GetParameter* secretsmanager:GetSecretValue "
                "dynamodb:GetItem BatchGetItem Query Scan GetRecords PartiQLSelect "
                "sqs:ReceiveMessage logs:GetLogEvents FilterLogEvents StartQuery",
                "*",
            ),
            _deny(
                "NoObjects",
                "s3:GetObject*",
                *self._buckets(
                    ("profile", "avatars"),
                    ("chat", "attachments"),
                    ("platform", "backups"),
                    ("platform", "access-logs"),
                ),
            ),
        ]

    def allow_releases(self) -> list[Statement]:
        """Allows shifting traffic without Terraform.

        The commands `ops release`, `rollback`, `deploy-function`, `prune`, `smoke` and
        `publish-site` need these permissions. Operators have the same policy
        (docs/policies/operator.json).
        """
        environment, names = self.environment.name, self.names
        functions = names.arn("lambda", f"function:*-lambda-{environment}")
        state = self.environment.state
        bucket, key = f"arn:aws:s3:::{state.bucket}", f"arn:aws:s3:::{state.bucket}/{state.key}"
        site = f"arn:aws:s3:::{names.bucket('platform', 'frontend')}"
        return [
            _allow("ReadState", "s3:GetObject", key, f"{key}.tflock"),
            # Without s3:ListBucket, S3 returns 403 instead of 404 for a lock that does not exist.
            _allow(
                "SeeState",
                "s3:ListBucket",
                bucket,
                conditions={"StringLike": {"s3:prefix": f"{state.key}*"}},
            ),
            _allow(
                "Ledger",
                "dynamodb:GetItem PutItem UpdateItem DeleteItem Query",
                names.arn("dynamodb", f"table/{ledger_table(environment)}"),
            ),
            _allow(
                "MoveTraffic",
                "lambda:GetAlias UpdateAlias ListAliases ListVersionsByFunction "
                "GetFunctionConfiguration UpdateFunctionCode PublishVersion InvokeFunction "
                "GetProvisionedConcurrencyConfig PutProvisionedConcurrencyConfig "
                "DeleteProvisionedConcurrencyConfig",
                functions,
                f"{functions}:*",
            ),
            # Allows deleting versions, but not the function itself.
            _allow("DeleteVersions", "lambda:DeleteFunction", f"{functions}:*"),
            # CloudWatch has no resource-level permissions for these actions.
            _allow("Watch", "cloudwatch:GetMetricData DescribeAlarms", "*"),
            _allow(
                "FindFailures",
                "logs:FilterLogEvents",
                *(
                    names.arn("logs", f"log-group:/aws/lambda/*-lambda-{environment}{rest}")
                    for rest in ("", ":*")
                ),
            ),
            _allow(
                "SmokeAccount",
                "cognito-idp:AdminCreateUser AdminEnableUser AdminDisableUser AdminSetUserPassword",
                names.arn("cognito-idp", "userpool/*"),
                conditions=self._excluding_other_environments(),
            ),
            _allow("Tell", "sns:Publish", names.arn("sns", topic_name("alerts", environment))),
            _allow(
                "TellEncrypted",
                "kms:Decrypt GenerateDataKey*",
                names.arn("kms", "key/*"),
                conditions={
                    "StringEquals": {
                        "kms:ViaService": f"sns.{self.environment.region}.amazonaws.com"
                    }
                },
            ),
            _allow("FindSite", "s3:ListBucket", site),
            _allow("Site", "s3:GetObject PutObject DeleteObject", f"{site}/*"),
            _allow(
                "ForgetSite",
                "cloudfront:CreateInvalidation",
                self._global_arn("cloudfront", "distribution/*"),
                conditions=self._excluding_other_environments(),
            ),
        ]

    def allow_managing_functions(self) -> list[Statement]:
        """Allows managing functions, events, queues, topics, logs and alarms."""
        environment, names = self.environment.name, self.names
        functions = names.arn("lambda", f"function:*-lambda-{environment}")
        bus = f"multitask-events-{environment}"
        log_groups = (
            f"*-{environment}",
            f"API-Gateway-Execution-Logs_*/{environment}",
            f"/aws/apigateway/*/{environment}",
        )
        return [
            _allow("Functions", "lambda:*", functions, f"{functions}:*"),
            _allow(
                "EventSources",
                "lambda:CreateEventSourceMapping UpdateEventSourceMapping DeleteEventSourceMapping",
                "*",
                # lambda:FunctionArn ends with an alias, because event sources invoke an alias.
                conditions={"ArnLike": {"lambda:FunctionArn": [functions, f"{functions}:*"]}},
            ),
            # This statement covers all event sources, because their ARNs contain ids, and the tag
            # actions do not support lambda:FunctionArn.
            _allow(
                "TagEventSources",
                "lambda:*agResource ListTags",
                names.arn("lambda", "event-source-mapping:*"),
            ),
            _allow(
                "Events",
                "events:*",
                names.arn("events", f"event-bus/{bus}"),
                names.arn("events", f"rule/{bus}/*"),
                *self._named("events", "rule/", "archive/"),
            ),
            _allow("Schedules", "scheduler:*", *self._named("scheduler", "schedule/default/")),
            _allow(
                "Queues",
                "sqs:CreateQueue DeleteQueue GetQueue* SetQueueAttributes *Tag*",
                *self._queues(),
            ),
            _allow(
                "Topics",
                "sns:CreateTopic DeleteTopic *Attributes Subscribe List* *agResource",
                *self._named("sns", "multitask-"),
                names.arn("sns", f"multitask-*-{environment}:*"),
            ),
            _allow(
                "Logs",
                "logs:CreateLogGroup DeleteLogGroup *RetentionPolicy *Tag*",
                *(
                    names.arn("logs", f"log-group:{group}{rest}")
                    for group in log_groups
                    for rest in ("", ":*", "/*")
                ),
            ),
            # The actions of the next statement have no resource-level permissions.
            _allow(
                "LogSettings",
                "logs:Describe* *LogDelivery ListLogDeliveries PutResourcePolicy *QueryDefinition",
                "*",
            ),
            _allow(
                "Alarms",
                "cloudwatch:PutMetricAlarm DeleteAlarms *agResource ListTagsForResource",
                *self._named("cloudwatch", "alarm:"),
            ),
            _allow(
                "Dashboards",
                "cloudwatch:*Dashboard DeleteDashboards",
                self._global_arn("cloudwatch", f"dashboard/multitask-*-{environment}"),
            ),
            _allow(
                "Traces",
                "xray:*Group *agResource ListTagsForResource",
                names.arn("xray", f"group/*-{environment}/*"),
            ),
            # The actions of the next statement have no resource-level permissions.
            _allow(
                "Unnamed",
                "cloudwatch:DescribeAlarms sns:*SubscriptionAttributes Unsubscribe "
                "lambda:*EventSourceMappings GetEventSourceMapping sqs:ListQueues",
                "*",
            ),
        ]

    def allow_managing_data_stores(self) -> list[Statement]:
        """Allows managing tables, databases, buckets, users and keys, but not reading the data."""
        environment, names = self.environment.name, self.names
        every_bucket = f"arn:aws:s3:::{names.bucket('*', '*')}"
        user_pools = names.arn("cognito-idp", "userpool/*")
        statements = [
            _allow(
                "Tables",
                "dynamodb:CreateTable UpdateTable DeleteTable Describe* UpdateTimeToLive "
                "UpdateContinuousBackups *Tag*",
                *self._named("dynamodb", "table/"),
            ),
            # The ARNs of targets and policies contain ids, so the service namespace limits the
            # permission.
            _allow(
                "TableCapacity",
                "application-autoscaling:*",
                "*",
                conditions={
                    "StringEquals": {"application-autoscaling:service-namespace": "dynamodb"}
                },
            ),
            # TagResource does not support the condition on the service namespace.
            _allow(
                "TagTableCapacity",
                "application-autoscaling:*agResource",
                names.arn("application-autoscaling", "scalable-target/*"),
            ),
            _allow(
                "Database",
                "rds:Create* Modify* Delete* Describe* *Tags* ResetDBClusterParameterGroup",
                *self._named("rds", "cluster:", "cluster-pg:", "subgrp:"),
                names.arn("rds", f"db:*-{environment}*"),
                names.arn("rds", "pg:default.*"),
                names.arn("rds", "og:default:*"),
            ),
            # RDS creates the secret with the caller's permissions, and rotates it without them.
            _allow(
                "DatabaseSecret",
                "secretsmanager:CreateSecret TagResource DescribeSecret",
                names.arn("secretsmanager", "secret:rds!cluster-*"),
            ),
            _allow(
                "Cache",
                "elasticache:Create* Modify* Delete* Describe* *Tags* *ReplicaCount",
                *self._named(
                    "elasticache",
                    "replicationgroup:",
                    "subnetgroup:",
                    "parametergroup:",
                    "user:",
                    "usergroup:",
                ),
                names.arn("elasticache", f"cluster:*-{environment}*"),
                names.arn("elasticache", "parametergroup:default.*"),
            ),
            _allow("Buckets", "s3:*", every_bucket),
            _allow(
                "Publish",
                "s3:GetObject* PutObject PutObjectTagging DeleteObject*",
                *self._buckets(("platform", "artifacts"), ("platform", "frontend")),
            ),
            _allow(
                "Users",
                "cognito-idp:*UserPool *UserPoolClient *UserPoolMfaConfig *Group "
                "AddCustomAttributes *agResource ListTagsForResource",
                user_pools,
            ),
            _allow(
                "Keys",
                "kms:Describe* Get* ListResourceTags PutKeyPolicy UpdateKeyDescription "
                "EnableKey EnableKeyRotation ScheduleKeyDeletion *agResource *Alias",
                names.arn("kms", "key/*"),
            ),
            _allow(
                "MakeKeys",
                "kms:CreateKey TagResource",
                "*",
                conditions=self._of_environment("RequestTag"),
            ),
            _allow("KeyAlias", "kms:*Alias", names.arn("kms", f"alias/multitask-{environment}")),
            _allow(
                "Parameters",
                "ssm:PutParameter GetParameter* DeleteParameter *TagsToResource "
                "*TagsFromResource ListTagsForResource",
                names.arn("ssm", f"parameter{names.parameter('*')}"),
            ),
            # The actions of the next statement have no resource-level permissions.
            _allow(
                "Unnamed",
                "application-autoscaling:Describe* ListTagsForResource cognito-idp:CreateUserPool "
                "kms:ListAliases ssm:DescribeParameters rds:DescribeDB* DescribeGlobalClusters",
                "*",
            ),
        ]
        if not self.environment.retains_data:
            emptied = "s3:DeleteObject DeleteObjectVersion"
            statements.append(_allow("EmptyBuckets", emptied, f"{every_bucket}/*"))
        return statements

    def allow_managing_edge(self) -> list[Statement]:
        """Allows managing APIs, CDN, certificates, DNS records, firewall and budget."""
        environment, names, region = self.environment, self.names, self.environment.region
        user_pools = names.arn("cognito-idp", "userpool/*")
        statements = [
            _allow(
                "Apis",
                "apigateway:*",
                *(
                    f"arn:aws:apigateway:{region}::/{kind}"
                    for kind in (
                        "restapis",
                        "restapis/*",
                        "apis",
                        "apis/*",
                        "domainnames",
                        "domainnames/*",
                        "tags/*",
                    )
                ),
            ),
            _allow(
                "Cdn",
                "cloudfront:*",
                *(
                    self._global_arn("cloudfront", kind)
                    for kind in (
                        "distribution/*",
                        f"function/*-{environment.name}",
                        "origin-access-control/*",
                        "response-headers-policy/*",
                    )
                ),
            ),
            # A resource has no ARN before it is created. UpdateDistribution is for the distribution
            # of an edge-optimized API domain, which belongs to an account of AWS.
            _allow(
                "MakeCdn",
                "cloudfront:CreateOriginAccessControl CreateResponseHeadersPolicy CreateFunction "
                "CreateDistribution UpdateDistribution",
                "*",
            ),
            _allow(
                "Certificates",
                "acm:DescribeCertificate DeleteCertificate *TagsToCertificate "
                "RemoveTagsFromCertificate ListTagsForCertificate",
                *(
                    f"arn:aws:acm:{certificate_region}:{environment.account_id}:certificate/*"
                    for certificate_region in sorted({region, GLOBAL_REGION})
                ),
            ),
            _allow(
                "MakeCertificates",
                "acm:RequestCertificate",
                "*",
                conditions=self._of_environment("RequestTag"),
            ),
            _allow(
                "Firewall",
                "wafv2:*",
                names.arn("wafv2", f"regional/webacl/multitask-waf-{environment.name}/*"),
                names.arn("wafv2", f"regional/webacl/{names.of('auth', 'waf')}/*"),
                names.arn("wafv2", "regional/managedruleset/*"),
                user_pools,
                f"arn:aws:apigateway:{region}::/restapis/*/stages/{environment.name}",
            ),
            _allow(
                "FirewallOfPool",
                "cognito-idp:AssociateWebACL DisassociateWebACL GetWebACLForResource",
                user_pools,
                names.arn("wafv2", f"regional/webacl/{names.of('auth', 'waf')}/*"),
            ),
            _allow(
                "Budget",
                "budgets:ViewBudget ModifyBudget *agResource ListTagsForResource",
                self._global_arn("budgets", f"budget/multitask-platform-{environment.name}"),
            ),
            # If a budget has no billing view, AWS checks the permission on the account's default
            # view.
            _allow(
                "BudgetCosts",
                "billing:GetBillingViewData",
                self._global_arn("billing", "billingview/primary"),
            ),
        ]
        if environment.domains:
            domains = environment.domains
            own = [domains.api, domains.websocket, domains.cdn, domains.site, *domains.site_aliases]
            zone = f"arn:aws:route53:::hostedzone/{environment.hosted_zone_id}"
            # Names of the environment's records, and of records that validate certificates.
            records = [*own, *(f"_*.{name}" for name in own)]
            record_names = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
            statements += [
                _allow(
                    "Records",
                    "route53:ChangeResourceRecordSets",
                    zone,
                    conditions={"ForAllValues:StringLike": {record_names: records}},
                ),
                _allow(
                    "LookAtRecords",
                    "route53:GetHostedZone ListResourceRecordSets GetChange",
                    zone,
                    "arn:aws:route53:::change/*",
                ),
            ]
        return statements

    def allow_managing_network(self) -> list[Statement]:
        """Allows managing the VPC and everything in it."""
        network = (
            "ec2:*Vpc ModifyVpcAttribute *VpcEndpoint* *Subnet* *RouteTable *Route "
            "ReplaceRouteTableAssociation *InternetGateway *NatGateway *Address *SecurityGroup* "
            "*FlowLogs CreateTags DeleteTags"
        )
        if self.environment.network.ipv6_egress:
            # These actions add IPv6 to an existing VPC.
            network += " AssociateVpcCidrBlock DisassociateVpcCidrBlock"
        return [
            _allow("Look", "ec2:Describe*", "*"),
            _allow("MakeNetwork", network, "*", conditions=self._of_environment("RequestTag")),
            _allow("ChangeNetwork", network, "*", conditions=self._of_environment("ResourceTag")),
            # An interface endpoint with private DNS associates a hosted zone of AWS with the VPC.
            _allow("EndpointNames", "route53:AssociateVPCWithHostedZone", "*"),
            # Lambda's network interfaces have no tags and can outlast their function. The provider
            # deletes them before it deletes their subnet or security group.
            _allow(
                "RemoveInterfaces",
                "ec2:DetachNetworkInterface DeleteNetworkInterface",
                "*",
                conditions=self._excluding_other_environments(),
            ),
            # Each VPC has a default security group, which has no tags at first.
            _allow(
                "EmptyDefaultGroup",
                "ec2:RevokeSecurityGroupIngress RevokeSecurityGroupEgress",
                self.names.arn("ec2", "security-group/*"),
                conditions={"Null": {"aws:ResourceTag/Environment": "true"}},
            ),
            self.deny_other_environments(),
        ]

    def allow_managing_roles(self) -> list[Statement]:
        """Allows managing the stack's roles, which must have the boundary, and passing them to AWS
        services.
        """
        roles, workflows, policies = self._roles(), self._workflow_roles(), self._policies()
        own = [
            self.boundary_arn,
            *(
                self._global_arn("iam", f"{kind}/platform-{name}*-{self.environment.name}")
                for kind in ("role", "policy")
                for name in ("deploy-", "plan-", "drift-")
            ),
        ]
        return [
            _allow(
                "MakeRoles",
                "iam:CreateRole PutRolePolicy AttachRolePolicy PutRolePermissionsBoundary",
                *roles,
                conditions={"StringEquals": {"iam:PermissionsBoundary": self.boundary_arn}},
            ),
            _allow(
                "KeepRoles",
                "iam:UpdateRole UpdateRoleDescription UpdateAssumeRolePolicy DeleteRole "
                "DeleteRolePolicy DetachRolePolicy TagRole UntagRole",
                *roles,
            ),
            _allow(
                "PassRoles",
                "iam:PassRole",
                *roles,
                conditions={"StringEquals": {"iam:PassedToService": ASSUMING_SERVICES}},
            ),
            _allow(
                "ServiceLinkedRoles",
                "iam:CreateServiceLinkedRole",
                self._global_arn("iam", "role/aws-service-role/*"),
                conditions={"StringEquals": {"iam:AWSServiceName": SERVICE_LINKED_ROLES}},
            ),
            _allow("Look", "iam:Get* List*", *roles, *workflows, policies),
            _deny(
                "NotItself",
                "iam:Add* Attach* Create* Delete* Detach* PassRole Put* Set* Tag* Untag* Update*",
                *own,
            ),
            _deny("KeepBoundary", "iam:DeleteRolePermissionsBoundary", "*"),
        ]

    def allow_managing_all_roles(self) -> list[Statement]:
        """Allows managing the stack's roles, the workflows' roles, and the boundary.

        Operators attach this policy instead of `deploy-identity` for the first deployment, and for
        changes of these roles and the boundary (docs/policies/administer-identity.json). No role of
        the stack has these permissions, because they are enough to obtain any other permission.
        """
        return [
            *(
                statement
                for statement in self.allow_managing_roles()
                if statement.sid not in {"Look", "NotItself"}
            ),
            _allow(
                "WorkflowRoles",
                "iam:Get* List* CreateRole UpdateRole UpdateRoleDescription DeleteRole *RolePolicy "
                "PutRolePermissionsBoundary TagRole UntagRole",
                *self._workflow_roles(),
            ),
            _allow("Look", "iam:Get* List*", *self._roles()),
            _allow(
                "Policies",
                "iam:Get* List* CreatePolicy CreatePolicyVersion SetDefaultPolicyVersion "
                "DeletePolicy DeletePolicyVersion TagPolicy UntagPolicy",
                self._policies(),
            ),
        ]

    def allow_bootstrap(self) -> list[Statement]:
        """Allows `ops bootstrap` to create the state bucket and to change the settings of the
        account.
        """
        state, region = self.environment.state, self.environment.region
        logging_role = self._role(API_LOGGING_ROLE)
        return [
            _allow(
                "StateBucket",
                "s3:CreateBucket ListBucket GetBucketVersioning PutBucketVersioning "
                "GetEncryptionConfiguration PutEncryptionConfiguration GetBucketPublicAccessBlock "
                "PutBucketPublicAccessBlock GetLifecycleConfiguration PutLifecycleConfiguration "
                "GetBucketPolicy PutBucketPolicy",
                f"arn:aws:s3:::{state.bucket}",
            ),
            _allow("ApiSettings", "apigateway:GET PATCH", f"arn:aws:apigateway:{region}::/account"),
            _allow("LoggingRole", "iam:GetRole CreateRole", logging_role),
            _allow(
                "LoggingPolicy",
                "iam:AttachRolePolicy",
                logging_role,
                conditions={"ArnEquals": {"iam:PolicyARN": API_LOGGING_POLICY}},
            ),
            _allow(
                "PassLoggingRole",
                "iam:PassRole",
                logging_role,
                conditions={"StringEquals": {"iam:PassedToService": "apigateway.amazonaws.com"}},
            ),
            _allow(
                "GitHub",
                "iam:CreateOpenIDConnectProvider",
                self._global_arn("iam", f"oidc-provider/{GITHUB_ISSUER}"),
            ),
            # The actions of the next statement have no resource-level permissions.
            _allow(
                "Unnamed",
                "iam:ListOpenIDConnectProviders lambda:GetAccountSettings "
                "cloudwatch:ListMetrics ce:ListCostAllocationTags "
                "UpdateCostAllocationTagsStatus",
                "*",
            ),
        ]

    def allow_removing_all_roles(self) -> list[Statement]:
        """Allows removing all roles, including the workflows' roles, and the boundary.

        No role of the stack has these permissions. Operators attach this policy instead of
        `deploy-identity` to remove the environment (docs/policies/remove-identity.json).
        """
        return [
            _allow(
                "RemoveRoles",
                "iam:Get* List* DeleteRole DeleteRolePolicy DetachRolePolicy",
                *self._roles(),
                *self._workflow_roles(),
            ),
            _allow(
                "RemovePolicies",
                "iam:Get* List* DeletePolicy DeletePolicyVersion",
                self._policies(),
            ),
        ]

    def boundary(self) -> list[Statement]:
        """Returns the permissions boundary: all that functions need, but no administration."""
        environment, names = self.environment.name, self.names
        every_bucket = f"arn:aws:s3:::{names.bucket('*', '*')}"
        return [
            _allow(
                "Data",
                "dynamodb:*Item Query ConditionCheckItem DescribeTable *Stream* GetRecords "
                "GetShardIterator ExportTableToPointInTime s3:*Object* ListBucket "
                "AbortMultipartUpload ssm:GetParameter* "
                "secretsmanager:GetSecretValue rds-db:connect elasticache:Connect",
                *self._named("dynamodb", "table/"),
                names.arn("dynamodb", f"table/*-{environment}/*"),
                every_bucket,
                f"{every_bucket}/*",
                names.arn("ssm", f"parameter{names.parameter('*')}"),
                names.arn("secretsmanager", "secret:rds!cluster-*"),
                names.arn("rds-db", "dbuser:*/*"),
                *self._named("elasticache", "replicationgroup:", "user:"),
            ),
            # The outbox is the only table that the boundary allows scanning. It is small, because
            # it contains only unpublished events.
            _allow(
                "Outbox",
                "dynamodb:Scan",
                names.arn("dynamodb", f"table/platform-outbox-{environment}"),
            ),
            _allow(
                "Messages",
                "sqs:*Message* GetQueueAttributes sns:Publish events:PutEvents "
                "lambda:InvokeFunction",
                *self._queues(),
                *self._named("sns", ""),
                *self._named("events", "event-bus/"),
                *self._named("lambda", "function:"),
                names.arn("lambda", f"function:*-{environment}:*"),
            ),
            _allow(
                "Callers",
                "cognito-idp:Admin* execute-api:ManageConnections Invoke",
                names.arn("cognito-idp", "userpool/*"),
                names.arn("execute-api", f"*/{environment}/*"),
            ),
            _allow(
                "Logs",
                "logs:CreateLogGroup CreateLogStream PutLogEvents DescribeLogStreams",
                names.arn("logs", f"log-group:*-{environment}"),
                names.arn("logs", f"log-group:*-{environment}:*"),
            ),
            # The actions of the next statement have no resource-level permissions.
            _allow(
                "Runtime",
                "xray:Put* cloudwatch:PutMetricData ec2:CreateNetworkInterface "
                "DeleteNetworkInterface DescribeNetworkInterfaces DescribeSubnets "
                "*PrivateIpAddresses logs:DescribeLogGroups",
                "*",
            ),
            _allow("Keys", "kms:Decrypt GenerateDataKey*", names.arn("kms", "key/*")),
            self.deny_other_environments(),
        ]

    def deny_other_environments(self) -> Statement:
        """Denies access to resources with another environment's tag, for all services."""
        return _deny(
            "OtherEnvironments",
            "*",
            "*",
            conditions={
                "StringNotEquals": {"aws:ResourceTag/Environment": self.environment.name},
                "Null": {"aws:ResourceTag/Environment": "false"},
            },
        )

    def _roles(self) -> list[str]:
        """Returns the ARNs of all roles that must have the boundary.

        The ARNs are complete, because a pattern such as `*-role-<environment>` would include roles
        of other projects. A role that can change the trust policy of another role can also assume
        that role.
        """
        return [
            self._role(name)
            for name in (
                *(self.names.of(function, "role") for function in get_args(FunctionName)),
                *(self.names.of("platform", f"{purpose}-role") for purpose in PLATFORM_ROLES),
            )
        ]

    def _workflow_roles(self) -> list[str]:
        return [self._role(self.names.of("platform", f"{kind}-role")) for kind in WORKFLOW_ROLES]

    def _role(self, name: str) -> str:
        return self._global_arn("iam", f"role/{name}")

    def _policies(self) -> str:
        """Returns the ARN pattern of the workflows' policies and the boundary."""
        return self._global_arn("iam", f"policy/platform-*-{self.environment.name}")

    def _global_arn(self, service: str, resource: str) -> str:
        """Returns the ARN of a resource of a global service, which has no region."""
        return f"arn:aws:{service}::{self.environment.account_id}:{resource}"

    def _named(self, service: str, *prefixes: str) -> list[str]:
        """Returns, for each ARN prefix (such as `table/`), a pattern that matches the
        environment's resource names.
        """
        environment = self.environment.name
        return [self.names.arn(service, f"{prefix}*-{environment}") for prefix in prefixes]

    def _queues(self) -> list[str]:
        """Returns the ARN patterns of the environment's standard and FIFO queues."""
        return [*self._named("sqs", ""), self.names.arn("sqs", f"*-{self.environment.name}.fifo")]

    def _of_environment(self, tag: str) -> Conditions:
        return {"StringEquals": {f"aws:{tag}/Environment": self.environment.name}}

    def _excluding_other_environments(self) -> Conditions:
        """Returns a condition that excludes resources with another environment's tag.

        `IfExists` includes resources without the tag: Lambda's network interfaces have no tags, and
        the embedded AWS (the AWS emulator for local use) ignores tags.
        """
        return {"StringEqualsIfExists": {"aws:ResourceTag/Environment": self.environment.name}}

    def _buckets(self, *names: tuple[str, str]) -> list[str]:
        return [
            f"arn:aws:s3:::{self.names.bucket(service, resource)}/*" for service, resource in names
        ]


def read_only(statements: Sequence[Statement]) -> list[Statement]:
    """Keeps only the read actions of Allow statements. Keeps Deny statements unchanged."""
    result = []
    for statement in statements:
        actions = [action for item in statement.actions for action in _read_actions(item)]
        if statement.effect == "Deny":
            result.append(statement)
        elif actions:
            result.append(replace(statement, actions=list(dict.fromkeys(actions))))
    return result


def _read_actions(action: str) -> list[str]:
    service, _, name = action.partition(":")
    if service == "apigateway":  # the actions of API Gateway are HTTP methods
        return [f"{service}:GET"]
    if name == "*":
        return [f"{service}:{verb}*" for verb in READ_ACTION_PREFIXES]
    if name.startswith(READ_ACTION_PREFIXES) or action in OTHER_READ_ACTIONS:
        return [action]
    return (
        [f"{service}:{verb}{name}" for verb in READ_ACTION_PREFIXES] if name.startswith("*") else []
    )


def _allow(
    sid: str, actions: str, *resources: str, conditions: Conditions | None = None
) -> Statement:
    """Creates a statement that allows actions on resources.

    `actions` is for example `s3:GetObject PutObject`, or `*` for all actions. An action
    without a service prefix belongs to the service of the preceding action.
    """
    expanded, service = [], ""
    for word in actions.split():
        prefix, colon, action = word.rpartition(":")
        service = prefix if colon else service
        expanded.append(f"{service}:{action}" if service else action)
    return Statement(sid=sid, actions=expanded, resources=resources, conditions=conditions or {})


def _deny(
    sid: str, actions: str, *resources: str, conditions: Conditions | None = None
) -> Statement:
    return replace(_allow(sid, actions, *resources, conditions=conditions), effect="Deny")
