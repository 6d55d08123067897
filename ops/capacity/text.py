"""Renders a forecast as text, a table and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table

from ops.capacity.forecast import MOST_USERS, Use
from ops.capacity.memory import Choice
from ops.capacity.quotas import Quotas
from ops.cost.bill import Bill


def format_users(users: float | None) -> str:
    """Returns a number of users with three significant digits, for example `185,000`."""
    if users is None:
        return f"over {MOST_USERS:,.0f}"
    if users < 1000:
        return f"{users:,.0f}"
    digits = 2 - math.floor(math.log10(users))
    return f"{round(users, digits):,.0f}"


def format_utilisation(value: float) -> str:
    """Returns a formatted utilisation, for example `0.4 %` or `250 %`."""
    return f"{value:.1%}".replace("%", " %") if value < 0.1 else f"{value:,.0%}".replace("%", " %")


def format_number(value: float) -> str:
    """Returns a number, rounded to two significant digits if it is less than 100 and not whole."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.2g}"


def use_table(uses: Sequence[Use]) -> Table:
    """Returns a table with the demand, the capacity and the utilisation of each limit."""
    table = Table("limit", box=None, pad_edge=False)
    for title in ("demand", "capacity", "used", "breaks at"):
        table.add_column(title, justify="right")
    for use in uses:
        limit = use.limit
        mark = "" if limit.is_verified else " ?"
        table.add_row(
            limit.name,
            format_number(use.demand),
            f"{format_number(limit.capacity)} {limit.unit}{mark}",
            format_utilisation(use.utilisation),
            format_users(use.breaks_at),
            style="bold" if use.utilisation > 1 else None,
        )
    return table


def memory_table(choices: Iterable[Choice], target_ms: float) -> Table:
    """Returns a table with two memory sizes of each function: the current one, and the cheapest one
    that is fast enough.
    """
    table = Table("function", box=None, pad_edge=False)
    titles = ("MB", "p99, ms", "USD", f"MB for {target_ms:g} ms", "p99, ms", "USD")
    for title in titles:
        table.add_column(title, justify="right")
    for choice in choices:
        now, cheapest = choice.now, choice.cheapest
        other = (
            (f"{cheapest.memory_mb:g}", format_number(cheapest.p99_ms), f"{cheapest.usd:,.2f}")
            if cheapest
            else ("none", "", "")
        )
        table.add_row(
            now.function, f"{now.memory_mb:g}", format_number(now.p99_ms), f"{now.usd:,.2f}", *other
        )
    return table


def changes(uses: Sequence[Use]) -> list[str]:
    """Returns numbered descriptions of the changes that raise the limits, each once and in the
    order of the limits.
    """
    texts = dict.fromkeys(f"{use.limit.change.kind}: {use.limit.change.text}" for use in uses)
    return [f"{number}. {text}" for number, text in enumerate(texts, 1)]


def document(
    users: float, uses: Sequence[Use], first: float | None, bill: Bill, quotas: Quotas
) -> dict[str, Any]:
    """Returns a forecast as a JSON-serializable document."""
    return {
        "users": users,
        "quotasRead": quotas.read.isoformat(),
        "firstBreakAt": first and math.floor(first),
        "usdPerMonth": round(bill.usd, 2),
        "services": {name: round(part.usd, 2) for name, part in bill.services.items()},
        "limits": [
            {
                "name": use.limit.name,
                "demand": round(use.demand, 4),
                "capacity": use.limit.capacity,
                "unit": use.limit.unit,
                "utilisation": None if math.isinf(use.utilisation) else round(use.utilisation, 6),
                "breaksAt": use.breaks_at and math.floor(use.breaks_at),
                "source": use.limit.source,
                "verified": use.limit.is_verified,
                "change": {"kind": use.limit.change.kind, "text": use.limit.change.text},
            }
            for use in uses
        ],
    }
