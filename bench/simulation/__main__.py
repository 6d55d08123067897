"""Compares `ops capacity` with a simulation of a large room, the timeline and an outage.

    python -m bench.simulation [prod]

Needs no running platform. Prints each figure as `ops capacity` and the simulation compute it, and
the difference.
"""

from __future__ import annotations

from bench import create_parser
from bench.simulation.comparison import compare
from environments import load_environment
from ops.capacity.calls import load_rows
from ops.capacity.forecast import Forecast
from ops.capacity.model import load_model
from ops.capacity.quotas import load_quotas
from ops.capacity.stack import read_stack
from ops.console import report
from ops.terraform.stack_cache import read_cached_stack


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument("environment", nargs="?", default="prod")
    name = parser.parse_args().environment
    stack = read_stack(read_cached_stack(name, report))
    quotas = load_quotas().with_granted(load_environment(name).quotas)
    forecast = Forecast(stack, load_model(), quotas, load_rows())
    print("| figure | model | simulation | difference |\n| --- | --- | --- | --- |")
    for item in compare(forecast, quotas):
        print(
            f"| {item.what} | {item.model:,.4g} | {item.simulation:,.4g} | {item.difference:+.1%} |"
        )


if __name__ == "__main__":
    main()
