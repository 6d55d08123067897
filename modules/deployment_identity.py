"""Deployment identity: the roles that GitHub's pipelines assume, and the boundary of every role they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cdktf_cdktf_provider_aws.iam_policy import IamPolicy
from cdktf_cdktf_provider_aws.iam_role import IamRole
from cdktf_cdktf_provider_aws.iam_role_policy_attachment import IamRolePolicyAttachment
from constructs import Construct, IConstruct

from environments import Environment
from modules.base.naming import Names, service_tag
from modules.base.policy import Statement, policy_document

SERVICE = "platform"
ISSUER = "token.actions.githubusercontent.com"
MAX_POLICY_LENGTH = 6_144
"""Characters of a managed policy, white space not counted (IAM quotas)."""
EDGE_REGION = "us-east-1"
"""Where CloudFront's certificates and the billing dashboard are."""

Conditions = Mapping[str, Mapping[str, str | Sequence[str]]]

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
"""Services that make their own role on first use in an account."""
PASSED_TO = [f"{service}.amazonaws.com" for service in ("lambda", "scheduler", "vpc-flow-logs")]
"""Services that work under roles of the stack."""


class DeploymentIdentity(Construct):
    """The roles `platform-deploy-role-<env>` and `platform-plan-role-<env>`, for pipelines of the environment's github_repository.

    The deploy role is for jobs that GitHub admits to its environment of the same name. It manages what the stack consists of: what is
    named after the environment; where ARNs hold ids instead of names, what no other environment has tagged. It changes neither itself
    nor the boundary: an operator applies that. Roles it makes carry the boundary, so it can't give what it doesn't have.

    The plan role is for pull requests, whose code anybody with write access may change before it is reviewed. It reads the state, which
    holds no secret, and nothing else: it plans with `-refresh=false -lock=false`. A refresh would have to read the values of parameters.

    Args:
        environment: without a github_repository there are no such roles.
        names: of the environment.

    Attributes:
        deploy_role_arn, plan_role_arn: None without a github_repository.

    Raises:
        ValueError: a policy is longer than IAM takes.
    """

    def __init__(self, scope: Construct, id_: str, *, environment: Environment, names: Names) -> None:
        super().__init__(scope, id_)
        self._environment, self._names = environment, names
        self._boundary_arn = self._global_arn("iam", f"policy/{names.of(SERVICE, 'boundary')}")
        self.deploy_role_arn: str | None = None
        self.plan_role_arn: str | None = None
        if environment.github_repository is None:
            return
        self._boundary = self._policy("boundary", self._boundary_statements())
        self.deploy_role_arn = self._role(
            "deploy",
            f"repo:{environment.github_repository}:environment:{environment.name}",
            {
                "state": self._state_statements(write=True),
                "functions": self._function_statements(),
                "data": self._data_statements(),
                "edge": self._edge_statements(),
                "network": self._network_statements(),
                "identity": self._identity_statements(),
            },
        )
        self.plan_role_arn = self._role(
            "plan",
            f"repo:{environment.github_repository}:pull_request",
            {"state": [*self._state_statements(write=False), *self._no_data_statements()]},
        )

    def bound(self, scope: Construct) -> None:
        """Puts the boundary on every role made so far below `scope`, but for the pipelines' own."""
        if self._environment.github_repository is None:
            return
        for construct in scope.node.find_all():
            if isinstance(construct, IamRole) and not _is_below(construct, self):
                construct.permissions_boundary = self._boundary.arn

    def _role(self, kind: str, subject: str, policies: Mapping[str, Sequence[Statement]]) -> str:
        role = IamRole(
            self,
            f"{kind}-role",
            name=self._names.of(SERVICE, f"{kind}-role"),
            description=f"Assumed by {subject}",
            assume_role_policy=policy_document(
                [
                    Statement(
                        sid="Assume",
                        actions=["sts:AssumeRoleWithWebIdentity"],
                        principals={"Federated": self._global_arn("iam", f"oidc-provider/{ISSUER}")},
                        conditions={"StringEquals": {f"{ISSUER}:aud": "sts.amazonaws.com", f"{ISSUER}:sub": subject}},
                    )
                ]
            ),
            tags=service_tag(SERVICE),
        )
        for name, statements in policies.items():
            IamRolePolicyAttachment(
                self,
                f"{kind}-{name}-attachment",
                role=role.name,
                policy_arn=self._policy(f"{kind}-{name}", statements).arn,
            )
        return str(role.arn)

    def _policy(self, resource: str, statements: Sequence[Statement]) -> IamPolicy:
        name, document = self._names.of(SERVICE, resource), policy_document(statements)
        length = len("".join(document.split()))
        if length > MAX_POLICY_LENGTH:
            raise ValueError(f"policy {name}: {length} characters; IAM takes {MAX_POLICY_LENGTH}, split it")
        return IamPolicy(self, f"{resource}-policy", name=name, policy=document, tags=service_tag(SERVICE))

    def _global_arn(self, service: str, resource: str) -> str:
        """An ARN of a service that knows no regions."""
        return f"arn:aws:{service}::{self._environment.account_id}:{resource}"

    def _named(self, service: str, *kinds: str) -> list[str]:
        """ARNs of what is named after the environment, for each kind, such as `table/`."""
        return [self._names.arn(service, f"{kind}*-{self._environment.name}") for kind in kinds]

    def _of_environment(self, tag: str) -> Conditions:
        return {"StringEquals": {f"aws:{tag}/Environment": self._environment.name}}

    def _other_environments(self) -> Statement:
        """Nothing, of any service, that carries another environment's tag."""
        return Statement(
            sid="OtherEnvironments",
            effect="Deny",
            actions=["*"],
            resources=["*"],
            conditions={
                "StringNotEquals": {"aws:ResourceTag/Environment": self._environment.name},
                "Null": {"aws:ResourceTag/Environment": "false"},
            },
        )

    def _buckets(self, *names: tuple[str, str]) -> list[str]:
        return [f"arn:aws:s3:::{self._names.bucket(service, resource)}/*" for service, resource in names]

    def _state_statements(self, *, write: bool) -> list[Statement]:
        state = self._environment.state
        bucket, key = f"arn:aws:s3:::{state.bucket}", f"arn:aws:s3:::{state.bucket}/{state.key}"
        statements = [
            Statement(
                sid="FindState",
                actions=["s3:ListBucket"],
                resources=[bucket],
                # Terraform also asks for other workspaces, which lie below env:/.
                conditions={"StringLike": {"s3:prefix": [f"{state.key}*", "env:/*"]}},
            ),
            Statement(sid="State", actions=["s3:GetObject", *(["s3:PutObject"] if write else [])], resources=[key]),
            # The plan opens ephemeral resources as well; what is made there is thrown away.
            Statement(sid="MakeSecrets", actions=["secretsmanager:GetRandomPassword"], resources=["*"]),
        ]
        if write:
            lock = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
            statements.append(Statement(sid="Lock", actions=lock, resources=[f"{key}.tflock"]))
        return statements

    def _no_data_statements(self) -> list[Statement]:
        """Holds whatever else the role is ever given."""
        return [
            Statement(
                sid="NoData",
                effect="Deny",
                actions=[
                    "ssm:GetParameter*",
                    "secretsmanager:GetSecretValue",
                    "dynamodb:GetItem",
                    "dynamodb:BatchGetItem",
                    "dynamodb:Query",
                    "dynamodb:Scan",
                    "dynamodb:GetRecords",
                    "dynamodb:PartiQLSelect",
                    "sqs:ReceiveMessage",
                    "logs:GetLogEvents",
                    "logs:FilterLogEvents",
                    "logs:StartQuery",
                ],
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

    def _function_statements(self) -> list[Statement]:
        """Functions, events, queues, topics, logs and alarms."""
        environment, names = self._environment.name, self._names
        functions = names.arn("lambda", f"function:*-lambda-{environment}")
        bus = f"multitask-events-{environment}"
        log_groups = [
            names.arn("logs", f"log-group:{group}{rest}")
            for group in (f"*-{environment}", f"API-Gateway-Execution-Logs_*/{environment}")
            for rest in ("", ":*", "/*")
        ]
        return [
            Statement(sid="Functions", actions=["lambda:*"], resources=[functions, f"{functions}:*"]),
            Statement(
                sid="EventSources",
                actions=[
                    "lambda:CreateEventSourceMapping",
                    "lambda:UpdateEventSourceMapping",
                    "lambda:DeleteEventSourceMapping",
                ],
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
                sid="Schedules", actions=["scheduler:*"], resources=self._named("scheduler", "schedule/default/")
            ),
            Statement(
                sid="Queues",
                actions=[
                    "sqs:CreateQueue",
                    "sqs:DeleteQueue",
                    "sqs:GetQueue*",
                    "sqs:SetQueueAttributes",
                    "sqs:*Tag*",
                ],
                resources=self._named("sqs", ""),
            ),
            Statement(
                sid="Topics",
                actions=[
                    "sns:CreateTopic",
                    "sns:DeleteTopic",
                    "sns:*Attributes",
                    "sns:Subscribe",
                    "sns:List*",
                    "sns:*agResource",
                ],
                resources=[*self._named("sns", "multitask-"), names.arn("sns", f"multitask-*-{environment}:*")],
            ),
            Statement(
                sid="Logs",
                actions=[
                    "logs:CreateLogGroup",
                    "logs:DeleteLogGroup",
                    "logs:*RetentionPolicy",
                    "logs:*Tag*",
                ],
                resources=log_groups,
            ),
            Statement(
                sid="LogSettings",  # of the account: these know no resources
                actions=[
                    "logs:Describe*",
                    "logs:*LogDelivery",
                    "logs:ListLogDeliveries",
                    "logs:PutResourcePolicy",
                    "logs:*QueryDefinition",
                ],
                resources=["*"],
            ),
            Statement(
                sid="Alarms",
                actions=[
                    "cloudwatch:PutMetricAlarm",
                    "cloudwatch:DeleteAlarms",
                    "cloudwatch:*agResource",
                    "cloudwatch:ListTagsForResource",
                ],
                resources=self._named("cloudwatch", "alarm:"),
            ),
            Statement(
                sid="Dashboards",
                actions=["cloudwatch:*Dashboard", "cloudwatch:DeleteDashboards"],
                resources=[self._global_arn("cloudwatch", f"dashboard/multitask-*-{environment}")],
            ),
            Statement(
                sid="Traces",
                actions=["xray:*Group", "xray:*agResource", "xray:ListTagsForResource"],
                resources=[names.arn("xray", f"group/*-{environment}/*")],
            ),
            Statement(
                sid="Unnamed",  # these know no resources
                actions=[
                    "cloudwatch:DescribeAlarms",
                    "sns:*SubscriptionAttributes",
                    "sns:Unsubscribe",
                    "lambda:*EventSourceMappings",
                    "lambda:GetEventSourceMapping",
                    "sqs:ListQueues",
                ],
                resources=["*"],
            ),
        ]

    def _data_statements(self) -> list[Statement]:
        """Tables, databases, buckets, users, keys and parameters: how they are set up, not what is in them."""
        environment, names = self._environment.name, self._names
        every_bucket = f"arn:aws:s3:::{names.bucket('*', '*')}"
        published = self._buckets(("platform", "artifacts"), ("platform", "frontend"))
        statements = [
            Statement(
                sid="Tables",
                actions=[
                    "dynamodb:CreateTable",
                    "dynamodb:UpdateTable",
                    "dynamodb:DeleteTable",
                    "dynamodb:Describe*",
                    "dynamodb:UpdateTimeToLive",
                    "dynamodb:UpdateContinuousBackups",
                    "dynamodb:*Tag*",
                ],
                resources=self._named("dynamodb", "table/"),
            ),
            Statement(
                sid="TableCapacity",
                actions=["application-autoscaling:*"],
                resources=["*"],  # targets and policies are named by ids
                conditions={"StringEquals": {"application-autoscaling:service-namespace": "dynamodb"}},
            ),
            Statement(
                sid="Database",
                actions=[
                    "rds:Create*",
                    "rds:Modify*",
                    "rds:Delete*",
                    "rds:Describe*",
                    "rds:*Tags*",
                    "rds:ResetDBClusterParameterGroup",
                ],
                resources=[
                    *self._named("rds", "cluster:", "cluster-pg:", "subgrp:"),
                    names.arn("rds", f"db:*-{environment}*"),
                    names.arn("rds", "pg:default.*"),
                    names.arn("rds", "og:default:*"),
                ],
            ),
            Statement(
                sid="DatabaseSecret",  # RDS makes and rotates it
                actions=["secretsmanager:CreateSecret", "secretsmanager:TagResource", "secretsmanager:DescribeSecret"],
                resources=[names.arn("secretsmanager", "secret:rds!cluster-*")],
            ),
            Statement(
                sid="Cache",
                actions=[
                    "elasticache:Create*",
                    "elasticache:Modify*",
                    "elasticache:Delete*",
                    "elasticache:Describe*",
                    "elasticache:*Tags*",
                ],
                resources=[
                    *self._named(
                        "elasticache", "replicationgroup:", "subnetgroup:", "parametergroup:", "user:", "usergroup:"
                    ),
                    names.arn("elasticache", f"cluster:*-{environment}*"),
                    names.arn("elasticache", "parametergroup:default.*"),
                ],
            ),
            Statement(sid="Buckets", actions=["s3:*"], resources=[every_bucket]),
            Statement(
                sid="Publish",
                actions=["s3:GetObject*", "s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject*"],
                resources=published,
            ),
            Statement(
                sid="Users",
                actions=[
                    "cognito-idp:*UserPool",
                    "cognito-idp:*UserPoolClient",
                    "cognito-idp:*UserPoolMfaConfig",
                    "cognito-idp:*Group",
                    "cognito-idp:*agResource",
                    "cognito-idp:ListTagsForResource",
                ],
                resources=[names.arn("cognito-idp", "userpool/*")],
            ),
            Statement(
                sid="Keys",
                actions=[
                    "kms:Describe*",
                    "kms:Get*",
                    "kms:ListResourceTags",
                    "kms:PutKeyPolicy",
                    "kms:UpdateKeyDescription",
                    "kms:EnableKeyRotation",
                    "kms:ScheduleKeyDeletion",
                    "kms:*agResource",
                    "kms:*Alias",
                ],
                resources=[names.arn("kms", "key/*")],
            ),
            Statement(
                sid="MakeKeys",
                actions=["kms:CreateKey", "kms:TagResource"],
                resources=["*"],
                conditions=self._of_environment("RequestTag"),
            ),
            Statement(
                sid="KeyAlias", actions=["kms:*Alias"], resources=[names.arn("kms", f"alias/multitask-{environment}")]
            ),
            Statement(
                sid="Parameters",
                actions=[
                    "ssm:PutParameter",
                    "ssm:GetParameter*",
                    "ssm:DeleteParameter",
                    "ssm:*TagsToResource",
                    "ssm:*TagsFromResource",
                    "ssm:ListTagsForResource",
                ],
                resources=[names.arn("ssm", f"parameter{names.parameter('*')}")],
            ),
            Statement(
                sid="Unnamed",  # these know no resources
                actions=[
                    "application-autoscaling:Describe*",
                    "application-autoscaling:ListTagsForResource",
                    "cognito-idp:CreateUserPool",
                    "kms:ListAliases",
                    "ssm:DescribeParameters",
                    "rds:DescribeDB*",
                    "rds:DescribeGlobalClusters",
                ],
                resources=["*"],
            ),
        ]
        if not self._environment.retains_data:
            emptied = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
            statements.append(Statement(sid="EmptyBuckets", actions=emptied, resources=[f"{every_bucket}/*"]))
        return statements

    def _edge_statements(self) -> list[Statement]:
        """APIs, CDN, certificates, DNS records, firewall and budget."""
        environment, names, region = self._environment, self._names, self._environment.region
        certificates = [
            f"arn:aws:acm:{place}:{environment.account_id}:certificate/*" for place in sorted({region, EDGE_REGION})
        ]
        statements = [
            Statement(
                sid="Apis",
                actions=["apigateway:*"],
                resources=[
                    f"arn:aws:apigateway:{region}::/{kind}"
                    for kind in ("restapis", "restapis/*", "apis", "apis/*", "domainnames", "domainnames/*", "tags/*")
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
                sid="MakeCdn",  # what is only named once it exists
                actions=[
                    "cloudfront:CreateOriginAccessControl",
                    "cloudfront:CreateResponseHeadersPolicy",
                    "cloudfront:CreateFunction",
                ],
                resources=["*"],
            ),
            Statement(
                sid="Certificates",
                actions=[
                    "acm:DescribeCertificate",
                    "acm:DeleteCertificate",
                    "acm:*TagsToCertificate",
                    "acm:RemoveTagsFromCertificate",
                    "acm:ListTagsForCertificate",
                ],
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
                    names.arn("wafv2", "regional/managedruleset/*"),
                    names.arn("cognito-idp", "userpool/*"),
                    f"arn:aws:apigateway:{region}::/restapis/*/stages/{environment.name}",
                ],
            ),
            Statement(
                sid="FirewallOfPool",
                actions=[
                    "cognito-idp:AssociateWebACL",
                    "cognito-idp:DisassociateWebACL",
                    "cognito-idp:GetWebACLForResource",
                ],
                resources=[names.arn("cognito-idp", "userpool/*")],
            ),
            Statement(
                sid="Budget",
                actions=[
                    "budgets:ViewBudget",
                    "budgets:ModifyBudget",
                    "budgets:*agResource",
                    "budgets:ListTagsForResource",
                ],
                resources=[self._global_arn("budgets", f"budget/multitask-platform-{environment.name}")],
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
                            # Each name, and the one that proves it to the certificate's issuer.
                            "route53:ChangeResourceRecordSetsNormalizedRecordNames": [
                                *own,
                                *(f"_*.{name}" for name in own),
                            ]
                        }
                    },
                ),
                Statement(
                    sid="LookAtRecords",
                    actions=["route53:GetHostedZone", "route53:ListResourceRecordSets", "route53:GetChange"],
                    resources=[
                        f"arn:aws:route53:::hostedzone/{environment.hosted_zone_id}",
                        "arn:aws:route53:::change/*",
                    ],
                ),
            ]
        return statements

    def _network_statements(self) -> list[Statement]:
        """The VPC and all in it."""
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
                sid="MakeNetwork", actions=network, resources=["*"], conditions=self._of_environment("RequestTag")
            ),
            Statement(
                sid="ChangeNetwork", actions=network, resources=["*"], conditions=self._of_environment("ResourceTag")
            ),
            Statement(
                sid="EmptyDefaultGroup",  # each VPC comes with one, which has no tags yet
                actions=["ec2:RevokeSecurityGroupIngress", "ec2:RevokeSecurityGroupEgress"],
                resources=[self._names.arn("ec2", "security-group/*")],
                conditions={"Null": {"aws:ResourceTag/Environment": "true"}},
            ),
            self._other_environments(),
        ]

    def _identity_statements(self) -> list[Statement]:
        """Roles of functions: inside the boundary, handed to AWS services alone."""
        roles = [self._global_arn("iam", f"role/*-role-{self._environment.name}")]
        own = [
            self._boundary_arn,
            *(
                self._global_arn("iam", f"{kind}/platform-{name}*-{self._environment.name}")
                for kind in ("role", "policy")
                for name in ("deploy-", "plan-")
            ),
        ]
        return [
            Statement(
                sid="MakeRoles",
                actions=[
                    "iam:CreateRole",
                    "iam:PutRolePolicy",
                    "iam:AttachRolePolicy",
                    "iam:PutRolePermissionsBoundary",
                ],
                resources=roles,
                conditions={"StringEquals": {"iam:PermissionsBoundary": self._boundary_arn}},
            ),
            Statement(
                sid="KeepRoles",
                actions=[
                    "iam:UpdateRole",
                    "iam:UpdateRoleDescription",
                    "iam:UpdateAssumeRolePolicy",
                    "iam:DeleteRole",
                    "iam:DeleteRolePolicy",
                    "iam:DetachRolePolicy",
                    "iam:TagRole",
                    "iam:UntagRole",
                ],
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
                resources=[*roles, self._global_arn("iam", f"policy/platform-*-{self._environment.name}")],
            ),
            Statement(
                sid="NotItself",
                effect="Deny",
                actions=[
                    "iam:Add*",
                    "iam:Attach*",
                    "iam:Create*",
                    "iam:Delete*",
                    "iam:Detach*",
                    "iam:PassRole",
                    "iam:Put*",
                    "iam:Set*",
                    "iam:Tag*",
                    "iam:Untag*",
                    "iam:Update*",
                ],
                resources=own,
            ),
            Statement(
                sid="KeepBoundary", effect="Deny", actions=["iam:DeleteRolePermissionsBoundary"], resources=["*"]
            ),
        ]

    def _boundary_statements(self) -> list[Statement]:
        """The most that any role of the stack may do: the work of this environment's functions, and no administration."""
        environment, names = self._environment.name, self._names
        every_bucket = f"arn:aws:s3:::{names.bucket('*', '*')}"
        return [
            Statement(
                sid="Data",
                actions=[
                    "dynamodb:*Item",
                    "dynamodb:Query",
                    "dynamodb:ConditionCheckItem",
                    "dynamodb:DescribeTable",
                    "dynamodb:*Stream*",
                    "dynamodb:GetRecords",
                    "dynamodb:GetShardIterator",
                    "s3:*Object*",
                    "s3:ListBucket",
                    "ssm:GetParameter*",
                    "secretsmanager:GetSecretValue",
                    "rds-db:connect",
                    "elasticache:Connect",
                ],
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
                sid="Messages",
                actions=[
                    "sqs:*Message*",
                    "sqs:GetQueueAttributes",
                    "sns:Publish",
                    "events:PutEvents",
                    "lambda:InvokeFunction",
                ],
                resources=[
                    *self._named("sqs", ""),
                    *self._named("sns", ""),
                    *self._named("events", "event-bus/"),
                    *self._named("lambda", "function:"),
                    names.arn("lambda", f"function:*-{environment}:*"),
                ],
            ),
            Statement(
                sid="Callers",
                actions=["cognito-idp:Admin*", "execute-api:ManageConnections", "execute-api:Invoke"],
                resources=[names.arn("cognito-idp", "userpool/*"), names.arn("execute-api", f"*/{environment}/*")],
            ),
            Statement(
                sid="Logs",
                actions=["logs:CreateLogStream", "logs:PutLogEvents", "logs:Describe*"],
                resources=[
                    names.arn("logs", f"log-group:*-{environment}"),
                    names.arn("logs", f"log-group:*-{environment}:*"),
                ],
            ),
            Statement(
                sid="Runtime",  # these know no resources
                actions=[
                    "xray:Put*",
                    "cloudwatch:PutMetricData",
                    "ec2:CreateNetworkInterface",
                    "ec2:DeleteNetworkInterface",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DescribeSubnets",
                    "ec2:*PrivateIpAddresses",
                ],
                resources=["*"],
            ),
            Statement(
                sid="Keys",
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=[names.arn("kms", "key/*")],
            ),
            self._other_environments(),
        ]


def _is_below(construct: IConstruct, ancestor: Construct) -> bool:
    return construct.node.path.startswith(f"{ancestor.node.path}/")
