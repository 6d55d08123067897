"""The CDKTF app: one stack for each file in environments/.

Run it with `cdktf` (cdktf.json) or `python main.py`. PLATFORM_ENVIRONMENTS selects environments
(comma-separated; default all). CDKTF_OUTDIR sets the output folder (default cdktf.out).
PLATFORM_CDK=cdktn uses CDK Terrain instead of CDKTF. Its packages are only in tools/cdktn/.venv.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from pathlib import Path

from environments import (
    Environment,
    EnvironmentFileError,
    environment_names,
    load_environment,
    shared_states,
)
from modules.packaging import PackagingError, package_functions
from modules.provider import ImplementationError


def main() -> None:
    """Synthesizes the stacks. If any environment is invalid, prints all errors and exits."""
    chosen = [name for name in os.environ.get("PLATFORM_ENVIRONMENTS", "").split(",") if name]
    environments = _load(chosen or environment_names())
    try:
        artifacts = package_functions(
            {environment.lambdas.package_platform for environment in environments}
        )
    except PackagingError as error:
        raise SystemExit(str(error)) from error
    # Importing modules.app starts Node, which takes time. The import follows the validation of the
    # environments, so that errors in them are reported sooner.
    try:
        from modules.app import synthesize  # noqa: PLC0415
    except ImplementationError as error:
        raise SystemExit(str(error)) from error

    synthesize(environments, artifacts, Path(os.environ.get("CDKTF_OUTDIR", "cdktf.out")))


def _load(names: Sequence[str]) -> list[Environment]:
    environments, problems = [], []
    for name in names:
        try:
            environments.append(load_environment(name))
        except EnvironmentFileError as error:
            problems.append(str(error))
    problems += shared_states(environments)
    if problems:
        raise SystemExit("\n".join(problems))
    return environments


if __name__ == "__main__":
    # The garbage collector would free nothing, because all objects live until the program ends.
    gc.disable()
    main()
