"""The CDKTF app: one stack for each file in environments/.

Run by `cdktf` (cdktf.json), or directly: `python main.py`. PLATFORM_ENVIRONMENTS limits it to some environments (comma-separated),
CDKTF_OUTDIR says where to write (cdktf.out by default).
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


def main() -> None:
    """Synthesizes the stacks; what is wrong in any environment is said at once, and nothing is written then."""
    chosen = [name for name in os.environ.get("PLATFORM_ENVIRONMENTS", "").split(",") if name]
    environments = _load(chosen or environment_names())
    try:
        artifacts = package_functions(
            {environment.lambdas.package_platform for environment in environments}
        )
    except PackagingError as error:
        raise SystemExit(str(error)) from error
    from modules.app import synthesize  # noqa: PLC0415 - it starts Node, which what is wrong above should not wait for

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
    gc.disable()  # everything made here lives until the end, which is a few seconds away: looking for garbage finds none
    main()
