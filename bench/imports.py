"""Measures the import time of Powertools utilities, and of this project's modules that replace
them.

    python -m bench.imports [--runs 15] [--json]

Each measurement starts a new interpreter. It first imports the modules that a function needs in
both cases, with the utility or with the replacement. Their import time is not measured.
Measurements of a utility and of its replacement alternate, so that load on the machine affects
both. The first two measurements are not counted, because Python compiles the modules during them.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass

from bench import create_parser
from ops.root import PROJECT

POWERTOOLS = "aws_lambda_powertools"
EVERYWHERE = "import boto3, lambdas.common.logs, lambdas.common.storage.dynamodb"
"""Statements that run before the measured import, because every function needs these modules."""

PROGRAM = """\
import time
{before}
begun = time.perf_counter()
{measured}
print(time.perf_counter() - begun)
"""


@dataclass(frozen=True)
class Pair:
    """A Powertools utility and its replacement: the import statements of each, and the statements
    that run before both.
    """

    library: str
    own: str
    before: str = EVERYWHERE


PAIRS = {
    "router": Pair(
        f"from {POWERTOOLS}.event_handler import APIGatewayRestResolver",
        "import lambdas.common.web.router",
    ),
    "queue consumer": Pair(
        f"from {POWERTOOLS}.utilities.batch import BatchProcessor, process_partial_response",
        "import lambdas.common.messaging.consumer",
    ),
    "idempotency": Pair(
        f"from {POWERTOOLS}.utilities.idempotency import DynamoDBPersistenceLayer,"
        " IdempotencyConfig, idempotent_function",
        "import lambdas.common.web.idempotency",
        f"{EVERYWHERE}, lambdas.common.web.router",
    ),
}


def import_seconds(before: str, measured: str) -> float:
    """Returns the seconds that an import takes in a new interpreter."""
    program = PROGRAM.format(before=before, measured=measured)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def measure(pair: Pair, runs: int) -> dict[str, float]:
    """Measures the import of a Powertools utility and of its replacement, alternately.

    Returns the median milliseconds of each, and the median ratio of the utility's time to the
    replacement's. A ratio above 1 means that the replacement is faster.
    """
    times = [
        (import_seconds(pair.before, pair.library), import_seconds(pair.before, pair.own))
        for _ in range(runs + 1)
    ][1:]
    return {
        "library_ms": statistics.median(library for library, _ in times) * 1000,
        "own_ms": statistics.median(own for _, own in times) * 1000,
        "ratio": statistics.median(library / own for library, own in times),
    }


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument(
        "--runs",
        type=int,
        default=15,
        help="number of measurements of each library and of its replacement (default: 15)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()

    results = {name: measure(pair, arguments.runs) for name, pair in PAIRS.items()}
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    print(f"{'':<15} {'library (ms)':>12} {'own (ms)':>12} {'ratio':>12}")
    for name, figures in results.items():
        print(f"{name:<15}", *(f"{figure:>12.1f}" for figure in figures.values()))


if __name__ == "__main__":
    main()
