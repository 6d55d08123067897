"""Tests the roles for GitHub workflows: who can assume them, and what they cannot do."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest
from cdktf import TerraformStack
from cdktf_cdktf_provider_aws.iam_role import IamRole

from environments import Environment
from modules.base.naming import Names
from modules.base.policy import trust_policy
from modules.deployment_identity import MAX_POLICY_LENGTH, SESSION_SECONDS, DeploymentIdentity
from ops.root import PROJECT
from tests.modules.synthesis import Block, Synthesized, environment, synthesize
from tools.policies import documents_of

ACCOUNT = "111122223333"
REPOSITORY = "example/multitask-platform"


def _build(stack: TerraformStack, env: Environment, names: Names) -> None:
    identity = DeploymentIdentity(stack, "identity", names=names)
    IamRole(
        stack,
        "function",
        name="auth-role-dev",
        assume_role_policy=trust_policy("lambda.amazonaws.com"),
    )
    identity.set_boundaries(stack)


@pytest.fixture(scope="module")
def dev() -> Synthesized:
    return synthesize(_build, environment("dev", github_repository=REPOSITORY))


def _statements(result: Synthesized, role: str) -> dict[str, Block]:
    """Returns the statements of a role's policies by `<policy>/<Sid>`."""
    return {
        f"{policy['name'].removeprefix('platform-')}/{statement['Sid']}": statement
        for policy in result.all("aws_iam_policy")
        if policy["name"].startswith(f"platform-{role}")
        for statement in json.loads(policy["policy"])["Statement"]
    }


def _as_list(value: str | list[str]) -> list[str]:
    """Returns a policy's value as a list. IAM writes a list with one item as a string."""
    return [value] if isinstance(value, str) else value


def _actions(statements: dict[str, Block], effect: str = "Allow") -> set[str]:
    return {
        action
        for statement in statements.values()
        if statement["Effect"] == effect
        for action in _as_list(statement["Action"])
    }


def _conditions(result: Synthesized, role: str) -> dict[str, Any]:
    [statement] = result.policy(
        "aws_iam_role", "assume_role_policy", name=f"platform-{role}-role-dev"
    )
    assert statement["Principal"] == {
        "Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
    }
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    return dict(statement["Condition"])


@pytest.mark.parametrize(
    ("role", "subject"),
    [("deploy", "environment:dev"), ("plan", "pull_request"), ("drift", "ref:refs/heads/main")],
)
def test_only_jobs_of_the_repository_can_assume_a_role(
    dev: Synthesized, role: str, subject: str
) -> None:
    assert _conditions(dev, role) == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": f"repo:{REPOSITORY}:{subject}",
        }
    }


def test_without_a_repository_the_stack_has_a_boundary_but_no_workflow_roles() -> None:
    """Operators can create only roles with the boundary, so it must always exist."""
    result = synthesize(_build, environment("dev", github_repository=None))
    assert result.find_only("aws_iam_role")["name"] == "auth-role-dev"
    assert "permissions_boundary" in result.find_only("aws_iam_role")
    assert result.find_only("aws_iam_policy")["name"] == "platform-boundary-dev"


def test_the_operators_policies_are_within_the_length_limit_of_managed_policies() -> None:
    for name in ("dev", "staging", "prod"):
        for file, text in documents_of(environment(name)).items():
            assert len("".join(text.split())) <= MAX_POLICY_LENGTH, (
                f"{name}: the policy {file} is longer than {MAX_POLICY_LENGTH} characters"
            )


def test_the_workflow_roles_policies_are_within_iams_limits(dev: Synthesized) -> None:
    policies = dev.all("aws_iam_policy")
    assert policies
    for policy in policies:
        assert len("".join(policy["policy"].split())) <= MAX_POLICY_LENGTH
    attached = [item["role"] for item in dev.all("aws_iam_role_policy_attachment")]
    # IAM allows 10 managed policies per role.
    assert max(attached.count(role) for role in attached) <= 10


def test_the_plan_role_of_pull_requests_can_read_only_the_state(dev: Synthesized) -> None:
    plan = _statements(dev, "plan")
    assert _actions(plan) == {"s3:ListBucket", "s3:GetObject", "secretsmanager:GetRandomPassword"}
    bucket = "arn:aws:s3:::multitask-terraform-state-111122223333"
    state = f"{bucket}/multitask-platform/dev/terraform.tfstate"
    assert plan["plan-state-dev/State"]["Resource"] == state


def test_the_deploy_role_can_write_only_its_own_state_and_lock(dev: Synthesized) -> None:
    deploy = _statements(dev, "deploy")
    assert set(deploy["deploy-state-dev/State"]["Action"]) == {"s3:GetObject", "s3:PutObject"}
    assert "multitask-platform/dev/" in deploy["deploy-state-dev/State"]["Resource"]
    assert deploy["deploy-state-dev/Lock"]["Resource"].endswith("terraform.tfstate.tflock")


def test_the_deploy_role_can_run_all_checks_before_a_deployment(dev: Synthesized) -> None:
    page = (PROJECT / "docs" / "operations" / "doctor.md").read_text()
    needed = set(re.findall(r"`([a-z0-9]+:[A-Za-z]+)`", page.partition("## Permissions")[2]))
    assert len(needed) > 15
    granted = _actions(_statements(dev, "deploy"))
    missing = {
        action for action in needed if not any(fnmatchcase(action, item) for item in granted)
    }
    assert not missing


def test_the_deploy_role_cannot_read_users_data(dev: Synthesized) -> None:
    statements = _statements(dev, "deploy")
    ledger = statements.pop("deploy-releases-dev/Ledger")
    assert ledger["Resource"] == f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/platform-releases-dev"
    actions = _actions(statements)
    for service, allowed in (
        ("dynamodb", {"CreateTable", "UpdateTable", "DeleteTable"}),
        ("sqs", {"CreateQueue"}),
    ):
        own = {action.partition(":")[2] for action in actions if action.startswith(f"{service}:")}
        assert allowed <= own
        assert not own & {"*", "GetItem", "*Item", "Query", "Scan", "ReceiveMessage", "*Message*"}
    assert (
        not {
            "logs:GetLogEvents",
            "secretsmanager:GetSecretValue",
            "cognito-idp:*",
            "cognito-idp:ListUsers",
        }
        & actions
    )


def test_permissions_are_limited_to_the_environments_resources_if_arns_contain_names(
    dev: Synthesized,
) -> None:
    # Of the deploy role's statements, only these apply to all resources without a condition.
    deploy = _statements(dev, "deploy")
    unlimited = {
        sid
        for sid, statement in deploy.items()
        if statement["Effect"] == "Allow"
        and statement["Resource"] == "*"
        and "Condition" not in statement
    }
    assert unlimited == {
        "deploy-state-dev/MakeSecrets",
        "deploy-state-dev/CheckAccount",
        "deploy-functions-dev/LogSettings",
        "deploy-functions-dev/Unnamed",
        "deploy-data-dev/Unnamed",
        "deploy-edge-dev/MakeCdn",
        "deploy-network-dev/EndpointNames",
        "deploy-network-dev/Look",
        "deploy-releases-dev/Watch",
    }
    for kind in (
        "functions-dev/Functions",
        "data-dev/Tables",
        "functions-dev/Queues",
        "identity-dev/PassRoles",
    ):
        assert "-dev" in json.dumps(deploy[f"deploy-{kind}"]["Resource"])


def test_the_deploy_role_can_manage_the_log_group_named_after_a_websocket_apis_id(
    dev: Synthesized,
) -> None:
    # modules/api/websocket.py creates a log group with a name of this format.
    group = "/aws/apigateway/2b782fa8/dev"
    statements = _statements(dev, "deploy").values()
    logs = [
        _as_list(item["Resource"])
        for item in statements
        if {"logs:CreateLogGroup", "logs:*"} & set(_as_list(item["Action"]))
    ]
    arn = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{group}"
    assert any(fnmatchcase(arn, pattern) for resources in logs for pattern in resources)


def test_the_deploy_role_is_denied_resources_with_another_environments_tag(
    dev: Synthesized,
) -> None:
    statement = _statements(dev, "deploy")["deploy-network-dev/OtherEnvironments"]
    assert (statement["Effect"], statement["Action"], statement["Resource"]) == ("Deny", "*", "*")
    assert statement["Condition"] == {
        "StringNotEquals": {"aws:ResourceTag/Environment": "dev"},
        "Null": {"aws:ResourceTag/Environment": "false"},
    }


def test_the_deploy_role_can_create_only_bounded_roles_and_pass_them_only_to_services(
    dev: Synthesized,
) -> None:
    deploy = _statements(dev, "deploy")
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/platform-boundary-dev"
    create_roles = deploy["deploy-identity-dev/MakeRoles"]
    assert create_roles["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": boundary}}
    assert {"iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"} <= set(
        create_roles["Action"]
    )
    assert (
        "lambda.amazonaws.com"
        in deploy["deploy-identity-dev/PassRoles"]["Condition"]["StringEquals"][
            "iam:PassedToService"
        ]
    )
    assert (
        deploy["deploy-identity-dev/KeepBoundary"]["Action"] == "iam:DeleteRolePermissionsBoundary"
    )
    unbounded = {
        "iam:CreateRole",
        "iam:PutRolePolicy",
        "iam:AttachRolePolicy",
        "iam:CreatePolicyVersion",
        "iam:*",
    }
    for sid, statement in deploy.items():
        if statement["Effect"] == "Allow" and not sid.endswith("/MakeRoles"):
            assert not unbounded & _actions({sid: statement})


def test_the_deploy_role_cannot_change_itself_or_the_boundary(dev: Synthesized) -> None:
    statement = _statements(dev, "deploy")["deploy-identity-dev/NotItself"]
    assert statement["Effect"] == "Deny"
    assert {
        f"arn:aws:iam::{ACCOUNT}:policy/platform-boundary-dev",
        f"arn:aws:iam::{ACCOUNT}:role/platform-deploy-*-dev",
        f"arn:aws:iam::{ACCOUNT}:policy/platform-deploy-*-dev",
        f"arn:aws:iam::{ACCOUNT}:role/platform-plan-*-dev",
        f"arn:aws:iam::{ACCOUNT}:role/platform-drift-*-dev",
    } <= set(statement["Resource"])
    assert {"iam:Attach*", "iam:Put*", "iam:Update*", "iam:Create*", "iam:PassRole"} <= set(
        statement["Action"]
    )


def test_every_role_except_the_workflow_roles_has_the_boundary(dev: Synthesized) -> None:
    bounded = {role["name"]: "permissions_boundary" in role for role in dev.all("aws_iam_role")}
    own = ("platform-deploy-role-dev", "platform-drift-role-dev", "platform-plan-role-dev")
    assert bounded == {"auth-role-dev": True, **dict.fromkeys(own, False)}


def test_the_boundary_allows_no_iam_actions_and_no_service_wildcards(dev: Synthesized) -> None:
    actions = _actions(_statements(dev, "boundary"))
    assert not {
        action for action in actions if action.split(":")[0] in {"iam", "sts", "organizations", "*"}
    }
    assert not {action for action in actions if action.endswith(":*")}


def test_the_boundary_allows_scans_of_the_outbox_table_only(dev: Synthesized) -> None:
    scans = [s for s in _statements(dev, "boundary").values() if "Scan" in json.dumps(s["Action"])]
    assert [s["Resource"] for s in scans] == [
        f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/platform-outbox-dev"
    ]


def test_the_deploy_role_can_empty_buckets_only_where_data_is_not_retained(
    dev: Synthesized,
) -> None:
    assert "deploy-data-dev/EmptyBuckets" in _statements(dev, "deploy")
    prod = synthesize(_build, environment("prod", github_repository=REPOSITORY))
    assert "deploy-data-prod/EmptyBuckets" not in _statements(prod, "deploy")


def test_dns_changes_are_limited_to_the_environments_domains(dev: Synthesized) -> None:
    statement = _statements(dev, "deploy")["deploy-edge-dev/Records"]
    [(key, names)] = statement["Condition"]["ForAllValues:StringLike"].items()
    assert key == "route53:ChangeResourceRecordSetsNormalizedRecordNames"
    assert {"api-dev.multitask.com", "_*.api-dev.multitask.com"} <= set(names)
    assert "api.multitask.com" not in names


def test_a_policy_that_exceeds_the_length_limit_is_rejected() -> None:
    env = environment("dev", github_repository=REPOSITORY)
    assert env.domains
    aliases = [f"site-{number}.multitask.com" for number in range(200)]
    with pytest.raises(
        ValueError,
        match=r"policy platform-deploy-edge-dev has \d+ characters, but IAM allows 6144",
    ):
        synthesize(
            _build,
            env.model_copy(
                update={"domains": env.domains.model_copy(update={"site_aliases": aliases})}
            ),
        )


def test_the_drift_role_can_only_read(dev: Synthesized) -> None:
    drift = _statements(dev, "drift")
    verbs = ("Describe", "Get", "List")
    changing = {
        action for action in _actions(drift) if not action.partition(":")[2].startswith(verbs)
    }
    assert changing == {"apigateway:GET", "budgets:ViewBudget"}
    assert {
        "lambda:Get*",
        "lambda:ListTags",
        "dynamodb:Describe*",
        "ec2:Describe*",
        "iam:Get*",
        "s3:Get*",
    } <= _actions(drift)
    assert {sid for sid, item in drift.items() if item["Effect"] == "Deny"} >= {
        "drift-network-dev/OtherEnvironments"
    }


@pytest.mark.parametrize("role", ["drift", "plan"])
def test_the_drift_and_plan_roles_are_denied_access_to_secrets_and_data(
    dev: Synthesized, role: str
) -> None:
    statements = _statements(dev, role)
    denied = statements[f"{role}-state-dev/NoData"]
    assert (denied["Resource"], "Condition" in denied) == ("*", False)
    assert {
        "ssm:GetParameter*",
        "secretsmanager:GetSecretValue",
        "dynamodb:Query",
        "sqs:ReceiveMessage",
        "logs:FilterLogEvents",
    } <= set(denied["Action"])
    objects = statements[f"{role}-state-dev/NoObjects"]
    assert objects["Action"] == "s3:GetObject*"
    assert "arn:aws:s3:::profile-avatars-bucket-dev/*" in objects["Resource"]


def test_sessions_of_the_deploy_role_can_last_two_hours(dev: Synthesized) -> None:
    roles = {role["name"]: role.get("max_session_duration") for role in dev.all("aws_iam_role")}
    assert roles["platform-deploy-role-dev"] == SESSION_SECONDS["deploy"] == 7200


def test_the_deploy_role_can_manage_event_source_mappings_of_an_alias(dev: Synthesized) -> None:
    deploy = _statements(dev, "deploy")
    functions = deploy["deploy-functions-dev/EventSources"]["Condition"]["ArnLike"]
    alias = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:auth-lambda-dev:live"
    for arn in (alias, alias.removesuffix(":live")):
        patterns = _as_list(functions["lambda:FunctionArn"])
        assert any(fnmatchcase(arn, pattern) for pattern in patterns)
    tags = deploy["deploy-functions-dev/TagEventSources"]
    assert tags["Resource"].endswith(":event-source-mapping:*")
    assert set(tags["Action"]) == {"lambda:*agResource", "lambda:ListTags"}
    assert (
        "lambda:ListTags"
        in _statements(dev, "drift")["drift-functions-dev/TagEventSources"]["Action"]
    )


@pytest.mark.parametrize(
    "action",
    [
        # API Gateway calls UpdateDistribution for the distribution of an edge-optimized domain.
        # This distribution belongs to AWS (API Gateway developer guide, "Set up an edge-optimized
        # custom domain name").
        "cloudfront:UpdateDistribution",
        # The provider calls these two actions before it deletes a security group or subnet in which
        # Lambda has left network interfaces. These interfaces have no tags, so a condition that
        # requires a tag would deny the calls.
        "ec2:DetachNetworkInterface",
        "ec2:DeleteNetworkInterface",
    ],
)
def test_the_deploy_role_can_change_resources_that_aws_creates(
    dev: Synthesized, action: str
) -> None:
    conditions = [
        statement.get("Condition", {}).keys()
        for statement in _statements(dev, "deploy").values()
        if action in _actions({"": statement}) and statement["Resource"] == "*"
    ]
    assert any(keys <= {"StringEqualsIfExists"} for keys in conditions)


def test_trust_policies_of_roles_outside_the_stack_cannot_be_changed(dev: Synthesized) -> None:
    for sid, statement in _statements(dev, "deploy").items():
        if statement["Effect"] == "Allow" and any(
            action.startswith("iam:Update") for action in _as_list(statement["Action"])
        ):
            assert sid == "deploy-identity-dev/KeepRoles"
            assert not [arn for arn in _as_list(statement["Resource"]) if "*" in arn]


def test_a_release_can_delete_versions_but_not_functions(dev: Synthesized) -> None:
    [statement] = [
        item
        for sid, item in _statements(dev, "deploy-releases").items()
        if sid.endswith("DeleteVersions")
    ]
    assert statement["Resource"] == f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:*-lambda-dev:*"
