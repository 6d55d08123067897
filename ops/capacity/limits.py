"""Defines a limit: its capacity, the demand that users cause, and the change that raises it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from ops.capacity.calls import Row
from ops.capacity.load import Load, Loads
from ops.capacity.model import Model
from ops.capacity.quotas import Quota, Quotas
from ops.capacity.stack import Stack

AFTER_OUTAGE = " after an outage"
"""The suffix of the names of limits that apply while users connect again after an outage."""
Kind = Literal["setting", "quota", "design"]


@dataclass(frozen=True)
class Point:
    """The load that a number of daily active users causes."""

    users: float
    peak: Load
    """The load at the peak of an average day."""
    storm: Load
    """The load when all users who are online connect again after an outage."""


@dataclass(frozen=True)
class Change:
    """A change that raises the capacity of a limit."""

    kind: Kind
    text: str
    """An instruction, for example `raise chat.room_parts in the environment file`."""


@dataclass(frozen=True)
class Limit:
    """A limit of the environment or of AWS, and the function that computes the demand on it."""

    name: str
    capacity: float
    unit: str
    source: str
    """The quota in quotas.yml, the argument in the stack, or the key in the usage model."""
    demand: Callable[[Point], float]
    change: Change
    is_verified: bool = True
    """False if the capacity was not found in AWS's documentation."""


@dataclass(frozen=True)
class Inputs:
    """The stack, quotas and loads from which the limits are computed."""

    stack: Stack
    quotas: Quotas
    model: Model
    rows: Mapping[str, Row]
    loads: Loads

    def quota(self, name: str) -> Quota:
        return self.quotas.quotas[name]

    def by_quota(
        self,
        name: str,
        quota_name: str,
        demand: Callable[[Point], float],
        *,
        times: float = 1,
        change: Change | None = None,
    ) -> Limit:
        """Returns a limit whose capacity is an AWS quota.

        Args:
            times: Multiplies the quota's value, for example by the number of NAT gateways.
            change: The default is to request a higher quota.
        """
        quota = self.quota(quota_name)
        return Limit(
            name,
            quota.value * times,
            quota.unit,
            f"{'granted' if quota.is_granted else 'quota'} {quota_name}",
            demand,
            change or request(quota),
            quota.verified,
        )


def request(quota: Quota) -> Change:
    """Returns the change that requests a higher quota."""
    code = f" ({quota.code})" if quota.code else ""
    return Change("quota", f"request a higher quota: {quota.name}{code}")


def setting(key: str) -> Change:
    return Change("setting", f"raise {key} in the environment file")


def design(text: str) -> Change:
    return Change("design", text)
