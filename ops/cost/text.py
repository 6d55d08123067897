"""Renders a bill as text, tables and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

from ops.cost.advice import Advice
from ops.cost.bill import CENT, Bill, Difference
from ops.cost.prices import Prices, load_prices
from ops.cost.usage import Usage


def usd(amount: float) -> str:
    """Returns a formatted amount, for example `1,234.50`."""
    return f"{amount:,.2f}"


def signed(amount: float) -> str:
    """Returns a formatted difference: `+1.00`, `-1.00` or `0.00`."""
    return "0.00" if round(amount, 2) == 0 else f"{amount:+,.2f}"


def assumptions(usage: Usage, prices: Prices | None = None) -> str:
    """Returns the assumptions of a bill: usage, region and date of the prices."""
    prices = prices or load_prices()
    return (
        f"{usage.name}: {usage.requests:,.0f} requests, {usage.hours:g} hours;"
        f" {prices.currency} at AWS's public prices for {prices.region},"
        f" read {prices.read:%Y-%m-%d}, before tax and free allowances"
    )


def by_service(bill: Bill) -> Table:
    """Returns a table of the fixed and usage-based cost of each service."""
    table = Table("service", box=None, pad_edge=False)
    for title in ("fixed", "used", "USD a month"):
        table.add_column(title, justify="right")
    for service, part in bill.services.items():
        table.add_row(service, usd(part.fixed_usd), usd(part.used_usd), usd(part.usd))
    table.add_section()
    table.add_row("total", usd(bill.fixed_usd), usd(bill.used_usd), usd(bill.usd), style="bold")
    return table


def by_resource(bill: Bill) -> Table:
    """Returns a table of all charges of half a cent or more."""
    table = Table("service", "resource", "charge", box=None, pad_edge=False)
    for title in ("quantity", "USD a month"):
        table.add_column(title, justify="right")
    for item in sorted(
        bill.items, key=lambda item: (item.construct.service, item.construct.path, item.price)
    ):
        if item.usd >= CENT / 2:
            kind = " (fixed)" if item.fixed else ""
            table.add_row(
                item.construct.service,
                item.construct.path,
                item.price + kind,
                f"{item.quantity:,.4g} {item.unit}",
                usd(item.usd),
            )
    return table


def difference_table(difference: Difference, before: str, after: str) -> Table:
    """Returns a table of the cost before and after for each service."""
    table = Table("service", box=None, pad_edge=False)
    for title in (before, after, "difference"):
        table.add_column(title, justify="right")
    for service, (old, new) in difference.services.items():
        table.add_row(service, usd(old), usd(new), signed(new - old))
    table.add_section()
    table.add_row(
        "total",
        usd(difference.before.usd),
        usd(difference.after.usd),
        signed(difference.usd),
        style="bold",
    )
    return table


def advice_lines(advice: Sequence[Advice]) -> Iterator[str]:
    """Yields two lines for each item: the suggested value with its saving, and what it gives up."""
    for item in advice:
        yield (
            f"{usd(item.saves):>9} {item.setting}: {item.instead} instead of {item.now},"
            f" which costs {usd(item.usd)}"
        )
        yield f"{'':9} gives up {item.buys}"


def notes(bill: Bill) -> Iterator[str]:
    """Yields the unpriced resources and the number of free ones."""
    for item in bill.unpriced:
        yield f"unpriced: {item.construct.path} ({item.address}): {item.reason}"
    yield f"{bill.free} resources have no charge"


def bill_document(bill: Bill, usage: Usage, prices: Prices | None = None) -> dict[str, Any]:
    """Returns a bill as a JSON-serializable document."""
    prices = prices or load_prices()
    return {
        "usage": {"name": usage.name, "requests": usage.requests, "hours": usage.hours},
        "prices": {
            "region": prices.region,
            "currency": prices.currency,
            "read": prices.read.isoformat(),
        },
        "usd": round(bill.usd, 4),
        "fixedUsd": round(bill.fixed_usd, 4),
        "usedUsd": round(bill.used_usd, 4),
        "services": {
            name: {
                "usd": round(part.usd, 4),
                "fixedUsd": round(part.fixed_usd, 4),
                "usedUsd": round(part.used_usd, 4),
            }
            for name, part in bill.services.items()
        },
        "items": [
            {
                "address": item.address,
                "path": item.construct.path,
                "service": item.construct.service,
                "price": item.price,
                "source": prices.sources[prices.prices[item.price].source],
                "quantity": item.quantity,
                "unit": item.unit,
                "fixed": item.fixed,
                "usd": round(item.usd, 6),
            }
            for item in bill.items
        ],
        "unpriced": [
            {"address": item.address, "path": item.construct.path, "reason": item.reason}
            for item in bill.unpriced
        ],
        "free": bill.free,
    }


def difference_document(difference: Difference) -> dict[str, Any]:
    """Returns a difference as a JSON-serializable document."""
    return {
        "usd": round(difference.usd, 4),
        "beforeUsd": round(difference.before.usd, 4),
        "afterUsd": round(difference.after.usd, 4),
        "services": {
            name: {"before": round(old, 4), "after": round(new, 4)}
            for name, (old, new) in difference.services.items()
        },
        "resources": {
            address: {"before": round(old, 4), "after": round(new, 4)}
            for address, (old, new) in difference.resources.items()
        },
    }
