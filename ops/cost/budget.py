"""Compares an estimate with the environment's budget."""

from __future__ import annotations

from collections.abc import Iterator

from ops.cost.bill import Bill
from ops.cost.resources import BillableResources
from ops.cost.text import usd
from ops.cost.usage import Usage


def budget_warnings(resources: BillableResources, bill: Bill, usage: Usage) -> Iterator[str]:
    """Yields a warning for each budget whose alert the estimated cost would trigger.

    Args:
        resources: the resources of a stack, or of one side of a plan.
        bill: the bill of the resources.
        usage: the usage for which the bill is computed.
    """
    for budget in resources.items:
        if budget.type != "aws_budgets_budget":
            continue
        limit = float(budget.value("limit_amount", 0))
        alert = limit * min(map(float, budget.values_at("notification.threshold")), default=100)
        alert /= 100
        if limit and bill.usd >= alert:
            yield (
                f"{budget.value('name')}: the estimate for {usage.name} is {usd(bill.usd)} USD a"
                f" month, but the budget sends an alert at {usd(alert)} of {usd(limit)} USD: raise"
                " budget.monthly_usd or reduce the cost"
            )
