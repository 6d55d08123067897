"""A stack like prod's, for tests of `ops capacity`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ops.capacity.calls import load_rows
from ops.capacity.forecast import Forecast
from ops.capacity.limits import Limit
from ops.capacity.model import load_model
from ops.capacity.quotas import Quotas, load_quotas
from ops.capacity.stack import EventSource, Function, Stack, Table, Throttle

RESERVED = {"auth": 20, "profile": 100, "chat": 100, "post": 100, "catalog": 100, "ai": 100}
SHARED = ("authorizer", "delivery", "health", "relay", "statistics")


def make_stack(**changes: Any) -> Stack:
    """Returns a stack with the settings of prod, except for the given changes."""
    tables = {key.split(" ")[0].split("/")[0] for row in load_rows().values() for key in row.units}
    stack = Stack(
        environment="prod",
        region="us-east-1",
        functions={
            name: Function(name, 1024 if name == "chat" else 512, 30, RESERVED.get(name), 0)
            for name in (*RESERVED, *SHARED)
        },
        tables={name: Table(name, None, None, ()) for name in sorted(tables)},
        rest=Throttle(1000, 2000),
        websocket=Throttle(1000, 2000),
        authorizer_seconds=300,
        event_sources={
            **{
                name: EventSource(name, name.partition("/")[0], 50, 1, is_stream=True)
                for name in ("relay/stream", "delivery/stream")
            },
            "delivery/frames-source": EventSource(
                "delivery/frames-source", "delivery", 10, 1, is_stream=False
            ),
        },
        has_high_throughput_fifo=False,
        shards=4,
        room_parts=1,
        account_seconds=0,
        signal_limit=100,
        reconnect_seconds=0,
        aurora_units=(2, 16),
        aurora_instances=2,
        cache_node="cache.t4g.small",
        nat_gateways=3,
        distributions=2,
        sends_mail_without_ses=True,
    )
    return replace(stack, **changes)


def make_forecast(quotas: Quotas | None = None, **changes: Any) -> Forecast:
    return Forecast(make_stack(**changes), load_model(), quotas or load_quotas(), load_rows())


def limit(forecast: Forecast, name: str) -> Limit:
    """Returns the limit with this name, or the only one whose name begins with `name`."""
    exact = [limit for limit in forecast.limits if limit.name == name]
    [result] = exact or [limit for limit in forecast.limits if limit.name.startswith(name)]
    return result


def breaks_at(forecast: Forecast, name: str) -> float | None:
    """Returns the number of users at which a limit breaks. The limit's name begins with `name`."""
    chosen = limit(forecast, name)
    [use] = [use for use in forecast.uses(1000) if use.limit is chosen]
    return use.breaks_at
