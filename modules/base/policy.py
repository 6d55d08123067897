"""IAM policy documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modules.base.document import json_document

Principal = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a policy document."""

    sid: str
    actions: Sequence[str]
    resources: Sequence[str] = ()
    """Empty only in policies that imply the resource (trust policies)."""
    effect: str = "Allow"
    principals: Principal | str | None = None
    """Only in policies attached to resources; `*` for everyone."""
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
    """Returns a policy document as JSON. It may contain references to other resources."""
    return json_document(
        {"Version": "2012-10-17", "Statement": [statement.document() for statement in statements]}
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
