"""Formats values and changes as text for the terminal, Markdown and HTML."""

from __future__ import annotations

import json
from typing import Any

from ops.review.review import Review, ReviewedChange
from ops.review.rules import Verdict
from ops.terraform.addresses import parse_address
from ops.terraform.plan import Action, Change
from ops.terraform.plan_values import to_json_value

SIGNS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPLACE: "±",
    Action.DESTROY: "-",
    Action.FORGET: "∅",
    Action.MOVE: "→",
    Action.IMPORT: "←",
    Action.SUPERSEDE: "±",
    Action.NONE: " ",
}
"""The symbol for each action. Equals Terraform's symbol if Terraform has one for the action."""
MEANINGS = {
    Verdict.SAFE: "No data is lost, no access is opened and no protection is weakened.",
    Verdict.REVIEW: "The behaviour changes: review it.",
    Verdict.DANGEROUS: "The change can break the service, open access or weaken a protection."
    " The opposite change reverts it.",
    Verdict.IRREVERSIBLE: "The change destroys data or an identity that no later change can"
    " restore.",
}
"""The meaning of each verdict, as in rules.yml."""
ABSENT = "(none)"
LONGEST = 160
"""Maximum characters of a value in a line of text. Longer values are truncated."""


def value_text(value: Any, longest: int | None = LONGEST) -> str:
    """Returns a value as one line. Long values are truncated and show their length.

    Args:
        longest: Maximum characters. None returns the complete value with its line breaks.
    """
    if value is None:
        return ABSENT
    if value == "":
        return '""'
    plain = to_json_value(value)
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    text = " ".join(text.split()) if longest else text
    return (
        f"{text[:longest]}… ({len(text)} characters)" if longest and len(text) > longest else text
    )


def title(item: ReviewedChange) -> str:
    """Returns the construct path and the type of a change's resource.

    Adds the address if it contains a module or an instance key, which the construct path lacks.
    """
    address = item.change.address
    parts = parse_address(address)
    suffix = f" {address}" if parts.key or parts.module else ""
    deposed = f", deposed object {item.change.deposed}" if item.change.deposed else ""
    return f"{item.construct.path} ({item.change.type}{deposed}){suffix}"


def notes(review: Review) -> list[str]:
    """Returns the notes of a review, and notes about the plan.

    The notes about the plan list the actions that it invokes, and the actions and changes that it
    defers.
    """
    plan = review.plan
    lines = [
        f"the plan invokes the action {item.address} ({item.type}), whose effects it does not show"
        for item in plan.invocations
        if item.deferred is None
    ]
    lines += [
        f"the plan defers the action {item.address} ({item.deferred})"
        for item in plan.invocations
        if item.deferred is not None
    ]
    lines += [
        f"the plan defers the change of {item.change.address} ({item.change.action}: {item.reason})"
        for item in plan.deferred
    ]
    if not plan.complete:
        lines.append(
            "the plan is partial: after the apply, plan and review again until no change is left"
        )
    return [*review.notes, *lines]


def forced(change: Change) -> str | None:
    """Returns a text that states why a resource is replaced. None if it is not replaced."""
    if change.action is not Action.REPLACE:
        return None
    names = ", ".join(change.forced_by)
    return f"forced by {names}" if names else "forced by `-replace`, a taint or a dependency"


def unknown(change: Change) -> str | None:
    """Returns a text that lists the attributes known only after the apply.

    Returns None if all attributes are known.
    """
    if not change.unknown:
        return None
    names = ", ".join(change.unknown[:8]) + (
        f" and {len(change.unknown) - 8} more" if len(change.unknown) > 8 else ""
    )
    return f"known after apply: {names}"
