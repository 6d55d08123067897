"""Measures `ops up`, first cold and then without changes, compared with `terraform apply` alone.

    python -m bench.up [--runs 1]

Each run uses two new embedded clouds, one after the other. In the first, it times only `terraform
apply` on a prepared stack, with the parallelism of `ops up`. In the second, it times `ops up` from
an empty root directory, and then a second `ops up` without changes.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

from bench import create_parser
from bench.cloud import fresh_root, initialize_terraform, start_cloud, terraform_environment
from ops.cloud import EMBEDDED
from ops.root import PROJECT, Root
from ops.terraform.runner import PARALLELISM
from ops.terraform.toolchain import terraform


def terraform_alone() -> float:
    """Returns the seconds that `terraform apply` takes on an initialized stack in a running
    cloud.
    """
    with fresh_root() as root:
        cloud = start_cloud(root, EMBEDDED)
        stack = initialize_terraform(root, cloud)
        command = [
            str(terraform(root)),
            "apply",
            "-input=false",
            "-auto-approve",
            f"-parallelism={PARALLELISM}",
        ]
        begun = time.perf_counter()
        subprocess.run(
            command,
            cwd=stack.directory,
            env=terraform_environment(root, cloud),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return time.perf_counter() - begun


def up(root: Root) -> tuple[float, dict[str, float]]:
    """Runs `ops up` once. Returns its seconds, and the seconds of each step that it reports."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "ops", "up", "--root", str(root.path), "--json"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        check=True,
    )
    return time.perf_counter() - begun, json.loads(done.stdout)["seconds"]


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument("--runs", type=int, default=1, help="number of measured runs (default: 1)")
    runs: int = parser.parse_args().runs

    ratios = []
    for number in range(1, runs + 1):
        alone = terraform_alone()
        with fresh_root() as root:
            cold, cold_steps = up(root)
            again, again_steps = up(root)
        ratios.append(cold / alone)
        print(f"run {number}: terraform apply alone {alone:.1f} s")
        for label, seconds, steps in (
            ("ops up, cold", cold, cold_steps),
            ("ops up, again", again, again_steps),
        ):
            parts = ", ".join(f"{step} {took:.1f}" for step, took in steps.items())
            print(f"  {label:<14} {seconds:6.1f} s  ({parts})")
    ratio = statistics.median(ratios)
    print(f"ratio of cold ops up to terraform alone: {ratio:.2f} (median of {runs})")


if __name__ == "__main__":
    main()
