"""Measures the zip size of every function and the import time of its handler relative to boto3.

python -m bench.artifacts [--runs 15] [--functions post auth] [--json]

A new interpreter imports the handler. It can import only the function's artifact (the unpacked zip)
and the packages of the Lambda runtime. Another new interpreter imports only boto3. The measurements
alternate, so that load on the machine affects both. Each pair of measurements yields the import
time of the handler divided by that of boto3. The ratio of a function is the median over all pairs.

There are two columns with ratios. In the column `ratio`, which must not exceed RATIO_GOAL, both
imports use stored bytecode. The column `uncompiled` has no goal and shows the worst case: boto3's
bytecode exists, but Python compiles the artifact on each import, because Lambda's function
directory is read-only.
"""

from __future__ import annotations

import compileall
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import get_args

from bench import create_parser
from environments import FunctionName
from modules.packaging import package_functions

RUNTIME_PACKAGES = ("boto3", "botocore", "jmespath", "dateutil", "s3transfer", "six", "urllib3")
"""Import names of the packages in AWS's Python runtime: boto3 and its dependencies."""
SIZE_GOAL = 5 * 1024 * 1024
"""Maximum bytes of a zip, which a cold start downloads and unpacks."""
RATIO_GOAL = 1.6
"""Maximum import time of a handler relative to that of boto3."""


def lay_out_runtime(folder: Path) -> None:
    """Links the packages of the Lambda runtime into a folder, and no other packages."""
    for name in RUNTIME_PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / source.name).symlink_to(source)


def measure_import(imported: str, *folders: Path) -> float:
    """Returns the wall-clock seconds that a new interpreter takes to import a module.

    The interpreter writes no bytecode.
    """
    program = f"import sys; sys.path += {[str(folder) for folder in folders]!r}; import {imported}"
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-S", "-B", "-c", program], check=True)
    return time.perf_counter() - begun


def measure_pairs(
    function: str, artifact: Path, runtime: Path, runs: int
) -> list[tuple[float, float]]:
    """Returns pairs of import times in seconds: of the handler, and of boto3."""
    handler = f"lambdas.{function}.handler"
    measure_import(handler, artifact, runtime)
    return [
        (measure_import(handler, artifact, runtime), measure_import("boto3", runtime))
        for _ in range(runs)
    ]


def ratio(measured: list[tuple[float, float]]) -> float:
    """Returns the median of the ratios of a handler's import time to that of boto3."""
    return statistics.median(own / boto3 for own, boto3 in measured)


def main() -> None:
    """Measures the zip sizes and import times of functions, and prints a table. Exits with status 1
    if a function misses a goal.
    """
    parser = create_parser(__doc__)
    parser.add_argument(
        "--runs", type=int, default=15, help="number of measurements per function (default: 15)"
    )
    parser.add_argument(
        "--functions",
        nargs="*",
        default=list(get_args(FunctionName)),
        help="functions to measure (default: all)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()

    packages = package_functions({"aws", "host"})
    measured = {}
    with tempfile.TemporaryDirectory() as directory:
        runtime = Path(directory) / "runtime"
        runtime.mkdir()
        lay_out_runtime(runtime)
        measure_import("boto3", runtime)
        for function in arguments.functions:
            artifact = Path(directory) / function
            with zipfile.ZipFile(packages["host"][function].path) as archive:
                archive.extractall(artifact)
            uncompiled = measure_pairs(function, artifact, runtime, arguments.runs)
            compileall.compile_dir(artifact, quiet=2)
            compiled = measure_pairs(function, artifact, runtime, arguments.runs)
            measured[function] = {
                "bytes": packages["aws"][function].path.stat().st_size,
                "seconds": statistics.median(own for own, _ in compiled),
                "boto3Seconds": statistics.median(boto3 for _, boto3 in compiled),
                "ratio": ratio(compiled),
                "uncompiledRatio": ratio(uncompiled),
            }
    if arguments.json:
        print(json.dumps(measured, indent=2))
    else:
        print("function     zip (MB)   import (ms)   boto3 (ms)   ratio   uncompiled")
        for function, figures in measured.items():
            print(
                f"{function:<12} {figures['bytes'] / 1e6:>8.2f} {figures['seconds'] * 1000:>13.0f}"
                f" {figures['boto3Seconds'] * 1000:>12.0f} {figures['ratio']:>7.2f}"
                f" {figures['uncompiledRatio']:>12.2f}"
            )
    missed = [
        f
        for f, figures in measured.items()
        if figures["bytes"] > SIZE_GOAL or figures["ratio"] > RATIO_GOAL
    ]
    if missed:
        sys.exit(f"Functions that miss a goal: {', '.join(missed)}")


if __name__ == "__main__":
    main()
