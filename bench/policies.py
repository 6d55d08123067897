"""Checks the policy comparison of `ops review` against an independent IAM simulator.

    python -m bench.policies [--pairs 100000]

Generates pairs of IAM policies (an old and a new one). Fails if the simulator finds a request that
only one policy of a pair allows, but `ops review` reports no difference. Also prints how often `ops
review` reports a difference that no simulated request shows. Such a difference can be real, because
not every request is simulated.
"""

from __future__ import annotations

import time

from bench import create_parser
from tests.ops.permissions.proof import prove


def main() -> None:
    """Generates and compares pairs of IAM policies, and prints statistics of the comparisons."""
    parser = create_parser(__doc__)
    parser.add_argument(
        "--pairs",
        type=int,
        default=100_000,
        help="number of pairs of IAM policies to compare (default: 100000)",
    )
    number: int = parser.parse_args().pairs
    begun = time.perf_counter()
    statistics = prove(number, is_repeatable=False)
    for name, count in statistics.items():
        print(f"{count:>8}  {name}")
    print(f"{time.perf_counter() - begun:>8.0f}  seconds")


if __name__ == "__main__":
    main()
