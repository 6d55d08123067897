"""Renders a review as one self-contained HTML page."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ops.cost.text import assumptions, signed, usd
from ops.review.report.pictures import marked_picture
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
    """The bars that show the cost of one service before and after the plan."""

    service: str
    before: float
    after: float
    longest: float

    @property
    def change(self) -> str:
        """The CSS class of the bar after the plan. Empty for a change below half a cent."""
        difference = self.after - self.before
        return "dearer" if difference > 0.005 else "cheaper" if difference < -0.005 else ""

    def percent(self, amount: float) -> str:
        """Returns the length of the bar for an amount, in percent of the longest bar."""
        return f"{100 * amount / self.longest:.2f}" if self.longest else "0"


def review_html(review: Review, stack: Synthesized | None) -> str:
    """Returns the page. It loads no external resources and escapes all values.

    Args:
        stack: the stack to draw the diagram from. None omits the diagram.
    """
    anchors = {item.change.key: f"change-{number}" for number, item in enumerate(review.changes, 1)}
    picture, elsewhere = marked_picture(review, stack, anchors) if stack else (None, ())
    return _page().render(
        review=review,
        anchors=anchors,
        picture=Markup(picture) if picture else None,  # noqa: S704 - svg() escapes all text
        elsewhere=elsewhere,
        bars=_bars(review),
        assumptions=assumptions(review.usage) if review.usage else "",
        verdicts=list(reversed(Verdict)),
        meanings=MEANINGS,
        actions=[action for action in Action if action in review.counts],
        services=sorted({item.construct.service for item in review.changes}),
        grave=[item for item in review.changes if item.verdict >= Verdict.DANGEROUS],
    )


def _bars(review: Review) -> list[Bar]:
    if not review.cost:
        return []
    services = review.cost.services
    longest = max((amount for pair in services.values() for amount in pair), default=0.0)
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
        style=_read_trusted("report.css"),
        script=_read_trusted("report.js"),
        SIGNS=SIGNS,
        Action=Action,
        forced=forced,
        unknown=unknown,
        notes=notes,
    )
    environment.filters.update(usd=usd, signed=signed, value=_value, plural=_plural)
    return environment.get_template("report.html.j2")


def _read_trusted(name: str) -> Markup:
    return Markup((FILES / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file


def _value(value: Any) -> str:
    return value_text(value, LONGEST_VALUE)


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
