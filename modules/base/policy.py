"""Creates IAM policy documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from modules.base.document import json_document

Principal = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a policy document."""

    sid: str
    actions: Sequence[str]
    resources: Sequence[str] = ()
    """The ARNs of the resources. Empty in trust policies, which apply to their role."""
    effect: str = "Allow"
    principals: Principal | str | None = None
    """The principals, only in policies attached to resources. `*` means everyone."""
    conditions: Mapping[str, Mapping[str, str | Sequence[str]]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Returns the statement in IAM's JSON format."""
        document: dict[str, Any] = {
            "Sid": self.sid,
            "Effect": self.effect,
            "Action": _one_or_many(self.actions),
        }
        if self.principals is not None:
            document["Principal"] = (
                self.principals
                if isinstance(self.principals, str)
                else {kind: _one_or_many(value) for kind, value in self.principals.items()}
            )
        if self.resources:
            document["Resource"] = _one_or_many(self.resources)
        if self.conditions:
            document["Condition"] = {
                operator: {key: _one_or_many(value) for key, value in keys.items()}
                for operator, keys in self.conditions.items()
            }
        return document


def policy_document(statements: Sequence[Statement]) -> str:
    """Returns a policy document as JSON. Statements may contain references to resources."""
    return json_document(
        {"Version": "2012-10-17", "Statement": [statement.document() for statement in statements]}
    )


def merge_statements(statements: Sequence[Statement]) -> list[Statement]:
    """Merges statements with the same Sid into one statement, at the position of the last of them.

    Raises:
        ValueError: The merged statement would allow more than the separate statements.
    """
    merged: dict[str, Statement] = {}
    for statement in statements:
        earlier = merged.pop(statement.sid, None)
        merged[statement.sid] = _merge(earlier, statement) if earlier else statement
    return list(merged.values())


def _merge(first: Statement, second: Statement) -> Statement:
    if second not in (
        replace(first, actions=second.actions),
        replace(first, resources=second.resources),
    ):
        raise ValueError(
            f"The statements with the Sid {first.sid} differ in both actions and resources, or in"
            " other fields: give one of them another Sid"
        )
    return replace(
        first,
        actions=list(dict.fromkeys([*first.actions, *second.actions])),
        resources=list(dict.fromkeys([*first.resources, *second.resources])),
    )


def key_statement(
    sid: str, kms_key_arn: str, *, service: str, region: str, encrypts: bool = True
) -> Statement:
    """Returns a statement that allows decrypting with a KMS key through one AWS service.

    `service` is for example `sqs`. With `encrypts`, the statement also allows encrypting.
    """
    return Statement(
        sid=sid,
        actions=["kms:Decrypt", *(["kms:GenerateDataKey"] if encrypts else [])],
        resources=[kms_key_arn],
        conditions={"StringEquals": {"kms:ViaService": f"{service}.{region}.amazonaws.com"}},
    )


def deny_plain_http(actions: str, *resources: str) -> Statement:
    """Returns a statement for a resource's policy that denies requests without TLS."""
    return Statement(
        sid="TlsOnly",
        effect="Deny",
        actions=[actions],
        resources=resources,
        principals="*",
        conditions={"Bool": {"aws:SecureTransport": "false"}},
    )


def trust_policy(service: str, *, conditions: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """Returns a policy that lets one AWS service assume a role.

    Args:
        service: The service, for example `lambda.amazonaws.com`.
        conditions: Restrictions, for example to one source account.
    """
    return policy_document(
        [
            Statement(
                sid="Assume",
                actions=["sts:AssumeRole"],
                principals={"Service": service},
                conditions=conditions or {},
            )
        ]
    )


def _one_or_many(values: str | Sequence[str]) -> str | list[str]:
    if isinstance(values, str):
        return values
    items = list(values)
    # AWS stores a one-element list as a string. Doing the same avoids a diff in the next plan.
    return items[0] if len(items) == 1 else items
