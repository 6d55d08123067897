"""Reads Terraform's state and outputs from S3, and removes the locks of killed runs."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import psutil
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    ResponseStreamingError,
)

from ops.cloud import Cloud
from ops.console import report
from ops.errors import OperatorError
from ops.root import read_json, write_json
from ops.terraform.runner import last_run

STOP_TIMEOUT = 60.0
"""Seconds between SIGTERM and SIGKILL for an orphaned Terraform process, which completes its
operations and stores its state in this time.
"""


class _Output(msgspec.Struct):
    value: Any


class _Instance(msgspec.Struct):
    attributes: msgspec.Raw = msgspec.Raw(b"{}")


class _Resource(msgspec.Struct):
    mode: str
    type: str = ""
    instances: list[_Instance] = []


class _State(msgspec.Struct):
    """The parts of a state that commands read most often. A whole state takes 10 MB of memory."""

    outputs: dict[str, _Output] = {}
    resources: list[_Resource] = []


def _read_text(cloud: Cloud, key: str, version: str | None = None) -> bytes | None:
    state = cloud.environment.state
    source = {"Bucket": state.bucket, "Key": key, **({"VersionId": version} if version else {})}
    try:
        response = cloud.client("s3", state.region).get_object(**source)
    except ClientError as error:
        if error.response["Error"]["Code"] in {"NoSuchKey", "NoSuchBucket", "404"}:
            return None
        raise
    text: bytes = response["Body"].read()
    return text


def _read(cloud: Cloud, key: str, version: str | None = None) -> dict[str, Any] | None:
    text = _read_text(cloud, key, version)
    return None if text is None else json.loads(text)


def _read_parts(cloud: Cloud) -> _State:
    text = _read_text(cloud, cloud.environment.state.key)
    return msgspec.json.decode(text, type=_State) if text else _State()


def read_state(cloud: Cloud) -> dict[str, Any] | None:
    """Returns the environment's Terraform state, or None if nothing was ever applied."""
    return _read(cloud, cloud.environment.state.key)


def state_digest(cloud: Cloud) -> str | None:
    """Returns a digest of the stored state, or None if nothing was ever applied."""
    state = cloud.environment.state
    s3 = cloud.client("s3", state.region)
    try:
        return str(s3.head_object(Bucket=state.bucket, Key=state.key)["ETag"])
    except ClientError as error:
        if error.response["Error"]["Code"] in {"NoSuchKey", "NoSuchBucket", "404"}:
            return None
        raise


def outputs(cloud: Cloud) -> dict[str, Any]:
    """Returns the stack's outputs from the state object in S3, without running Terraform.

    Raises:
        OperatorError: The environment has not been deployed.
    """
    values = outputs_or_none(cloud)
    if values is None:
        name = cloud.environment.name
        raise OperatorError(
            f"{name} has not been deployed: run "
            + ("`make up`" if cloud.endpoint else f"`python -m ops deploy {name}`")
        )
    return values


def outputs_or_none(cloud: Cloud) -> dict[str, Any] | None:
    """Returns the stack's outputs, or None if the environment has not been deployed."""
    values = _read_parts(cloud).outputs
    return {name: output.value for name, output in values.items()} or None


def attributes(cloud: Cloud, kind: str) -> list[dict[str, Any]]:
    """Returns the attributes in the state of every managed resource whose type is `kind`."""
    return [
        msgspec.json.decode(instance.attributes)
        for item in _read_parts(cloud).resources
        if item.mode == "managed" and item.type == kind
        for instance in item.instances
    ]


def resource_count(cloud: Cloud) -> int:
    """Returns the number of managed resource instances in the state."""
    resources = _read_parts(cloud).resources
    return sum(len(item.instances) for item in resources if item.mode == "managed")


def managed_addresses(cloud: Cloud) -> set[str]:
    """Returns the addresses of all managed resource instances in the state."""
    state = read_state(cloud)
    return {address for address, _ in managed_instances(state)} if state else set()


def managed_instances(state: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the address and the content of each managed resource instance in a state."""
    for item in state["resources"]:
        if item["mode"] == "managed":
            for instance in item["instances"]:
                # Instances of a resource with `count` or `for_each` have an index.
                index = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
                yield f"{item['type']}.{item['name']}{index}", instance


def copy_state(cloud: Cloud, file: Path) -> None:
    """Copies the state to a file, from which `repair_state` can restore it."""
    write_json(file, read_state(cloud))


def repair_state(cloud: Cloud, directory: Path, copy: Path) -> bool:
    """Restores a damaged or missing state, and deletes a damaged lock.

    Restores the newest readable version of the state, or the copy if it has a higher serial.

    Call it only for the embedded AWS, whose files a disk failure can damage. A state or lock is
    damaged if it is truncated or not JSON. A state is missing if only its copy or earlier versions
    exist.

    Args:
        directory: The directory in which the damaged state is kept.
        copy: The file that `copy_state` wrote.

    Returns:
        True if the state was replaced or deleted. It may then not match the resources in the
        embedded AWS.
    """
    state = cloud.environment.state
    s3 = cloud.client("s3", state.region)
    lock = f"{state.key}.tflock"
    if _is_damaged(cloud, lock):
        s3.delete_object(Bucket=state.bucket, Key=lock)
        report("Removed a state lock that cannot be read")
    if _is_damaged(cloud, state.key):
        directory.mkdir(parents=True, exist_ok=True)
        kept = directory / f"{time.time_ns()}.tfstate"
        body = s3.get_object(Bucket=state.bucket, Key=state.key)["Body"]
        with kept.open("wb") as file, suppress(BotoCoreError):
            # Reading a truncated object raises an error at its end. The file keeps the part before.
            file.writelines(body.iter_chunks())
        problem, note = "is damaged", f". Kept the damaged state as {kept}"
    elif read_state(cloud) is None:
        problem, note = "is missing", ""
    else:
        return False
    candidates = [_newest_version(cloud), (read_json(copy), "the copy of the last apply")]
    readable = [(content, source) for content, source in candidates if content]
    if readable:
        content, source = max(readable, key=lambda candidate: candidate[0].get("serial", 0))
        # This call does nothing if the bucket exists.
        s3.create_bucket(Bucket=state.bucket)
        s3.put_object(Bucket=state.bucket, Key=state.key, Body=json.dumps(content).encode())
        report(f"Terraform's state {problem}: restored {source}{note}")
    elif not note:
        return False
    else:
        s3.delete_object(Bucket=state.bucket, Key=state.key)
        report(f"Terraform's state {problem} and has no earlier version{note}")
    return True


def _newest_version(cloud: Cloud) -> tuple[dict[str, Any] | None, str]:
    """Returns the newest undamaged version of the state, and text that describes it in messages.

    Returns None and an empty text if there is no undamaged version.
    """
    state = cloud.environment.state
    s3 = cloud.client("s3", state.region)
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=state.bucket, Prefix=state.key)
    with suppress(s3.exceptions.NoSuchBucket):
        for page in pages:
            for version in page.get("Versions", ()):
                id_ = version["VersionId"]
                if version["Key"] == state.key and not _is_damaged(cloud, state.key, id_):
                    name = f"the version of {version['LastModified']:%Y-%m-%d %H:%M:%S} UTC"
                    return _read(cloud, state.key, id_), name
    return None, ""


def _is_damaged(cloud: Cloud, key: str, version: str | None = None) -> bool:
    """Returns True if the object exists but is truncated or not JSON."""
    try:
        _read(cloud, key, version)
    except (ValueError, IncompleteReadError, ResponseStreamingError):
        return True
    return False


def end_orphaned_run(directory: Path) -> None:
    """Ends the Terraform process of the last run in a directory, if the process still runs.

    It still runs if the command that started it was killed.
    """
    run = last_run(directory)
    process = run.find() if run else None
    if process is None:
        return
    report(f"Ending the Terraform process {process.pid}, which an earlier command left running")
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except psutil.TimeoutExpired:
        process.kill()


def refuse_locked_state(cloud: Cloud) -> None:
    """Raises an error if the state is locked, even if an operator ran Terraform without `ops`.

    Raises:
        OperatorError: A running or killed Terraform process has locked the state.
    """
    lock = _read(cloud, f"{cloud.environment.state.key}.tflock")
    if lock is not None:
        raise OperatorError(
            f"Terraform is changing {cloud.environment.name}: {lock['Who']} has locked its state"
            f" since {lock['Created']}. Wait until that run ends. If its process is dead,"
            " `ops deploy` shows how to continue"
        )


def remove_stale_lock(cloud: Cloud, directory: Path) -> None:
    """Removes the state's lock if it belongs to the last run in the directory and that run is dead.

    Raises:
        OperatorError: Another run holds the lock. The message names the holder and the remedy.
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
            f"The state of {cloud.environment.name} is locked by {holder}. Wait until that run"
            f" ends. If its process is dead, run `terraform force-unlock {lock['ID']}` in"
            f" {directory}"
        )
    cloud.client("s3", state.region).delete_object(Bucket=state.bucket, Key=key)
    report(f"Removed the state lock of a killed run: {holder}")
