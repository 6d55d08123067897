"""The CDKTF app of some environments. Importing this starts Node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from cdktf import App

from environments import Environment
from modules.packaging import Artifact, Platform
from modules.stack import PlatformStack


def synthesize(
    environments: Iterable[Environment], artifacts: Mapping[Platform, Mapping[str, Artifact]], outdir: Path
) -> None:
    """Writes `<outdir>/stacks/<environment>/` for each environment, and `<outdir>/manifest.json`, which lists them."""
    app = App(outdir=str(outdir))
    stacks = [
        PlatformStack(app, environment, artifacts=artifacts[environment.lambdas.package_platform])
        for environment in environments
    ]
    app.synth()
    for stack in stacks:
        stack.write_files_beside(outdir)
