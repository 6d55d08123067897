"""The permissions of the workflows' roles, and the boundary of all roles in the stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from environments import Environment
from environments.resource_names import GLOBAL_REGION, ledger_table, topic_name
from modules.base.naming import Names
from modules.base.policy import Statement

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
"""Services that create their own role when an account first uses them."""
READING = ("Describe", "Get", "List")
"""The prefixes of read-only IAM actions."""
PASSED_TO = [f"{service}.amazonaws.com" for service in ("lambda", "scheduler", "vpc-flow-logs")]
"""Services that use roles of the stack."""


@dataclass(frozen=True)
class DeploymentPermissions:
    """Policy statements by topic. Each list fits into one policy.

    Where ARNs contain names, permissions are limited to the environment's names. Where they contain
    ids, `other_environments` protects resources with another environment's tag. Resources with
    neither are protected only by separate accounts.
    """

    environment: Environment
    names: Names

    @property
    def boundary_arn(self) -> str:
        """The ARN of the policy that bounds every role of the stack."""
        return self._global_arn("iam", f"policy/{self.names.of('platform', 'boundary')}")

    def state(self, *, write: bool) -> list[Statement]:
        """Allows using the environment's Terraform state, and what every plan needs."""
        state = self.environment.state
        bucket, key = f"arn:aws:s3:::{state.bucket}", f"arn:aws:s3:::{state.bucket}/{state.key}"
        statements = [
            Statement(
                sid="FindState",
                actions=["s3:ListBucket"],
                resources=[bucket],
                # Terraform also lists other workspaces, which are below env:/.
                conditions={"StringLike": {"s3:prefix": [f"{state.key}*", "env:/*"]}},
            ),
            Statement(
                sid="State",
                actions=["s3:GetObject", *(["s3:PutObject"] if write else [])],
                resources=[key],
            ),
            # Readers check whether a writer holds the lock.
            Statement(sid="ReadLock", actions=["s3:GetObject"], resources=[f"{key}.tflock"]),
            # A plan also opens ephemeral resources, whose generated values are discarded.
            Statement(
                sid="MakeSecrets", actions=["secretsmanager:GetRandomPassword"], resources=["*"]
            ),
        ]
        if write:
            lock = ["s3:PutObject", "s3:DeleteObject"]
            statements.append(Statement(sid="Lock", actions=lock, resources=[f"{key}.tflock"]))
        return statements

    def no_data(self) -> list[Statement]:
        """Denies reading data, even if the role gets more permissions later."""
        return [
            Statement(
                sid="NoData",
                effect="Deny",
                actions=_actions(
                    "ssm:GetParameter* secretsmanager:GetSecretValue dynamodb:GetItem BatchGetItem Query Scan "
                    "GetRecords PartiQLSelect sqs:ReceiveMessage logs:GetLogEvents FilterLogEvents StartQuery"
                ),
                resources=["*"],
            ),
            Statement(
                sid="NoObjects",
                effect="Deny",
                actions=["s3:GetObject*"],
                resources=self._buckets(
                    ("profile", "avatars"),
                    ("chat", "attachments"),
                    ("platform", "backups"),
                    ("platform", "access-logs"),
                ),
            ),
        ]

    def releases(self) -> list[Statement]:
        """Allows shifting traffic without Terraform.

        Used by `ops release`, `rollback`, `deploy-function`, `prune`, `smoke` and `publish-site`.
        It is also the policy for human operators (docs/policies/operator.json).
        """
        environment, names = self.environment.name, self.names
        functions = names.arn("lambda", f"function:*-lambda-{environment}")
        state = self.environment.state
        site = f"arn:aws:s3:::{names.bucket('platform', 'frontend')}"
        return [
            Statement(
                sid="ReadState",
                actions=["s3:GetObject"],
                resources=[
                    f"arn:aws:s3:::{state.bucket}/{state.key}",
                    f"arn:aws:s3:::{state.bucket}/{state.key}.tflock",
                ],
            ),
            Statement(
                sid="SeeState",  # without it, S3 does not report that the lock is absent
                actions=["s3:ListBucket"],
                resources=[f"arn:aws:s3:::{state.bucket}"],
                conditions={"StringLike": {"s3:prefix": f"{state.key}*"}},
            ),
            Statement(
                sid="Ledger",
                actions=_actions("dynamodb:GetItem PutItem UpdateItem DeleteItem Query"),
                resources=[names.arn("dynamodb", f"table/{ledger_table(environment)}")],
            ),
            Statement(
                sid="MoveTraffic",
                actions=_actions(
                    "lambda:GetAlias UpdateAlias ListAliases ListVersionsByFunction GetFunctionConfiguration "
                    "UpdateFunctionCode PublishVersion InvokeFunction"
                ),
                resources=[functions, f"{functions}:*"],
            ),
            # Only versions, never the function itself.
            Statement(
                sid="DeleteVersions",
                actions=["lambda:DeleteFunction"],
                resources=[f"{functions}:*"],
            ),
            Statement(
                sid="Watch",  # CloudWatch has no resource-level permissions for these
                actions=["cloudwatch:GetMetricData", "cloudwatch:DescribeAlarms"],
                resources=["*"],
            ),
            Statement(
                sid="FindFailures",
                actions=["logs:FilterLogEvents"],
                resources=[
                    names.arn("logs", f"log-group:/aws/lambda/*-lambda-{environment}{rest}")
                    for rest in ("", ":*")
                ],
            ),
            Statement(
                sid="SmokeAccount",
                actions=_actions(
                    "cognito-idp:AdminCreateUser AdminEnableUser AdminDisableUser AdminSetUserPassword"
                ),
                resources=[names.arn("cognito-idp", "userpool/*")],
                conditions=self._not_of_another(),
            ),
            Statement(
                sid="Tell",
                actions=["sns:Publish"],
                resources=[names.arn("sns", topic_name("alerts", environment))],
            ),
            Statement(
                sid="TellEncrypted",
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=[names.arn("kms", "key/*")],
                conditions={
                    "StringEquals": {
                        "kms:ViaService": f"sns.{self.environment.region}.amazonaws.com"
                    }
                },
            ),
            Statement(sid="FindSite", actions=["s3:ListBucket"], resources=[site]),
            Statement(
                sid="Site",
                actions=_actions("s3:GetObject PutObject DeleteObject"),
                resources=[f"{site}/*"],
            ),
            Statement(
                sid="ForgetSite",
                actions=["cloudfront:CreateInvalidation"],
                resources=[self._global_arn("cloudfront", "distribution/*")],
                conditions=self._not_of_another(),
            ),
        ]

    def functions(self) -> list[Statement]:
        """Functions, events, queues, topics, logs and alarms."""
        environment, names = self.environment.name, self.names
        functions = names.arn("lambda", f"function:*-lambda-{environment}")
        bus = f"multitask-events-{environment}"
        log_groups = [
            names.arn("logs", f"log-group:{group}{rest}")
            for group in (
                f"*-{environment}",
                *(
                    f"{kind}*/{environment}"
                    for kind in ("API-Gateway-Execution-Logs_", "/aws/apigateway/")
                ),
            )
            for rest in ("", ":*", "/*")
        ]
        return [
            Statement(
                sid="Functions", actions=["lambda:*"], resources=[functions, f"{functions}:*"]
            ),
            Statement(
                sid="EventSources",
                actions=_actions(
                    "lambda:CreateEventSourceMapping UpdateEventSourceMapping DeleteEventSourceMapping"
                ),
                resources=["*"],
                conditions={"ArnLike": {"lambda:FunctionArn": functions}},
            ),
            Statement(
                sid="Events",
                actions=["events:*"],
                resources=[
                    names.arn("events", f"event-bus/{bus}"),
                    names.arn("events", f"rule/{bus}/*"),
                    *self._named("events", "rule/", "archive/"),
                ],
            ),
            Statement(
                sid="Schedules",
                actions=["scheduler:*"],
                resources=self._named("scheduler", "schedule/default/"),
            ),
            Statement(
                sid="Queues",
                actions=_actions("sqs:CreateQueue DeleteQueue GetQueue* SetQueueAttributes *Tag*"),
                resources=self._queues(),
            ),
            Statement(
                sid="Topics",
                actions=_actions(
                    "sns:CreateTopic DeleteTopic *Attributes Subscribe List* *agResource"
                ),
                resources=[
                    *self._named("sns", "multitask-"),
                    names.arn("sns", f"multitask-*-{environment}:*"),
                ],
            ),
            Statement(
                sid="Logs",
                actions=_actions("logs:CreateLogGroup DeleteLogGroup *RetentionPolicy *Tag*"),
                resources=log_groups,
            ),
            Statement(
                sid="LogSettings",  # account-wide: these have no resource-level permissions
                actions=_actions(
                    "logs:Describe* *LogDelivery ListLogDeliveries PutResourcePolicy *QueryDefinition"
                ),
                resources=["*"],
            ),
            Statement(
                sid="Alarms",
                actions=_actions(
                    "cloudwatch:PutMetricAlarm DeleteAlarms *agResource ListTagsForResource"
                ),
                resources=self._named("cloudwatch", "alarm:"),
            ),
            Statement(
                sid="Dashboards",
                actions=["cloudwatch:*Dashboard", "cloudwatch:DeleteDashboards"],
                resources=[self._global_arn("cloudwatch", f"dashboard/multitask-*-{environment}")],
            ),
            Statement(
                sid="Traces",
                actions=_actions("xray:*Group *agResource ListTagsForResource"),
                resources=[names.arn("xray", f"group/*-{environment}/*")],
            ),
            Statement(
                sid="Unnamed",  # these have no resource-level permissions
                actions=_actions(
                    "cloudwatch:DescribeAlarms sns:*SubscriptionAttributes Unsubscribe "
                    "lambda:*EventSourceMappings GetEventSourceMapping sqs:ListQueues"
                ),
                resources=["*"],
            ),
        ]

    def data(self) -> list[Statement]:
        """Allows managing tables, databases, buckets, users, keys and parameters, not their data."""
        environment, names = self.environment.name, self.names
        every_bucket = f"arn:aws:s3:::{names.bucket('*', '*')}"
        published = self._buckets(("platform", "artifacts"), ("platform", "frontend"))
        statements = [
            Statement(
                sid="Tables",
                actions=_actions(
                    "dynamodb:CreateTable UpdateTable DeleteTable Describe* UpdateTimeToLive "
                    "UpdateContinuousBackups *Tag*"
                ),
                resources=self._named("dynamodb", "table/"),
            ),
            Statement(
                sid="TableCapacity",
                actions=["application-autoscaling:*"],
                resources=["*"],  # the ARNs of targets and policies contain ids
                conditions={
                    "StringEquals": {"application-autoscaling:service-namespace": "dynamodb"}
                },
            ),
            Statement(
                sid="Database",
                actions=_actions(
                    "rds:Create* Modify* Delete* Describe* *Tags* ResetDBClusterParameterGroup"
                ),
                resources=[
                    *self._named("rds", "cluster:", "cluster-pg:", "subgrp:"),
                    names.arn("rds", f"db:*-{environment}*"),
                    names.arn("rds", "pg:default.*"),
                    names.arn("rds", "og:default:*"),
                ],
            ),
            Statement(
                sid="DatabaseSecret",  # RDS creates and rotates it
                actions=_actions("secretsmanager:CreateSecret TagResource DescribeSecret"),
                resources=[names.arn("secretsmanager", "secret:rds!cluster-*")],
            ),
            Statement(
                sid="Cache",
                actions=_actions("elasticache:Create* Modify* Delete* Describe* *Tags*"),
                resources=[
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
                ],
            ),
            Statement(sid="Buckets", actions=["s3:*"], resources=[every_bucket]),
            Statement(
                sid="Publish",
                actions=_actions("s3:GetObject* PutObject PutObjectTagging DeleteObject*"),
                resources=published,
            ),
            Statement(
                sid="Users",
                actions=_actions(
                    "cognito-idp:*UserPool *UserPoolClient *UserPoolMfaConfig *Group *agResource ListTagsForResource"
                ),
                resources=[names.arn("cognito-idp", "userpool/*")],
            ),
            Statement(
                sid="Keys",
                actions=_actions(
                    "kms:Describe* Get* ListResourceTags PutKeyPolicy UpdateKeyDescription EnableKeyRotation "
                    "ScheduleKeyDeletion *agResource *Alias"
                ),
                resources=[names.arn("kms", "key/*")],
            ),
            Statement(
                sid="MakeKeys",
                actions=["kms:CreateKey", "kms:TagResource"],
                resources=["*"],
                conditions=self._of_environment("RequestTag"),
            ),
            Statement(
                sid="KeyAlias",
                actions=["kms:*Alias"],
                resources=[names.arn("kms", f"alias/multitask-{environment}")],
            ),
            Statement(
                sid="Parameters",
                actions=_actions(
                    "ssm:PutParameter GetParameter* DeleteParameter *TagsToResource *TagsFromResource "
                    "ListTagsForResource"
                ),
                resources=[names.arn("ssm", f"parameter{names.parameter('*')}")],
            ),
            Statement(
                sid="Unnamed",  # these have no resource-level permissions
                actions=_actions(
                    "application-autoscaling:Describe* ListTagsForResource cognito-idp:CreateUserPool "
                    "kms:ListAliases ssm:DescribeParameters rds:DescribeDB* DescribeGlobalClusters"
                ),
                resources=["*"],
            ),
        ]
        if not self.environment.retains_data:
            emptied = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
            statements.append(
                Statement(sid="EmptyBuckets", actions=emptied, resources=[f"{every_bucket}/*"])
            )
        return statements

    def edge(self) -> list[Statement]:
        """APIs, CDN, certificates, DNS records, firewall and budget."""
        environment, names, region = self.environment, self.names, self.environment.region
        certificates = [
            f"arn:aws:acm:{certificate_region}:{environment.account_id}:certificate/*"
            for certificate_region in sorted({region, GLOBAL_REGION})
        ]
        statements = [
            Statement(
                sid="Apis",
                actions=["apigateway:*"],
                resources=[
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
                ],
            ),
            Statement(
                sid="Cdn",
                actions=["cloudfront:*"],
                resources=[
                    self._global_arn("cloudfront", kind)
                    for kind in (
                        "distribution/*",
                        f"function/*-{environment.name}",
                        "origin-access-control/*",
                        "response-headers-policy/*",
                    )
                ],
            ),
            Statement(
                sid="MakeCdn",  # these resources have no ARN before they exist
                actions=_actions(
                    "cloudfront:CreateOriginAccessControl CreateResponseHeadersPolicy CreateFunction"
                ),
                resources=["*"],
            ),
            Statement(
                sid="Certificates",
                actions=_actions(
                    "acm:DescribeCertificate DeleteCertificate *TagsToCertificate RemoveTagsFromCertificate "
                    "ListTagsForCertificate"
                ),
                resources=certificates,
            ),
            Statement(
                sid="MakeCertificates",
                actions=["acm:RequestCertificate"],
                resources=["*"],
                conditions=self._of_environment("RequestTag"),
            ),
            Statement(
                sid="Firewall",
                actions=["wafv2:*"],
                resources=[
                    names.arn("wafv2", f"regional/webacl/multitask-waf-{environment.name}/*"),
                    names.arn("wafv2", f"regional/webacl/{names.of('auth', 'waf')}/*"),
                    names.arn("wafv2", "regional/managedruleset/*"),
                    names.arn("cognito-idp", "userpool/*"),
                    f"arn:aws:apigateway:{region}::/restapis/*/stages/{environment.name}",
                ],
            ),
            Statement(
                sid="FirewallOfPool",
                actions=_actions(
                    "cognito-idp:AssociateWebACL DisassociateWebACL GetWebACLForResource"
                ),
                resources=[names.arn("cognito-idp", "userpool/*")],
            ),
            Statement(
                sid="Budget",
                actions=_actions("budgets:ViewBudget ModifyBudget *agResource ListTagsForResource"),
                resources=[
                    self._global_arn("budgets", f"budget/multitask-platform-{environment.name}")
                ],
            ),
        ]
        if environment.domains:
            domains = environment.domains
            own = [domains.api, domains.websocket, domains.cdn, domains.site, *domains.site_aliases]
            statements += [
                Statement(
                    sid="Records",
                    actions=["route53:ChangeResourceRecordSets"],
                    resources=[f"arn:aws:route53:::hostedzone/{environment.hosted_zone_id}"],
                    conditions={
                        "ForAllValues:StringLike": {
                            # Each name, and its certificate validation record.
                            "route53:ChangeResourceRecordSetsNormalizedRecordNames": [
                                *own,
                                *(f"_*.{name}" for name in own),
                            ]
                        }
                    },
                ),
                Statement(
                    sid="LookAtRecords",
                    actions=_actions("route53:GetHostedZone ListResourceRecordSets GetChange"),
                    resources=[
                        f"arn:aws:route53:::hostedzone/{environment.hosted_zone_id}",
                        "arn:aws:route53:::change/*",
                    ],
                ),
            ]
        return statements

    def network(self) -> list[Statement]:
        """Allows managing the VPC and everything in it."""
        network = [
            "ec2:*Vpc",
            "ec2:ModifyVpcAttribute",
            "ec2:*VpcEndpoint*",
            "ec2:*Subnet*",
            "ec2:*RouteTable",
            "ec2:*Route",
            "ec2:*InternetGateway",
            "ec2:*NatGateway",
            "ec2:*Address",
            "ec2:*SecurityGroup*",
            "ec2:*FlowLogs",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ]
        return [
            Statement(sid="Look", actions=["ec2:Describe*"], resources=["*"]),
            Statement(
                sid="MakeNetwork",
                actions=network,
                resources=["*"],
                conditions=self._of_environment("RequestTag"),
            ),
            Statement(
                sid="ChangeNetwork",
                actions=network,
                resources=["*"],
                conditions=self._of_environment("ResourceTag"),
            ),
            Statement(
                sid="EmptyDefaultGroup",  # each VPC has one, which has no tags at first
                actions=["ec2:RevokeSecurityGroupIngress", "ec2:RevokeSecurityGroupEgress"],
                resources=[self.names.arn("ec2", "security-group/*")],
                conditions={"Null": {"aws:ResourceTag/Environment": "true"}},
            ),
            self.other_environments(),
        ]

    def identity(self) -> list[Statement]:
        """Allows managing the functions' roles within the boundary, and passing them to AWS."""
        roles = [self._global_arn("iam", f"role/*-role-{self.environment.name}")]
        own = [
            self.boundary_arn,
            *(
                self._global_arn("iam", f"{kind}/platform-{name}*-{self.environment.name}")
                for kind in ("role", "policy")
                for name in ("deploy-", "plan-", "drift-")
            ),
        ]
        return [
            Statement(
                sid="MakeRoles",
                actions=_actions(
                    "iam:CreateRole PutRolePolicy AttachRolePolicy PutRolePermissionsBoundary"
                ),
                resources=roles,
                conditions={"StringEquals": {"iam:PermissionsBoundary": self.boundary_arn}},
            ),
            Statement(
                sid="KeepRoles",
                actions=_actions(
                    "iam:UpdateRole UpdateRoleDescription UpdateAssumeRolePolicy DeleteRole DeleteRolePolicy "
                    "DetachRolePolicy TagRole UntagRole"
                ),
                resources=roles,
            ),
            Statement(
                sid="PassRoles",
                actions=["iam:PassRole"],
                resources=roles,
                conditions={"StringEquals": {"iam:PassedToService": PASSED_TO}},
            ),
            Statement(
                sid="ServiceLinkedRoles",
                actions=["iam:CreateServiceLinkedRole"],
                resources=[self._global_arn("iam", "role/aws-service-role/*")],
                conditions={"StringEquals": {"iam:AWSServiceName": SERVICE_LINKED_ROLES}},
            ),
            Statement(
                sid="Look",
                actions=["iam:Get*", "iam:List*"],
                resources=[
                    *roles,
                    self._global_arn("iam", f"policy/platform-*-{self.environment.name}"),
                ],
            ),
            Statement(
                sid="NotItself",
                effect="Deny",
                actions=_actions(
                    "iam:Add* Attach* Create* Delete* Detach* PassRole Put* Set* Tag* Untag* Update*"
                ),
                resources=own,
            ),
            Statement(
                sid="KeepBoundary",
                effect="Deny",
                actions=["iam:DeleteRolePermissionsBoundary"],
                resources=["*"],
            ),
        ]

    def removal(self) -> list[Statement]:
        """Replaces `identity` for removing the environment, with the workflows' roles and boundary.

        No role of the stack has these permissions. Operators attach them
        (docs/policies/remove-identity.json).
        """
        roles = self._global_arn("iam", f"role/*-role-{self.environment.name}")
        policies = self._global_arn("iam", f"policy/platform-*-{self.environment.name}")
        return [
            Statement(
                sid="RemoveRoles",
                actions=_actions("iam:Get* List* DeleteRole DeleteRolePolicy DetachRolePolicy"),
                resources=[roles],
            ),
            Statement(
                sid="RemovePolicies",
                actions=_actions("iam:Get* List* DeletePolicy DeletePolicyVersion"),
                resources=[policies],
            ),
        ]

    def boundary(self) -> list[Statement]:
        """Returns the boundary: what this environment's functions need, without administration."""
        environment, names = self.environment.name, self.names
        every_bucket = f"arn:aws:s3:::{names.bucket('*', '*')}"
        return [
            Statement(
                sid="Data",
                actions=_actions(
                    "dynamodb:*Item Query ConditionCheckItem DescribeTable *Stream* GetRecords "
                    "GetShardIterator s3:*Object* ListBucket ssm:GetParameter* secretsmanager:GetSecretValue "
                    "rds-db:connect elasticache:Connect"
                ),
                resources=[
                    *self._named("dynamodb", "table/"),
                    names.arn("dynamodb", f"table/*-{environment}/*"),
                    every_bucket,
                    f"{every_bucket}/*",
                    names.arn("ssm", f"parameter{names.parameter('*')}"),
                    names.arn("secretsmanager", "secret:rds!cluster-*"),
                    names.arn("rds-db", "dbuser:*/*"),
                    *self._named("elasticache", "replicationgroup:", "user:"),
                ],
            ),
            Statement(
                # The only table that is scanned: it contains only unpublished events.
                sid="Outbox",
                actions=["dynamodb:Scan"],
                resources=[names.arn("dynamodb", f"table/platform-outbox-{environment}")],
            ),
            Statement(
                sid="Messages",
                actions=_actions(
                    "sqs:*Message* GetQueueAttributes sns:Publish events:PutEvents lambda:InvokeFunction"
                ),
                resources=[
                    *self._queues(),
                    *self._named("sns", ""),
                    *self._named("events", "event-bus/"),
                    *self._named("lambda", "function:"),
                    names.arn("lambda", f"function:*-{environment}:*"),
                ],
            ),
            Statement(
                sid="Callers",
                actions=_actions("cognito-idp:Admin* execute-api:ManageConnections Invoke"),
                resources=[
                    names.arn("cognito-idp", "userpool/*"),
                    names.arn("execute-api", f"*/{environment}/*"),
                ],
            ),
            Statement(
                sid="Logs",
                actions=_actions("logs:CreateLogStream PutLogEvents Describe*"),
                resources=[
                    names.arn("logs", f"log-group:*-{environment}"),
                    names.arn("logs", f"log-group:*-{environment}:*"),
                ],
            ),
            Statement(
                sid="Runtime",  # these have no resource-level permissions
                actions=_actions(
                    "xray:Put* cloudwatch:PutMetricData ec2:CreateNetworkInterface DeleteNetworkInterface "
                    "DescribeNetworkInterfaces DescribeSubnets *PrivateIpAddresses"
                ),
                resources=["*"],
            ),
            Statement(
                sid="Keys",
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=[names.arn("kms", "key/*")],
            ),
            self.other_environments(),
        ]

    def other_environments(self) -> Statement:
        """Denies access to resources with another environment's tag, for all services."""
        return Statement(
            sid="OtherEnvironments",
            effect="Deny",
            actions=["*"],
            resources=["*"],
            conditions={
                "StringNotEquals": {"aws:ResourceTag/Environment": self.environment.name},
                "Null": {"aws:ResourceTag/Environment": "false"},
            },
        )

    def _global_arn(self, service: str, resource: str) -> str:
        """Returns an ARN of a global service."""
        return f"arn:aws:{service}::{self.environment.account_id}:{resource}"

    def _named(self, service: str, *kinds: str) -> list[str]:
        """Returns ARN patterns for the environment's names, for each kind, such as `table/`."""
        return [self.names.arn(service, f"{kind}*-{self.environment.name}") for kind in kinds]

    def _queues(self) -> list[str]:
        """Returns ARN patterns of the environment's queues. FIFO queue names must end in `.fifo`."""
        return [*self._named("sqs", ""), self.names.arn("sqs", f"*-{self.environment.name}.fifo")]

    def _of_environment(self, tag: str) -> Mapping[str, Mapping[str, str | Sequence[str]]]:
        return {"StringEquals": {f"aws:{tag}/Environment": self.environment.name}}

    def _not_of_another(self) -> Mapping[str, Mapping[str, str | Sequence[str]]]:
        """Everything in the stack is tagged. IfExists is for an emulated AWS without tag checks."""
        return {"StringEqualsIfExists": {"aws:ResourceTag/Environment": self.environment.name}}

    def _buckets(self, *names: tuple[str, str]) -> list[str]:
        return [
            f"arn:aws:s3:::{self.names.bucket(service, resource)}/*" for service, resource in names
        ]


def reading(statements: Sequence[Statement]) -> list[Statement]:
    """Returns statements with only the read actions, and all that deny."""
    result = []
    for statement in statements:
        actions = [action for item in statement.actions for action in _reading(item)]
        if statement.effect == "Deny":
            result.append(statement)
        elif actions:
            result.append(replace(statement, actions=list(dict.fromkeys(actions))))
    return result


def _reading(action: str) -> list[str]:
    service, _, name = action.partition(":")
    if service == "apigateway":  # its actions are HTTP methods
        return [f"{service}:GET"]
    if name == "*":
        return [f"{service}:{verb}*" for verb in READING]
    if name.startswith(READING):
        return [action]
    return [f"{service}:{verb}{name}" for verb in READING] if name.startswith("*") else []


def _actions(text: str) -> list[str]:
    """Expands `service:Action Action ... service:Action ...` to a list of IAM actions."""
    actions, service = [], ""
    for word in text.split():
        prefix, colon, action = word.rpartition(":")
        service = prefix if colon else service
        actions.append(f"{service}:{action}")
    return actions
