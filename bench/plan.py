"""Measures plans by `ops` and `cdktf diff` compared with `terraform plan` on the same files.

    python -m bench.plan [--runs 5] [--environment dev]

All commands plan the same initialized stack alternately, against an empty embedded (local) cloud.
The time of `cdktf diff --skip-synth` includes the start of its CLI and a `terraform init`.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable

from bench import create_parser
from bench.cloud import fresh_root, initialize_terraform, start_cloud, terraform_environment
from ops.root import PROJECT
from ops.terraform.runner import PARALLELISM
from ops.terraform.toolchain import terraform


def timed(work: Callable[[], object]) -> float:
    """Calls `work`. Returns its duration in seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument(
        "--runs", type=int, default=5, help="number of measured runs of each command (default: 5)"
    )
    parser.add_argument("--environment", default="dev", help="environment to plan (default: dev)")
    arguments = parser.parse_args()

    with fresh_root() as root:
        cloud = start_cloud(root, arguments.environment)
        stack = initialize_terraform(root, cloud)
        environ = terraform_environment(root, cloud)
        file = stack.directory / "bench.tfplan"

        def run(command: list[str], directory: str) -> None:
            subprocess.run(
                command, cwd=directory, env=environ, stdout=subprocess.DEVNULL, check=True
            )

        plan = [
            str(terraform(root)),
            "plan",
            "-input=false",
            f"-parallelism={PARALLELISM}",
            f"-out={file}",
        ]
        diff = ["cdktf", "diff", arguments.environment, "--skip-synth", "--skip-provider-lock"]
        diff += [f"--output={root.cdktf_out}", f"--terraform-parallelism={PARALLELISM}"]
        commands: dict[str, Callable[[], object]] = {
            "terraform plan": lambda: run(plan, str(stack.directory)),
            "ops deploy's plan": lambda: stack.plan(file),
            "cdktf diff": lambda: run(diff, str(PROJECT)),
        }
        # This run is a warm-up, which loads the programs from disk into memory.
        for work in commands.values():
            work()
        measured: dict[str, list[float]] = {label: [] for label in commands}
        for _ in range(arguments.runs):
            for label, work in commands.items():
                measured[label].append(timed(work))

    alone = measured["terraform plan"]
    print("command             seconds  / terraform plan    (medians)")
    for label, seconds in measured.items():
        ratio = statistics.median(own / other for own, other in zip(seconds, alone, strict=True))
        print(f"{label:<18} {statistics.median(seconds):>8.2f} {ratio:>18.2f}")


if __name__ == "__main__":
    main()
