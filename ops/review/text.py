"""Renders a review for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from ops.cost.text import signed, usd
from ops.review.alike import Alike, alike_changes, to_decide
from ops.review.review import Review, ReviewedChange
from ops.review.rules import Verdict
from ops.review.words import LONGEST, SIGNS, forced, notes, title, unknown, value_text
from ops.terraform.plan import Action

STYLES = {
    Verdict.SAFE: "green",
    Verdict.REVIEW: "yellow",
    Verdict.DANGEROUS: "red",
    Verdict.IRREVERSIBLE: "bold magenta",
}
DIFFERENCES_SHOWN = 12
"""Maximum differences shown per change in a terminal. The other formats show all differences."""
DECISIONS_SHOWN = 20
"""Maximum number of groups that are shown in a terminal as changes to decide about."""
PATHS_SHOWN = 5
"""Maximum number of resources that are named for each group of changes to decide about."""
SERVICES_SHOWN = 10
"""Maximum number of services with changed costs that are shown in a terminal."""


def review_lines(review: Review) -> Iterator[Text]:
    """Yields the review line by line."""
    yield Text.assemble(f"{review.environment}: ", (review.summary, STYLES[review.verdict]))
    for note in notes(review):
        yield Text(note, style="dim" if note in review.notes else "yellow")
    yield from _decisions(review)
    yield from _cost(review)
    for group in review.groups:
        yield Text()
        name = (
            group.module if group.module == group.service else f"{group.module} / {group.service}"
        )
        yield Text.assemble((name, "bold"), f"  {group.summary}")
        for item in group.changes:
            yield from _change(item)
    for rename in review.renames:
        yield Text()
        yield Text(
            f"{rename.before} was apparently renamed to {rename.after}."
            " To keep the resource, add this line to the Python program:",
            style="bold",
        )
        yield Text(f"  {rename.program}")
        yield Text("The program then generates this block:")
        yield from (Text(f"  {line}") for line in rename.moved_block.splitlines())
    if review.plan.drifted:
        yield Text()
        yield Text(
            f"changed outside Terraform since the last apply: {', '.join(review.plan.drifted)}",
            style="yellow",
        )
    if review.plan.outputs:
        yield Text(f"changed outputs: {', '.join(review.plan.outputs)}", style="dim")


def _decisions(review: Review) -> Iterator[Text]:
    groups = to_decide(alike_changes(review))
    if groups:
        yield Text()
        yield Text("To decide:", style="bold")
    for group in groups[:DECISIONS_SHOWN]:
        yield from _decision(group)
    if len(groups) > DECISIONS_SHOWN:
        yield Text(f"  and {len(groups) - DECISIONS_SHOWN} more groups of changes", style="dim")


def _decision(group: Alike) -> Iterator[Text]:
    style = STYLES[group.verdict]
    yield Text.assemble(
        (f"  {SIGNS[group.action]} {group.verdict!s:<12} ", style), (group.sentence, "bold")
    )
    yield Text(f"      {value_text(group.why, LONGEST)}", style=style)
    if len(group.changes) > 1:
        paths = [item.construct.path for item in group.changes]
        more = f" and {len(paths) - PATHS_SHOWN} more" if len(paths) > PATHS_SHOWN else ""
        yield Text(f"      {', '.join(paths[:PATHS_SHOWN])}{more}", style="dim")


def _cost(review: Review) -> Iterator[Text]:
    if not review.cost:
        return
    difference = review.cost
    yield Text()
    yield Text(
        f"cost: {signed(difference.usd)} USD a month"
        f" ({usd(difference.before.usd)} to {usd(difference.after.usd)})"
    )
    changed = difference.changed_services
    for service, (old, new) in list(changed.items())[:SERVICES_SHOWN]:
        yield Text(f"  {signed(new - old):>10}  {service} ({usd(old)} to {usd(new)})")
    if len(changed) > SERVICES_SHOWN:
        yield Text(f"  and {len(changed) - SERVICES_SHOWN} more services", style="dim")
    for left in difference.after.unpriced:
        yield Text(f"  unpriced: {left.address}: {left.reason}")


def _change(item: ReviewedChange) -> Iterator[Text]:
    change = item.change
    style = STYLES[item.verdict]
    yield Text.assemble((f"  {SIGNS[change.action]} {item.verdict!s:<12} ", style), title(item))
    for reason in item.reasons:
        yield Text.assemble("      ", (reason.text, STYLES[reason.verdict]))
    for line in (forced(change), unknown(change) if change.action is not Action.CREATE else None):
        if line:
            yield Text(f"      {line}", style="dim")
    if item.rename:
        yield Text(f"      renamed from {item.rename.before} to {item.rename.after}", style="bold")
    if change.action in {Action.UPDATE, Action.REPLACE}:
        for difference in change.differences[:DIFFERENCES_SHOWN]:
            yield Text(
                f"      {difference.path}:"
                f" {value_text(difference.before)} → {value_text(difference.after)}"
            )
        more = len(change.differences) - DIFFERENCES_SHOWN
        if more > 0:
            yield Text(f"      and {more} more attributes", style="dim")
