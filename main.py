"""The CDKTF app: one stack for each file in environments/.

Run by `cdktf` (cdktf.json), or directly: `python main.py`. It listens to:

- PLATFORM_ENVIRONMENTS: only these environments, comma-separated; by default all.
- PLATFORM_PROCESSES: how many processes share the work; by default one for each processor. Python and jsii's Node take turns, so
  one process keeps one processor busy.
- CDKTF_OUTDIR: where to write; by default cdktf.out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from environments import Environment, EnvironmentFileError, environment_names, load_environment
from modules.packaging import PackagingError, package_functions

MANIFEST = "manifest.json"


def main() -> None:
    """Synthesizes the stacks; what is wrong in any environment is said at once, and nothing is written then."""
    chosen = [name for name in os.environ.get("PLATFORM_ENVIRONMENTS", "").split(",") if name] or environment_names()
    outdir = Path(os.environ.get("CDKTF_OUTDIR", "cdktf.out"))
    environments = _load(chosen)
    try:
        artifacts = package_functions({environment.lambdas.package_platform for environment in environments})
    except PackagingError as error:
        raise SystemExit(str(error)) from error
    processes = min(len(environments), int(os.environ.get("PLATFORM_PROCESSES") or os.cpu_count() or 1))
    own, *others = [environments[index::processes] for index in range(processes)]
    helpers = [Helper(share, outdir / f".share-{index}") for index, share in enumerate(others)]
    try:
        from modules.app import synthesize  # noqa: PLC0415 - it starts Node, which should not wait for what is above

        synthesize(own, artifacts, outdir)
        for helper in helpers:
            helper.hand_over(outdir)
    finally:
        for helper in helpers:
            helper.end()
    _sort_manifest(outdir / MANIFEST, chosen)


class Helper:
    """Another run of this program, which synthesizes some of the environments into a directory of its own."""

    def __init__(self, environments: Sequence[Environment], directory: Path) -> None:
        self._directory = directory
        share = {
            "PLATFORM_ENVIRONMENTS": ",".join(environment.name for environment in environments),
            "PLATFORM_PROCESSES": "1",
            "CDKTF_OUTDIR": str(directory),
        }
        command = [sys.executable, *(["-O"] if sys.flags.optimize else []), __file__]
        self._process = subprocess.Popen(command, env={**os.environ, **share}, stdout=sys.stderr)

    def hand_over(self, outdir: Path) -> None:
        """Waits, and moves what was written to where it belongs."""
        if self._process.wait():
            raise SystemExit(self._process.returncode)
        for stack in (self._directory / "stacks").iterdir():
            target = outdir / "stacks" / stack.name
            shutil.rmtree(target, ignore_errors=True)
            stack.rename(target)
        listed, more = (json.loads((folder / MANIFEST).read_text()) for folder in (outdir, self._directory))
        listed["stacks"].update(more["stacks"])
        (outdir / MANIFEST).write_text(json.dumps(listed))

    def end(self) -> None:
        """Leaves nothing behind, however it went."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)


def _load(names: Sequence[str]) -> list[Environment]:
    environments, problems = [], []
    for name in names:
        try:
            environments.append(load_environment(name))
        except EnvironmentFileError as error:
            problems.append(str(error))
    if problems:
        raise SystemExit("\n".join(problems))
    return environments


def _sort_manifest(file: Path, names: Sequence[str]) -> None:
    """The order of the stacks says nothing about who synthesized what."""
    manifest = json.loads(file.read_text())
    manifest["stacks"] = {name: manifest["stacks"][name] for name in names}
    file.write_text(json.dumps(manifest, indent=2))


if __name__ == "__main__":
    main()
