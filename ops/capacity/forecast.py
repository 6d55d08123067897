"""Computes the utilisation of every limit, and the number of users at which demand exceeds it."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ops.capacity import data_limits, service_limits
from ops.capacity.calls import Row
from ops.capacity.hot_keys import HotKeys
from ops.capacity.limits import AFTER_OUTAGE, Inputs, Limit, Point
from ops.capacity.load import Loads
from ops.capacity.model import Model
from ops.capacity.quotas import Quotas
from ops.capacity.stack import Stack
from ops.capacity.traffic import peak_traffic, reconnection_seconds, storm_traffic

FEWEST_USERS, MOST_USERS = 100.0, 1e9
STEPS_PER_DECADE = 20
"""Number of user counts per power of ten for which the load is computed.

Demands between two of these counts are interpolated linearly.
"""


@dataclass(frozen=True)
class Use:
    """A limit, and the demand on it at a given number of users."""

    limit: Limit
    demand: float
    breaks_at: float | None
    """Lowest number of daily active users that exceeds the limit. None if MOST_USERS does not."""

    @property
    def utilisation(self) -> float:
        """The demand divided by the capacity."""
        return self.demand / self.limit.capacity if self.limit.capacity else math.inf


class Forecast:
    """The limits of an environment, and their utilisation according to the usage model."""

    def __init__(self, stack: Stack, model: Model, quotas: Quotas, rows: Mapping[str, Row]) -> None:
        self.stack, self.model = stack, model
        self.loads = Loads(model, rows, stack, quotas)
        self._rows = rows
        inputs = Inputs(stack, quotas, model, rows, self.loads)
        self.limits: tuple[Limit, ...] = (
            *service_limits.limits(inputs),
            *data_limits.limits(inputs),
            *HotKeys(inputs).limits(),
        )

    def point(self, users: float) -> Point:
        """Returns the load that this number of daily active users causes."""
        design = self.stack.design
        peak = peak_traffic(self.model, self._rows, users, design)
        storm = storm_traffic(self.model, users, design)
        return Point(users, self.loads.compute(peak), self.loads.compute(storm))

    def uses(self, users: float) -> list[Use]:
        """Returns the utilisation of each limit, sorted by the number of users at which it
        breaks.
        """
        point = self.point(users)
        uses = [Use(limit, limit.demand(point), self._breaks_at(limit)) for limit in self.limits]
        return sorted(uses, key=lambda use: (use.breaks_at or math.inf, -use.utilisation))

    def first_break(self) -> float | None:
        """Returns the number of users at which the first limit breaks."""
        return min(
            (users for limit in self.limits if (users := self._breaks_at(limit))), default=None
        )

    def recovery_seconds(self, users: float, *, without: tuple[str, ...] = ()) -> float:
        """Returns the seconds after an outage until all users who were online are connected again.

        Rejected clients retry, so the limit with the highest utilisation determines the time.

        Args:
            without: Ignores limits whose names start with one of these texts.
        """
        point = self.point(users)
        spread = reconnection_seconds(self.model, self.stack.design)
        used = [
            limit.demand(point) / limit.capacity
            for limit in self.limits
            if limit.name.endswith(AFTER_OUTAGE)
            and limit.capacity
            and not limit.name.startswith(without)
        ]
        return spread * max([1.0, *used])

    def series(self, limit: Limit, users: Sequence[float]) -> Iterator[float]:
        """Yields the utilisation of a limit at each number of users."""
        for count in users:
            above = min(max(1, bisect.bisect_left(self._users, count)), len(self._users) - 1)
            low, high = (limit.demand(point) for point in self._points[above - 1 : above + 1])
            begin, end = self._users[above - 1 : above + 1]
            demand = low + (high - low) * (count - begin) / (end - begin)
            yield demand / limit.capacity if limit.capacity else math.inf

    @cached_property
    def _users(self) -> list[float]:
        decades = math.log10(MOST_USERS / FEWEST_USERS)
        steps = round(decades * STEPS_PER_DECADE)
        return [FEWEST_USERS * 10 ** (step * decades / steps) for step in range(steps + 1)]

    @cached_property
    def _points(self) -> list[Point]:
        return [self.point(users) for users in self._users]

    def _breaks_at(self, limit: Limit) -> float | None:
        """Returns the lowest number of users whose demand exceeds the capacity, or None.

        Demands grow with the number of users, so bisection finds this number.
        """
        position = bisect.bisect_right(self._points, limit.capacity, key=limit.demand)
        if position == 0:
            return FEWEST_USERS
        if position == len(self._points):
            return None
        below, above = self._points[position - 1 : position + 1]
        low, high = limit.demand(below), limit.demand(above)
        share = (limit.capacity - low) / (high - low)
        return below.users + share * (above.users - below.users)
