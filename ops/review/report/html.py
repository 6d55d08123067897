"""Renders a review as one self-contained HTML page."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ops.cost.text import assumptions, signed, usd
from ops.review.alike import Alike, alike_changes, to_decide
from ops.review.report.pictures import draw_picture
from ops.review.review import Review
from ops.review.rules import Verdict
from ops.review.words import MEANINGS, SIGNS, forced, notes, unknown, value_text
from ops.terraform.plan import Action
from ops.terraform.stack_document import Synthesized

FILES = Path(__file__).parent
LONGEST_VALUE = 20_000
"""Maximum characters of a value in the page. Longer values are truncated and show their length."""


@dataclass(frozen=True)
class Bar:
    """A bar that shows how a plan changes the cost of one service."""

    service: str
    before: float
    after: float
    longest: float

    @property
    def difference(self) -> float:
        return self.after - self.before

    @property
    def direction(self) -> str:
        """The CSS class of the bar, which depends on whether the cost rises or falls."""
        return "dearer" if self.difference > 0 else "cheaper"

    @property
    def percent(self) -> str:
        """The length of the bar, in percent of the longest bar."""
        return f"{100 * abs(self.difference) / self.longest:.2f}"


def review_html(review: Review, stack: Synthesized | None) -> str:
    """Returns the HTML page of a review. It loads no external resources and escapes all values.

    Args:
        stack: the stack to draw the diagram from. None omits the diagram.
    """
    anchors = {item.change.key: f"change-{number}" for number, item in enumerate(review.changes, 1)}
    groups = alike_changes(review)
    decisions = to_decide(groups)
    return _page().render(
        review=review,
        anchors=anchors,
        picture=draw_picture(review, stack, anchors) if stack else None,
        decisions=decisions,
        others=_by_verdict(groups[len(decisions) :]),
        bars=_bars(review),
        assumptions=assumptions(review.usage) if review.usage else "",
        verdicts=list(reversed(Verdict)),
        meanings=MEANINGS,
        actions=[action for action in Action if action in review.counts],
        services=sorted({item.construct.service for item in review.changes}),
    )


def _by_verdict(groups: Iterable[Alike]) -> list[tuple[Verdict, list[Alike]]]:
    return [
        (verdict, list(items)) for verdict, items in groupby(groups, lambda group: group.verdict)
    ]


def _bars(review: Review) -> list[Bar]:
    if not review.cost:
        return []
    services = review.cost.changed_services
    longest = max((abs(after - before) for before, after in services.values()), default=0.0)
    return [Bar(service, before, after, longest) for service, (before, after) in services.items()]


@functools.cache
def _page() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FILES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        style=_read_trusted("report.css") + _read_trusted("picture.css"),
        script=_read_trusted("report.js"),
        SIGNS=SIGNS,
        Action=Action,
        forced=forced,
        unknown=unknown,
        notes=notes,
    )
    environment.filters.update(usd=usd, signed=signed, value=_value, plural=_plural, rem=_rem)
    environment.filters.update(shortened=value_text, sum_of_changes=_sum_of_changes)
    return environment.get_template("report.html.j2")


def _read_trusted(name: str) -> Markup:
    return Markup((FILES / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file


def _value(value: Any) -> str:
    return value_text(value, LONGEST_VALUE)


def _sum_of_changes(groups: Iterable[Alike]) -> int:
    return sum(len(group.changes) for group in groups)


def _rem(pixels: float) -> str:
    """Converts pixels to a length that grows with the text size."""
    return f"{pixels / 16:.3f}rem"


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
