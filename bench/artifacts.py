"""Every function's artifact: how large its zip is, and what importing its handler costs next to importing boto3 alone.

    python -m bench.artifacts [--runs 15] [--functions post auth] [--json]

Each artifact is unpacked and imported by a clean interpreter that has it and the Lambda runtime's own packages, nothing else; so is one
that imports boto3 only. The two are measured in turn, so that a slow minute hits both; the ratio is the median of the pairs. Both are
compiled, which is what the goal is held against. Lambda's folder of a function is read-only and stays uncompiled, whatever its runtime
does with boto3: the last column is the ratio of an uncompiled artifact to a compiled boto3, the worst that can be.
"""

from __future__ import annotations

import argparse
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

from environments import FunctionName
from modules.packaging import package_functions

RUNTIME_PACKAGES = ("boto3", "botocore", "jmespath", "dateutil", "s3transfer", "six", "urllib3")
"""What AWS's Python runtime brings along (boto3 and what it needs), by the names they are imported under."""
SIZE_GOAL = 5 * 1024 * 1024
"""Bytes of a zip: a cold start fetches and unpacks it."""
RATIO_GOAL = 1.6


def lay_out_runtime(folder: Path) -> None:
    """Fills a folder with what the Lambda runtime has, and nothing else of this machine's packages."""
    for name in RUNTIME_PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        found = Path(spec.origin)
        source = found.parent if found.name == "__init__.py" else found
        (folder / source.name).symlink_to(source)


def seconds(imported: str, *folders: Path) -> float:
    """Wall-clock seconds of a clean interpreter that imports one module from these folders and compiles nothing for later."""
    program = f"import sys; sys.path += {[str(folder) for folder in folders]!r}; import {imported}"
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-S", "-B", "-c", program], check=True)
    return time.perf_counter() - begun


def pairs(function: str, artifact: Path, runtime: Path, runs: int) -> list[tuple[float, float]]:
    """Seconds of the handler's import and of boto3's, measured in turn."""
    handler = f"lambdas.{function}.handler"
    seconds(handler, artifact, runtime)
    return [(seconds(handler, artifact, runtime), seconds("boto3", runtime)) for _ in range(runs)]


def ratio(measured: list[tuple[float, float]]) -> float:
    """The median of the pairs' ratios."""
    return statistics.median(own / boto3 for own, boto3 in measured)


def main() -> None:
    """Measures and prints a table; ends with 1 where a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=int, default=15, help="pairs for each function (default: 15)"
    )
    parser.add_argument(
        "--functions", nargs="*", default=list(get_args(FunctionName)), help="(default: all)"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    arguments = parser.parse_args()

    made = package_functions({"aws", "host"})
    measured = {}
    with tempfile.TemporaryDirectory() as directory:
        runtime = Path(directory) / "runtime"
        runtime.mkdir()
        lay_out_runtime(runtime)
        seconds("boto3", runtime)
        for function in arguments.functions:
            artifact = Path(directory) / function
            with zipfile.ZipFile(made["host"][function].path) as archive:
                archive.extractall(artifact)
            uncompiled = pairs(function, artifact, runtime, arguments.runs)
            compileall.compile_dir(artifact, quiet=2)
            compiled = pairs(function, artifact, runtime, arguments.runs)
            measured[function] = {
                "bytes": made["aws"][function].path.stat().st_size,
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
                f" {figures['boto3Seconds'] * 1000:>12.0f} {figures['ratio']:>7.2f} {figures['uncompiledRatio']:>12.2f}"
            )
    missed = [
        f
        for f, figures in measured.items()
        if figures["bytes"] > SIZE_GOAL or figures["ratio"] > RATIO_GOAL
    ]
    if missed:
        sys.exit(f"A goal is missed by {', '.join(missed)}")


if __name__ == "__main__":
    main()
