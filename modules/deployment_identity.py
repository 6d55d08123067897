"""The roles for GitHub workflows, and the permissions boundary of all other roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cdktf_cdktf_provider_aws.iam_policy import IamPolicy
from cdktf_cdktf_provider_aws.iam_role import IamRole
from cdktf_cdktf_provider_aws.iam_role_policy_attachment import IamRolePolicyAttachment
from constructs import Construct, IConstruct

from environments.resource_names import GITHUB_ISSUER
from modules.base.naming import Names, service_tag
from modules.base.policy import Statement, policy_document
from modules.deployment_permissions import DeploymentPermissions, read_only

SERVICE = "platform"
MAIN_BRANCH = "main"
"""The name of the branch that workflows deploy."""
SESSION_SECONDS = {"deploy": 7_200}
"""Maximum seconds of a session by role, enough for a first apply and a bake period.

IAM's default is 3,600. A workflow must not request longer sessions.
"""
MAX_POLICY_LENGTH = 6_144
"""Maximum characters of a managed policy, without white space (IAM quotas)."""


class DeploymentIdentity(Construct):
    """The roles for workflows of the github_repository, and the boundary of all other roles.

    The deploy role `platform-deploy-role-<env>` is for jobs in the GitHub environment `<env>`. It
    manages the environment's resources, which its policies identify by name. Where ARNs contain ids
    instead of names, the role may manage every resource except those with another environment's
    tag. All roles that it creates must have the permissions boundary. The workflow roles do not
    have the boundary. Only operators can change the boundary and the workflow roles.

    The plan role `platform-plan-role-<env>` is for pull requests, whose code is not reviewed yet.
    It can read only the Terraform state, which contains no secrets. Workflows plan with
    `-refresh=false -lock=false`, because a refresh would read the values of parameters.

    The drift role is for the nightly drift check, which runs on the main branch without approval.
    It can read the resources that the deploy role manages, except for secrets and data.

    Args:
        names: The environment and its resource names. Without a github_repository, there are no
            workflow roles. The boundary is always created, because operators need it too.

    Attributes:
        role_arns: The ARNs of the roles `deploy`, `drift` and `plan`. Empty without a
            github_repository.

    Raises:
        ValueError: A policy exceeds IAM's length limit.
    """

    def __init__(self, scope: Construct, id_: str, *, names: Names) -> None:
        super().__init__(scope, id_)
        environment = names.environment
        self._environment, self._names = environment, names
        self.role_arns: dict[str, str] = {}
        permissions = DeploymentPermissions(environment, names)
        self._boundary = self._policy("boundary", permissions.boundary())
        if environment.github_repository is None:
            return
        managed = {
            "functions": permissions.allow_managing_functions(),
            "data": permissions.allow_managing_data_stores(),
            "edge": permissions.allow_managing_edge(),
            "network": permissions.allow_managing_network(),
            "identity": permissions.allow_managing_roles(),
        }
        self._role(
            "deploy",
            f"repo:{environment.github_repository}:environment:{environment.name}",
            {
                "state": permissions.allow_state_access(write=True),
                "releases": permissions.allow_releases(),
                **managed,
            },
        )
        self._role(
            "drift",
            f"repo:{environment.github_repository}:ref:refs/heads/{MAIN_BRANCH}",
            {
                "state": [
                    *permissions.allow_state_access(write=False),
                    *permissions.deny_data_access(),
                ],
                **{name: read_only(items) for name, items in managed.items()},
            },
        )
        self._role(
            "plan",
            f"repo:{environment.github_repository}:pull_request",
            {
                "state": [
                    *permissions.allow_state_access(write=False),
                    *permissions.deny_data_access(),
                ]
            },
        )

    def set_boundaries(self, scope: Construct) -> None:
        """Sets the permissions boundary of all roles below `scope`, except workflows' roles."""
        for construct in scope.node.find_all():
            if isinstance(construct, IamRole) and not _is_below(construct, self):
                construct.permissions_boundary = self._boundary.arn

    def _role(self, kind: str, subject: str, policies: Mapping[str, Sequence[Statement]]) -> None:
        provider = f"arn:aws:iam::{self._environment.account_id}:oidc-provider/{GITHUB_ISSUER}"
        role = IamRole(
            self,
            f"{kind}-role",
            name=self._names.of(SERVICE, f"{kind}-role"),
            description=f"Assumed by {subject}",
            max_session_duration=SESSION_SECONDS.get(kind),
            assume_role_policy=policy_document(
                [
                    Statement(
                        sid="Assume",
                        actions=["sts:AssumeRoleWithWebIdentity"],
                        principals={"Federated": provider},
                        conditions={
                            "StringEquals": {
                                f"{GITHUB_ISSUER}:aud": "sts.amazonaws.com",
                                f"{GITHUB_ISSUER}:sub": subject,
                            }
                        },
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
        self.role_arns[kind] = role.arn

    def _policy(self, resource: str, statements: Sequence[Statement]) -> IamPolicy:
        name, document = self._names.of(SERVICE, resource), policy_document(statements)
        length = len("".join(document.split()))
        if length > MAX_POLICY_LENGTH:
            raise ValueError(
                f"The policy {name} has {length} characters, but IAM allows {MAX_POLICY_LENGTH}:"
                " split it"
            )
        return IamPolicy(
            self, f"{resource}-policy", name=name, policy=document, tags=service_tag(SERVICE)
        )


def _is_below(construct: IConstruct, ancestor: Construct) -> bool:
    return construct.node.path.startswith(f"{ancestor.node.path}/")
