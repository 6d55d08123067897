"""Measures the CPU time of reviewing a plan with at least 500 changes, in every output format.

    python -m bench.review [--runs 5]

The plan is generated from production's stack, without Terraform. It creates, changes, replaces or
destroys every resource.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import create_parser
from ops.cost.usage import load_usage
from ops.review.document import review_document
from ops.review.markdown import review_markdown
from ops.review.report.html import review_html
from ops.review.review import review
from ops.review.text import review_lines
from ops.terraform.plan import read_plan
from ops.terraform.stack_document import read_synthesized
from ops.terraform.synthesis import synthesize
from tests.ops.review.documents import large_plan


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument(
        "--runs",
        type=int,
        default=5,
        help="number of measured runs per format (default: 5)",
    )
    runs: int = parser.parse_args().runs

    with tempfile.TemporaryDirectory() as directory:
        synthesize(["prod"], Path(directory), {})
        stack = read_synthesized(Path(directory) / "stacks" / "prod")
    document = large_plan(stack)
    reviewed = review(read_plan(document), "prod", stack, usage=load_usage("1m"))
    steps: dict[str, Callable[[], object]] = {
        "review and cost": lambda: review(
            read_plan(document), "prod", stack, usage=load_usage("1m")
        ),
        "text": lambda: [line.plain for line in review_lines(reviewed)],
        "markdown": lambda: review_markdown(reviewed),
        "json": lambda: json.dumps(review_document(reviewed)),
        "html, with the picture": lambda: review_html(reviewed, stack),
    }
    measured: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(runs):
        for name, work in steps.items():
            begun = time.process_time()
            work()
            measured[name].append(time.process_time() - begun)
    print(
        f"{len(document['resource_changes'])} resources, {len(reviewed.changes)} changes"
        f" (medians of {runs} runs: seconds of CPU time, and their ratio to `review and cost`)"
    )
    medians = {name: statistics.median(seconds) for name, seconds in measured.items()}
    for name, seconds in medians.items():
        print(f"{name:<24} {seconds:.3f} s {seconds / medians['review and cost']:6.2f}")


if __name__ == "__main__":
    main()
