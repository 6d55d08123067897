"""The processes in which the embedded AWS runs a function."""

from __future__ import annotations

from collections import defaultdict

import psutil

from ops.embedded import EmbeddedCloud
from ops.root import Root
from tests.e2e.support.platform import Platform

ENDING = "-lambda-local"


def find_processes(platform: Platform, function: str) -> list[psutil.Process]:
    """Returns the processes that run a function, for example `statistics`."""
    return find_all_processes(platform)[function]


def find_all_processes(platform: Platform) -> dict[str, list[psutil.Process]]:
    """Returns the processes of each function. The keys are names, for example `statistics`."""
    cloud = EmbeddedCloud(Root(platform.root)).running()["aws"].find()
    assert cloud, "the embedded AWS does not run"
    processes = defaultdict(list)
    for process in cloud.children(recursive=True):
        try:
            name = process.environ().get("AWS_LAMBDA_FUNCTION_NAME", "")
        except psutil.Error:
            continue
        if name.endswith(ENDING):
            processes[name.removesuffix(ENDING)].append(process)
    return processes
