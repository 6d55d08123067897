"""The processes in which the embedded AWS runs a function."""

from __future__ import annotations

import psutil

from ops.embedded import EmbeddedCloud
from ops.root import Root
from tests.e2e.support.platform import Platform


def find_processes(platform: Platform, function: str) -> list[psutil.Process]:
    """Returns the processes that run a function, for example `statistics`."""
    cloud = EmbeddedCloud(Root(platform.root)).running()["aws"].find()
    assert cloud, "the embedded AWS does not run"
    processes = []
    for process in cloud.children(recursive=True):
        try:
            name = process.environ().get("AWS_LAMBDA_FUNCTION_NAME")
        except psutil.Error:
            continue
        if name == f"{function}-lambda-local":
            processes.append(process)
    return processes
