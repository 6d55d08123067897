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
from modules.deployment_permissions import DeploymentPermissions, reading

SERVICE = "platform"
ISSUER = "token.actions.githubusercontent.com"
MAIN = "main"
"""The branch that is deployed."""
MAX_POLICY_LENGTH = 6_144
"""Characters of a managed policy, white space not counted (IAM quotas)."""


class DeploymentIdentity(Construct):
    """The roles `platform-deploy-role-<env>` and `platform-plan-role-<env>`, for pipelines of the environment's github_repository.

    The deploy role is for jobs that GitHub admits to its environment of the same name. It manages what the stack consists of: what is
    named after the environment; where ARNs hold ids instead of names, what no other environment has tagged. It changes neither itself
    nor the boundary: an operator applies that. Roles it makes carry the boundary, so it can't give what it doesn't have.

    The plan role is for pull requests, whose code anybody with write access may change before it is reviewed. It reads the state, which
    holds no secret, and nothing else: it plans with `-refresh=false -lock=false`. A refresh would have to read the values of parameters.

    The drift role is for the nightly comparison, which runs on the main branch and waits for nobody's approval. It looks at what the
    deploy role manages and changes nothing.

    Args:
        environment: without a github_repository there are no such roles.
        names: of the environment.

    Attributes:
        deploy_role_arn, plan_role_arn, drift_role_arn: None without a github_repository.

    Raises:
        ValueError: a policy is longer than IAM takes.
    """

    def __init__(
        self, scope: Construct, id_: str, *, environment: Environment, names: Names
    ) -> None:
        super().__init__(scope, id_)
        self._environment, self._names = environment, names
        self.deploy_role_arn: str | None = None
        self.plan_role_arn: str | None = None
        self.drift_role_arn: str | None = None
        if environment.github_repository is None:
            return
        may = DeploymentPermissions(environment, names)
        self._boundary = self._policy("boundary", may.boundary())
        managed = {
            "functions": may.functions(),
            "data": may.data(),
            "edge": may.edge(),
            "network": may.network(),
            "identity": may.identity(),
        }
        self.deploy_role_arn = self._role(
            "deploy",
            f"repo:{environment.github_repository}:environment:{environment.name}",
            {"state": may.state(write=True), "releases": may.releases(), **managed},
        )
        self.drift_role_arn = self._role(
            "drift",
            f"repo:{environment.github_repository}:ref:refs/heads/{MAIN}",
            {
                "state": may.state(write=False),
                **{name: reading(items) for name, items in managed.items()},
            },
        )
        self.plan_role_arn = self._role(
            "plan",
            f"repo:{environment.github_repository}:pull_request",
            {"state": [*may.state(write=False), *may.no_data()]},
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
                        principals={
                            "Federated": f"arn:aws:iam::{self._environment.account_id}:oidc-provider/{ISSUER}"
                        },
                        conditions={
                            "StringEquals": {
                                f"{ISSUER}:aud": "sts.amazonaws.com",
                                f"{ISSUER}:sub": subject,
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
        return str(role.arn)

    def _policy(self, resource: str, statements: Sequence[Statement]) -> IamPolicy:
        name, document = self._names.of(SERVICE, resource), policy_document(statements)
        length = len("".join(document.split()))
        if length > MAX_POLICY_LENGTH:
            raise ValueError(
                f"policy {name}: {length} characters; IAM takes {MAX_POLICY_LENGTH}, split it"
            )
        return IamPolicy(
            self, f"{resource}-policy", name=name, policy=document, tags=service_tag(SERVICE)
        )


def _is_below(construct: IConstruct, ancestor: Construct) -> bool:
    return construct.node.path.startswith(f"{ancestor.node.path}/")
