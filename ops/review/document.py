"""Renders a review as JSON. Sensitive values are masked, as in the other formats."""

from __future__ import annotations

from typing import Any

from ops.cost.text import difference_document
from ops.review.alike import Alike, alike_changes
from ops.review.review import Review, ReviewedChange
from ops.review.words import notes
from ops.terraform.plan_values import to_json_value


def review_document(review: Review) -> dict[str, Any]:
    """Returns the review as a JSON-serializable document."""
    plan = review.plan
    return {
        "environment": review.environment,
        "verdict": str(review.verdict),
        "summary": review.summary,
        "counts": {action.past_participle: number for action, number in review.counts.items()},
        "verdicts": {str(verdict): number for verdict, number in review.verdicts.items()},
        "plan": {
            "sha256": review.digest,
            "made": plan.created_at,
            "terraform": plan.terraform_version,
            "outputs": list(plan.outputs),
            "drifted": list(plan.drifted),
        },
        "alike": [_alike(group) for group in alike_changes(review)],
        "groups": [
            {
                "module": group.module,
                "service": group.service,
                "verdict": str(group.verdict),
                "changes": [_change(item) for item in group.changes],
            }
            for group in review.groups
        ],
        "renames": [
            {
                "from": rename.before,
                "to": rename.after,
                "moved": rename.moved_block,
                "program": rename.program,
            }
            for rename in review.renames
        ],
        "cost": difference_document(review.cost) if review.cost else None,
        "unpriced": [
            {"address": item.address, "reason": item.reason} for item in review.cost.after.unpriced
        ]
        if review.cost
        else [],
        "notes": notes(review),
        "actions": [
            {"address": item.address, "type": item.type, "deferred": item.deferred}
            for item in plan.invocations
        ],
        "deferred": [
            {
                "address": item.change.address,
                "action": str(item.change.action),
                "reason": item.reason,
            }
            for item in plan.deferred
        ],
        "complete": plan.complete,
    }


def _alike(group: Alike) -> dict[str, Any]:
    return {
        "verdict": str(group.verdict),
        "sentence": group.sentence,
        "why": group.why,
        "addresses": [item.change.address for item in group.changes],
    }


def _change(item: ReviewedChange) -> dict[str, Any]:
    change = item.change
    return {
        "address": change.address,
        "path": item.construct.path,
        "type": change.type,
        "action": str(change.action),
        "verdict": str(item.verdict),
        "reasons": [
            {"rule": reason.rule, "verdict": str(reason.verdict), "text": reason.text}
            for reason in item.reasons
        ],
        "forcedBy": list(change.forced_by),
        "movedFrom": change.moved_from,
        "imported": change.imported,
        "deposed": change.deposed,
        "renamedTo": item.rename.after
        if item.rename and item.rename.before == change.address
        else None,
        "differences": [
            {
                "path": difference.path,
                "before": to_json_value(difference.before),
                "after": to_json_value(difference.after),
            }
            for difference in change.differences
        ],
        "unknown": list(change.unknown),
        "policies": [
            {
                "attribute": policy.attribute,
                "wider": [str(grant) for grant in policy.wider],
                "narrower": [str(grant) for grant in policy.narrower],
                "undenied": [str(grant) for grant in policy.undenied],
                "denied": [str(grant) for grant in policy.denied],
                "unknown": policy.unknown,
                "undecided": list(policy.undecided),
            }
            for policy in item.policies
        ],
    }
