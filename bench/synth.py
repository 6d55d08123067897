"""Measures the time and memory of a synthesis with several ways to import the provider.

    python -m bench.synth [--runs 5]

The variants run the same main.py alternately:

- `lazy` imports only the provider's modules that are used, and `ordinary` imports all of them.
- `cdktn` is `lazy` with CDK Terrain, if `make cdktn` has installed it.

Before the measurement, each variant runs once to package the functions and to compile modules.
Fails if the outputs of `lazy` and `ordinary` differ.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import create_parser
from ops.root import PROJECT
from ops.terraform.synthesis import program_variables

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Number of bytes in one unit of ru_maxrss, see getrusage(2)."""

# The program prints the peak memory of its process and of its largest child, which is jsii's Node.
# `atexit` runs the last registered function first, so this one runs after jsii has stopped Node.
PROGRAM = """\
import atexit, json, runpy
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
peaks = lambda: [getrusage(scope).ru_maxrss for scope in (RUSAGE_SELF, RUSAGE_CHILDREN)]
atexit.register(lambda: print(json.dumps(peaks())))
runpy.run_path("main.py", run_name="__main__")
"""
BASELINE = "lazy"
CDKTN = PROJECT / "tools" / "cdktn" / ".venv" / "bin" / "python"
VARIANTS = (BASELINE, "ordinary", *(["cdktn"] if CDKTN.exists() else []))
SETTINGS = {
    variant: {"PLATFORM_CDK": "cdktn"}
    if variant == "cdktn"
    else {"PLATFORM_PROVIDER_IMPORT": variant}
    for variant in VARIANTS
}


@dataclass(frozen=True)
class Run:
    """The duration, peak memory and output of one synthesis."""

    seconds: float
    python_mib: float
    node_mib: float
    digest: str
    """SHA-256 of the names and contents of all written files. The digest of the variant `cdktn`
    differs from that of the other variants, because CDK Terrain writes other metadata.
    """


def synthesize(variant: str) -> Run:
    """Synthesizes all environments by running main.py. Writes to a temporary directory."""
    with tempfile.TemporaryDirectory() as out:
        begun = time.perf_counter()
        done = subprocess.run(
            [str(CDKTN) if variant == "cdktn" else sys.executable, "-O", "-c", PROGRAM],
            cwd=PROJECT,
            env={
                **os.environ,
                **program_variables(),
                "CDKTF_OUTDIR": out,
                **SETTINGS[variant],
            },
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - begun
        python, node = (
            peak * MAXRSS_UNIT / 2**20 for peak in json.loads(done.stdout.splitlines()[-1])
        )
        return Run(seconds, python, node, _digest(Path(out)))


def _digest(directory: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(directory)}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument(
        "--runs", type=int, default=5, help="number of measured runs per variant (default: 5)"
    )
    runs: int = parser.parse_args().runs

    for variant in VARIANTS:
        synthesize(variant)
    measured: dict[str, list[Run]] = {variant: [] for variant in VARIANTS}
    for _ in range(runs):
        for variant in VARIANTS:
            measured[variant].append(synthesize(variant))
    digests = {
        run.digest for variant, results in measured.items() if variant != "cdktn" for run in results
    }
    if len(digests) != 1:
        raise SystemExit(f"The outputs differ: the runs wrote {len(digests)} distinct outputs")

    print("provider     seconds  Python MiB  Node MiB   (medians)")
    for variant, results in measured.items():
        seconds, python, node = (
            statistics.median(getattr(run, field) for run in results)
            for field in ("seconds", "python_mib", "node_mib")
        )
        print(f"{variant:<11} {seconds:>8.2f} {python:>11.0f} {node:>9.0f}")
    for variant in VARIANTS[1:]:
        pairs = zip(measured[variant], measured[BASELINE], strict=True)
        ratio = statistics.median(other.seconds / lazy.seconds for other, lazy in pairs)
        print(f"{variant} / {BASELINE}: {ratio:.2f} (median of {runs} pairs)")
    print(f"outputs identical, sha256 {digests.pop()[:16]}")


if __name__ == "__main__":
    main()
