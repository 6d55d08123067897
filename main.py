"""The CDKTF app: one stack for each file in environments/.

Run by `cdktf` (cdktf.json), or directly: `python main.py`. PLATFORM_ENVIRONMENTS limits it to some environments (comma-separated).
"""

from __future__ import annotations

import os
from pathlib import Path

import modules  # noqa: F401  (makes the provider's bindings load lazily; ahead of cdktf, which starts Node)

# isort: split
from cdktf import App

from environments import EnvironmentFileError, environment_names, load_environment
from modules.packaging import PackagingError, package_functions
from modules.stack import PlatformStack


def main() -> None:
    """Synthesizes the stacks; what is wrong in any environment is said at once, and nothing is written then."""
    chosen = [name for name in os.environ.get("PLATFORM_ENVIRONMENTS", "").split(",") if name] or environment_names()
    app = App()
    environments, problems = [], []
    for name in chosen:
        try:
            environments.append(load_environment(name))
        except EnvironmentFileError as error:
            problems.append(str(error))
    if problems:
        raise SystemExit("\n".join(problems))
    try:
        artifacts = package_functions({environment.lambdas.package_platform for environment in environments})
    except PackagingError as error:
        raise SystemExit(str(error)) from error
    stacks = [
        PlatformStack(app, environment, artifacts=artifacts[environment.lambdas.package_platform])
        for environment in environments
    ]
    app.synth()
    for stack in stacks:
        stack.write_files_beside(Path(app.outdir))


if __name__ == "__main__":
    main()
