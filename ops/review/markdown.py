"""Renders a review as Markdown, for a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from ops.cost.text import signed, usd
from ops.review.alike import Alike, alike_changes, to_decide
from ops.review.review import Review, ReviewedChange
from ops.review.rules import Verdict
from ops.review.words import forced, notes, title, unknown, value_text
from ops.terraform.plan import Action

LONGEST_COMMENT = 60_000
"""Maximum characters of a comment. GitHub rejects comments of more than 65,536 characters."""
LONGEST_PART = 18_000
"""Maximum characters of each of three parts, which must fit into one comment together: the
groups to decide about, the summary before the changes, and the part after the changes."""
PATHS_SHOWN = 20
"""Maximum number of resources that are listed for each group of changes to decide about."""
MARKS = {
    Verdict.SAFE: "🟢",
    Verdict.REVIEW: "🟡",
    Verdict.DANGEROUS: "🔴",
    Verdict.IRREVERSIBLE: "🟣",
}


def review_markdown(review: Review) -> str:
    """Returns the review as Markdown.

    If the text is too long for a comment, omits the details of the least severe changes and states
    the number of these changes.
    """
    decisions = [_decision(group) for group in to_decide(alike_changes(review))]
    head = "\n".join(
        [
            *_verdict(review),
            _shortened(decisions, LONGEST_PART, "groups of changes"),
            _shortened(list(_head(review)), LONGEST_PART, "lines of the summary"),
        ]
    )
    tail = _shortened(list(_tail(review)), LONGEST_PART, "lines about renames and drift")
    kept: list[str] = []
    length = len(head) + len(tail)
    for detail in map(_detail, review.changes):
        length += len(detail) + 1
        if length > LONGEST_COMMENT:
            omitted = len(review.changes) - len(kept)
            kept.append(f"\n{omitted} changes are omitted here: see the full report.")
            break
        kept.append(detail)
    return "\n".join([head, *kept, tail]).rstrip() + "\n"


def _shortened(lines: list[str], longest: int, what: str) -> str:
    """Joins the lines. If the text is too long, omits the last lines and states their number.

    Args:
        longest: Maximum characters of the text.
        what: A noun phrase for the lines, for example `groups of changes`.
    """
    length = 0
    for number, line in enumerate(lines):
        length += len(line) + 1
        if length > longest:
            kept = lines[:number]
            fence = ["```"] if kept.count("```hcl") > kept.count("```") else []
            more = f"{len(lines) - number} more {what} are omitted here: see the full report."
            return "\n".join([*kept, *fence, "", more, ""])
    return "\n".join(lines)


def _verdict(review: Review) -> Iterator[str]:
    yield f"## Plan for {review.environment}"
    yield ""
    yield f"{MARKS[review.verdict]} **{_escaped(review.summary)}**"
    yield ""


def _head(review: Review) -> Iterator[str]:
    for note in notes(review):
        yield f"> {_escaped(note)}"
        yield ""
    if review.cost:
        yield (
            f"Cost: **{signed(review.cost.usd)} USD a month**"
            f" ({usd(review.cost.before.usd)} to {usd(review.cost.after.usd)})"
            f" for {_escaped(review.usage.name if review.usage else '')}"
        )
        yield ""
        if review.cost.changed_services:
            yield "| service | difference | before | after |"
            yield "| --- | ---: | ---: | ---: |"
            for service, (old, new) in review.cost.changed_services.items():
                yield f"| {service} | **{signed(new - old)}** | {usd(old)} | {usd(new)} |"
            yield ""
        yield from (
            f"- unpriced: `{item.address}`: {_escaped(item.reason)}"
            for item in review.cost.after.unpriced
        )
        if review.cost.after.unpriced:
            yield ""
    if review.groups:
        actions = [action for action in Action if action in review.counts]
        counted = " | ".join(action.past_participle for action in actions)
        yield f"| module | service | verdict | {counted} |"
        yield f"| --- | --- | --- |{' ---: |' * len(actions)}"
        for group in review.groups:
            numbers = " | ".join(str(group.counts[action] or "") for action in actions)
            verdict = f"{MARKS[group.verdict]} {group.verdict}"
            yield f"| {group.module} | {group.service} | {verdict} | {numbers} |"
        yield ""


def _decision(group: Alike) -> str:
    """Renders a group of similar changes as one line. A click on the line shows the resources."""
    paths = [f"- <code>{_escaped(title(item))}</code>" for item in group.changes[:PATHS_SHOWN]]
    more = len(group.changes) - len(paths)
    return "\n".join(
        [
            "<details>",
            f"<summary>{MARKS[group.verdict]} {group.verdict}: <b>{_html(group.sentence)}</b><br>"
            f"{_html(value_text(group.why))}</summary>",
            "",
            *paths,
            *([f"- and {more} more"] if more > 0 else []),
            "</details>",
            "",
        ]
    )


def _detail(item: ReviewedChange) -> str:
    change = item.change
    lines = [
        "<details>" if item.verdict < Verdict.DANGEROUS else "<details open>",
        f"<summary>{MARKS[item.verdict]} {item.verdict}: {change.action}"
        f" <code>{_html(title(item))}</code></summary>",
        "",
        *(f"- {_escaped(reason.text)}" for reason in item.reasons),
    ]
    lines += [f"- {_escaped(line)}" for line in (forced(change), unknown(change)) if line]
    if item.rename:
        lines.append(f"- renamed from `{item.rename.before}` to `{item.rename.after}`")
    if change.action in {Action.UPDATE, Action.REPLACE} and change.differences:
        lines += ["", "| attribute | before | after |", "| --- | --- | --- |"]
        lines += [
            f"| `{_cell(difference.path)}` | {_cell(value_text(difference.before))}"
            f" | {_cell(value_text(difference.after))} |"
            for difference in change.differences
        ]
    lines += ["", f"`{change.address}`", "</details>"]
    return "\n".join(lines)


def _tail(review: Review) -> Iterator[str]:
    for rename in review.renames:
        yield ""
        yield (
            f"`{rename.before}` was apparently renamed to `{rename.after}`."
            f" To keep the resource, add `{rename.program}` to the Python program. It"
            " then generates this block:"
        )
        yield ""
        yield "```hcl"
        yield rename.moved_block
        yield "```"
    if review.plan.drifted:
        yield ""
        addresses = ", ".join(f"`{address}`" for address in review.plan.drifted)
        yield f"Changed outside Terraform since the last apply: {addresses}"
    if review.digest:
        yield ""
        yield f"Plan `sha256:{review.digest}`"


def _escaped(text: Any) -> str:
    """Escapes text from a plan so that any Markdown and HTML in the text has no effect."""
    return _html(text).replace("*", "\\*").replace("`", "'")


def _html(text: Any) -> str:
    """Escapes text for the content of an HTML element, where Markdown has no effect."""
    return escape(" ".join(str(text).split()), quote=False)


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|").replace("\n", " ")
