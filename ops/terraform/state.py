"""Terraform's state in S3: its outputs, and a lock that a killed run left on it."""

from __future__ import annotations

import json
import socket
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from botocore.exceptions import ClientError

from ops.cloud import Cloud
from ops.console import say
from ops.errors import OperatorError
from ops.terraform.runner import last_run

STOP_TIMEOUT = 60.0
"""Seconds an orphaned Terraform gets to finish what is in flight and store its state."""


def _read(cloud: Cloud, key: str) -> dict[str, Any] | None:
    state = cloud.environment.state
    try:
        body = (
            cloud.client("s3", state.region).get_object(Bucket=state.bucket, Key=key)["Body"].read()
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in {"NoSuchKey", "NoSuchBucket", "404"}:
            return None
        raise
    value: dict[str, Any] = json.loads(body)
    return value


def read_state(cloud: Cloud) -> dict[str, Any] | None:
    """The environment's state, or None where nothing was ever applied."""
    return _read(cloud, cloud.environment.state.key)


def outputs(cloud: Cloud) -> dict[str, Any]:
    """The stack's outputs, as last applied. Read from the state object itself: no Terraform and no initialized directory needed.

    Raises:
        OperatorError: the environment has not been deployed.
    """
    found = outputs_or_none(cloud)
    if found is None:
        name = cloud.environment.name
        raise OperatorError(
            f"{name} has not been deployed: "
            + ("`make up`" if cloud.endpoint else f"`python -m ops deploy {name}`")
        )
    return found


def outputs_or_none(cloud: Cloud) -> dict[str, Any] | None:
    """The same, and None where the environment has not been deployed."""
    state = read_state(cloud)
    if not state or not state.get("outputs"):
        return None
    return {name: item["value"] for name, item in state["outputs"].items()}


def attributes(cloud: Cloud, kind: str) -> list[dict[str, Any]]:
    """The attributes of every managed resource of a type, as the state has them."""
    state = read_state(cloud) or {"resources": []}
    return [
        instance["attributes"]
        for item in state["resources"]
        if item["mode"] == "managed" and item["type"] == kind
        for instance in item["instances"]
    ]


def resource_count(cloud: Cloud) -> int:
    """How many resource instances the state lists."""
    state = read_state(cloud) or {"resources": []}
    return sum(len(item["instances"]) for item in state["resources"] if item["mode"] == "managed")


def end_orphaned_run(directory: Path) -> None:
    """Ends a Terraform of ours that still works in the directory after the command that started it was killed."""
    run = last_run(directory)
    process = run.find() if run else None
    if process is None:
        return
    say(f"An earlier terraform (process {process.pid}) was left running: ending it")
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except psutil.TimeoutExpired:
        process.kill()


def refuse_locked_state(cloud: Cloud) -> None:
    """Makes sure that no Terraform is at work on the environment, one that somebody started by hand included.

    Raises:
        OperatorError: one is, or was killed and left its lock.
    """
    lock = _read(cloud, f"{cloud.environment.state.key}.tflock")
    if lock is not None:
        raise OperatorError(
            f"Terraform is changing {cloud.environment.name}: its state is locked by {lock['Who']} since {lock['Created']}. Wait until"
            " that run is done; if it is dead, `ops deploy` says how to go on"
        )


def remove_stale_lock(cloud: Cloud, directory: Path) -> None:
    """Removes the state's lock when the run of ours that took it is dead, and says so.

    Raises:
        OperatorError: somebody else holds the lock; the message says who, since when, and how to break it.
    """
    state = cloud.environment.state
    key = f"{state.key}.tflock"
    lock = _read(cloud, key)
    if lock is None:
        return
    created = datetime.fromisoformat(lock["Created"])
    run = last_run(directory)
    ours = (
        run is not None
        and lock["Who"].endswith(f"@{run.host}")
        and run.host == socket.gethostname()
        and run.started - 1 <= created.timestamp() <= (run.finished or float("inf"))
    )
    holder = f"{lock['Who']} since {created:%Y-%m-%d %H:%M:%S} UTC ({lock['Operation']})"
    if not ours or (run and run.find()):
        raise OperatorError(
            f"The state of {cloud.environment.name} is locked by {holder}. Wait until that run is done; if it is dead, run"
            f" `terraform force-unlock {lock['ID']}` in {directory}"
        )
    cloud.client("s3", state.region).delete_object(Bucket=state.bucket, Key=key)
    say(f"Removed the state lock that a killed run left: {holder}")
