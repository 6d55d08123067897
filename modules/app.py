"""Synthesizes the CDKTF app. Importing this module starts a Node process (jsii)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cdktf import App

from environments import Environment
from modules.base.artifact import Artifact
from modules.packaging import Platform
from modules.stack import PlatformStack


def synthesize(
    environments: Sequence[Environment],
    artifacts: Mapping[Platform, Mapping[str, Artifact]],
    outdir: Path,
) -> None:
    """Writes `<outdir>/stacks/<environment>/` per environment, and `<outdir>/manifest.json`."""
    app = App(outdir=str(outdir))
    stacks = [
        PlatformStack(app, environment, artifacts=artifacts[environment.lambdas.package_platform])
        for environment in environments
    ]
    for environment in environments:
        for file in ("cdk.tf", "cdk.tf.json"):
            # Terraform reads both HCL and JSON. If an earlier synthesis used the other format, its
            # file would declare every resource a second time.
            (outdir / "stacks" / environment.name / file).unlink(missing_ok=True)
    app.synth()
    for stack in stacks:
        stack.write_additional_files(outdir)
