"""How values and changes are put into words; shared by all formats that people read."""

from __future__ import annotations

import json
from typing import Any

from ops.review.review import Judged
from ops.review.rules import Verdict
from ops.terraform.plan import Action, Change
from ops.terraform.plan_values import shown

SIGNS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPLACE: "±",
    Action.DESTROY: "-",
    Action.FORGET: "∅",
    Action.MOVE: "→",
    Action.NONE: " ",
}
"""One sign for each action, as Terraform's own plan has them where it has one."""
MEANINGS = {
    Verdict.SAFE: "Nothing is lost, opened or weakened.",
    Verdict.REVIEW: "Something works differently afterwards: somebody should look.",
    Verdict.DANGEROUS: "It can break the service, open access or weaken a protection; the opposite change takes it back.",
    Verdict.IRREVERSIBLE: "It ends data or an identity that no later change brings back.",
}
"""As rules.yml has them."""
ABSENT = "(none)"
LONGEST = 160
"""Signs of a value that are shown where it stands in a line."""


def value_text(value: Any, longest: int | None = LONGEST) -> str:
    """A value in one line; long ones are cut, with their length."""
    if value is None:
        return ABSENT
    if value == "":
        return '""'
    plain = shown(value)
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    text = " ".join(text.split()) if longest else text
    return f"{text[:longest]}… ({len(text)} signs)" if longest and len(text) > longest else text


def title(item: Judged) -> str:
    """A change's resource: its place in the program and its type."""
    return f"{item.construct.path} ({item.change.type})"


def forced(change: Change) -> str | None:
    """What forces a replacement, in words."""
    if change.action is not Action.REPLACE:
        return None
    names = ", ".join(change.forced_by)
    return f"forced by {names}" if names else "forced by `replace`, a taint or what it depends on"


def unknown(change: Change) -> str | None:
    """What is known only after the apply, in words."""
    if not change.unknown:
        return None
    names = ", ".join(change.unknown[:8]) + (
        f" and {len(change.unknown) - 8} more" if len(change.unknown) > 8 else ""
    )
    return f"known after apply: {names}"
