"""Reviews a Terraform plan: finds each change's construct, verdict and reasons."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ops.cost.bill import Difference, make_bill
from ops.cost.budget import budget_warnings
from ops.cost.prices import load_prices
from ops.cost.resources import plan_resources
from ops.cost.usage import Usage
from ops.permissions.principals import ANYBODY
from ops.review.context import NAME_ATTRIBUTES, Context
from ops.review.renames import Rename, find_renames
from ops.review.rules import Judge, Reason, Rules, Verdict, load_rules
from ops.terraform.plan import Action, Change, Plan
from ops.terraform.plan_values import UNKNOWN, pair_blocks
from ops.terraform.policies import Comparison, compare, is_policy
from ops.terraform.stack_document import ConstructPath, Synthesized, construct_of_address

_REFERENCE = re.compile(r"\$\{(aws_\w+)\.([\w-]+)\.(\w+)\}")
POLICY_ATTRIBUTES = frozenset(
    {"policy", "assume_role_policy", "policy_document", "resource_policy"}
)
"""Attributes whose unknown values the review treats as policies.

In an update, the review does so only if the old value is a policy. In every attribute, the review
treats a known value as a policy if the value has the structure of a policy document.
"""
OWNERS = (
    *("role", "user", "group", "bucket", "queue_url", "arn", "key_id", "function_name"),
    *("repository", "repository_name", "secret_arn", "resource_arn", "domain_name"),
)
"""Attributes that identify the role, bucket, key or other resource to which a policy belongs."""
INVOCATION = Verdict.DANGEROUS
"""The verdict on invoking a Terraform action. A plan does not show the action's effects."""


@dataclass(frozen=True)
class ReviewedChange:
    """A change with its verdict."""

    change: Change
    construct: ConstructPath
    reasons: tuple[Reason, ...]
    """The reasons for the verdict, the most severe first. Never empty."""
    policies: tuple[Comparison, ...] = ()
    rename: Rename | None = None
    """The rename that the change is part of, or None."""

    @property
    def verdict(self) -> Verdict:
        return self.reasons[0].verdict


@dataclass(frozen=True)
class Group:
    """The changes of one module and service."""

    module: str
    service: str
    changes: tuple[ReviewedChange, ...]

    @property
    def verdict(self) -> Verdict:
        return max(item.verdict for item in self.changes)

    @property
    def counts(self) -> Mapping[Action, int]:
        return Counter(item.change.action for item in self.changes)

    @property
    def summary(self) -> str:
        """The number of changes by action, for example `1 created, 2 changed`."""
        return ", ".join(
            f"{number} {action.past_participle}" for action, number in self.counts.items()
        )


@dataclass(frozen=True)
class Review:
    """The result of reviewing a plan."""

    environment: str
    plan: Plan
    changes: tuple[ReviewedChange, ...]
    """All changes, the most severe first."""
    renames: tuple[Rename, ...]
    digest: str | None = None
    """SHA-256 of the plan file, or None if the plan was read from JSON."""
    cost: Difference | None = None
    """The monthly cost before and after the plan."""
    usage: Usage | None = None
    """The usage for which the cost is computed."""
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The most severe verdict of all changes. A plan without changes is safe."""
        verdicts = [item.verdict for item in self.changes]
        if any(item.deferred is None for item in self.plan.invocations):
            verdicts.append(INVOCATION)
        if not self.plan.complete or self.plan.invocations:
            verdicts.append(Verdict.REVIEW)
        return max(verdicts, default=Verdict.SAFE)

    @property
    def does_anything(self) -> bool:
        """True if applying the plan changes a resource or invokes an action."""
        return bool(self.changes) or any(item.deferred is None for item in self.plan.invocations)

    @cached_property
    def counts(self) -> Mapping[Action, int]:
        """The number of changes by action, in the order of `Action`."""
        counted = Counter(item.change.action for item in self.changes)
        return {action: counted[action] for action in Action if counted[action]}

    @cached_property
    def verdicts(self) -> Mapping[Verdict, int]:
        """The number of changes by verdict, the most severe first."""
        counted = Counter(item.verdict for item in self.changes)
        return {verdict: counted[verdict] for verdict in reversed(Verdict) if counted[verdict]}

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The changes by module and service. The group with the most severe change comes first."""
        by_owner: dict[tuple[str, str], list[ReviewedChange]] = {}
        for item in self.changes:
            by_owner.setdefault((item.construct.module, item.construct.service), []).append(item)
        groups = [
            Group(module, service, tuple(items)) for (module, service), items in by_owner.items()
        ]
        return tuple(
            sorted(groups, key=lambda group: (-group.verdict, group.module, group.service))
        )

    @property
    def summary(self) -> str:
        """The review in one line, for example `irreversible: 1 created, 2 changed`."""
        parts = [f"{number} {action.past_participle}" for action, number in self.counts.items()]
        imported = sum(
            bool(item.change.imported) and item.change.action is not Action.IMPORT
            for item in self.changes
        )
        invoked = sum(item.deferred is None for item in self.plan.invocations)
        deferred = len(self.plan.deferred) + len(self.plan.invocations) - invoked
        parts += [f"{imported} of them imported"] if imported else []
        parts += [f"{invoked} {'action' if invoked == 1 else 'actions'} invoked"] if invoked else []
        parts += [f"{deferred} deferred"] if deferred else []
        parts += ["partial plan"] if not self.plan.complete else []
        return f"{self.verdict}: {', '.join(parts)}" if parts else "nothing changes"


def review(
    plan: Plan,
    environment: str,
    stack: Synthesized | None = None,
    *,
    usage: Usage | None = None,
    rules: Rules | None = None,
    digest: str | None = None,
) -> Review:
    """Reviews a plan.

    Args:
        stack: The synthesized stack, which maps each resource to its construct. If None,
            constructs are derived from the addresses.
        usage: the usage for which the cost is computed. None omits the cost.
        digest: SHA-256 of the plan file.
    """
    rules = rules or load_rules()
    renames = find_renames(plan.changes)
    by_address = {
        address: rename for rename in renames for address in (rename.before, rename.after)
    }
    live = {change.address: change for change in plan.resources if not change.deposed}
    values = {address: change.after for address, change in live.items()}
    judge = Judge(rules, _context(plan))
    judged = []
    for change in plan.changes:
        construct = (
            stack.construct_at(change.address, change.tags)
            if stack
            else construct_of_address(change.address, change.tags)
        )
        policies = tuple(_policies(change, stack, values))
        reasons = tuple(judge.reasons(change, policies))
        rename = None if change.deposed else by_address.get(change.address)
        judged.append(ReviewedChange(change, construct, reasons, policies, rename))
    judged.sort(key=lambda item: (-item.verdict, item.construct.path, item.change.address))
    cost, notes = _cost(plan, stack, usage) if usage else (None, ())
    return Review(environment, plan, tuple(judged), tuple(renames), digest, cost, usage, notes)


def _context(plan: Plan) -> Context:
    return Context(
        policies={
            change.after["arn"]: change.after.get("policy")
            for change in plan.resources
            if change.type == "aws_iam_policy" and isinstance(change.after.get("arn"), str)
        },
        created=frozenset(
            (name, value)
            for change in plan.resources
            if change.type in NAME_ATTRIBUTES and change.action is Action.CREATE
            if isinstance(value := change.after.get(name := NAME_ATTRIBUTES[change.type]), str)
        ),
    )


def _cost(
    plan: Plan, stack: Synthesized | None, usage: Usage
) -> tuple[Difference, tuple[str, ...]]:
    before, after = plan_resources(plan, stack)
    region = load_prices().region
    notes = (
        ()
        if plan.region == region
        else (f"Costs use the prices of {region}, but the environment is in {plan.region}",)
    )
    difference = Difference(make_bill(before, usage), make_bill(after, usage))
    return difference, (*notes, *budget_warnings(after, difference.after, usage))


def _policies(
    change: Change, stack: Synthesized | None, values: Mapping[str, Mapping[str, Any]]
) -> Iterator[Comparison]:
    """Yields a comparison for each policy that the change modifies."""
    if change.type == "aws_lambda_permission":
        yield compare(_permission(change.before), _permission(change.after))
        return
    # If the policy moves to another role, bucket or key, all its permissions are new there.
    moved = change.action is Action.REPLACE and any(
        change.before.get(name) != change.after.get(name) for name in OWNERS
    )
    for attribute in dict.fromkeys([*change.before, *change.after]):
        before, after = change.before.get(attribute), change.after.get(attribute)
        if after is UNKNOWN:
            # The policy refers to a resource that the apply creates, so the policy is unknown
            # before the apply.
            if attribute in POLICY_ATTRIBUTES and (
                change.action is Action.CREATE or is_policy(before)
            ):
                yield compare(
                    before,
                    _synthesized_policy(change.address, attribute, stack, values) or UNKNOWN,
                    attribute,
                )
        elif moved or before != after:
            for path, old, new in _documents(before, after, attribute):
                yield compare(None if moved and is_policy(new) else old, new, path)


def _documents(before: Any, after: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Finds the policies in an attribute's old and new value.

    Yields the path of each policy, its old document and its new document.

    Policies can be nested, for example in a role's `inline_policy` blocks.
    """
    if is_policy(before) or is_policy(after):
        yield path, before, after
    elif isinstance(before, list) or isinstance(after, list):
        old, new = (value if isinstance(value, list) else [] for value in (before, after))
        if any(isinstance(item, Mapping) for item in [*old, *new]):
            for _, one, other in pair_blocks(old, new):
                yield from _documents(one, other, path)
    elif isinstance(before, Mapping) or isinstance(after, Mapping):
        old_block, new_block = (
            value if isinstance(value, Mapping) else {} for value in (before, after)
        )
        for key in dict.fromkeys([*old_block, *new_block]):
            yield from _documents(old_block.get(key), new_block.get(key), f"{path}.{key}")


def _synthesized_policy(
    address: str, attribute: str, stack: Synthesized | None, values: Mapping[str, Mapping[str, Any]]
) -> str | None:
    """Returns the policy in an attribute of the synthesized stack.

    Replaces references to known values with these values. Returns None if the attribute contains no
    policy.
    """

    def referred(match: re.Match[str]) -> str:
        value = values.get(f"{match[1]}.{match[2]}", {}).get(match[3])
        return (
            value
            if isinstance(value, str)
            else f"({match[1]}.{match[2]}.{match[3]}, known after apply)"
        )

    resource = stack.resources.get(address) if stack else None
    text = resource.block.get(attribute) if resource else None
    written = _REFERENCE.sub(referred, text) if isinstance(text, str) else None
    return written if is_policy(written) else None


def _permission(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns a Lambda permission as the policy document that AWS creates from it."""
    if not values:
        return None
    principal = str(values.get("principal"))
    kind = "Service" if principal.endswith(".amazonaws.com") else "AWS"
    conditions = {
        key: str(values[attribute])
        for attribute, key in (
            ("source_arn", "aws:SourceArn"),
            ("source_account", "aws:SourceAccount"),
            ("principal_org_id", "aws:PrincipalOrgID"),
        )
        if values.get(attribute)
    }
    function = values.get("function_name")
    statement = {
        "Effect": "Allow",
        "Action": values.get("action"),
        "Resource": str(function) + (f":{values['qualifier']}" if values.get("qualifier") else ""),
        "Principal": ANYBODY if principal == ANYBODY else {kind: principal},
        "Condition": {"ArnLike": conditions} if conditions else {},
    }
    return {"Statement": [statement]}
