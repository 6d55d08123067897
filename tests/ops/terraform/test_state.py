from __future__ import annotations

import json
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.process_identity import find_process
from ops.root import write_json
from ops.terraform.state import (
    copy_state,
    end_orphaned_run,
    managed_addresses,
    outputs,
    remove_stale_lock,
    repair_state,
    resource_count,
)

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STARTED = datetime(2026, 1, 1, 12, 0, tzinfo=UTC).timestamp()


@pytest.fixture
def stored(cloud: Cloud) -> Cloud:
    cloud.client("s3").create_bucket(Bucket=cloud.environment.state.bucket)
    return cloud


def put_object(cloud: Cloud, suffix: str, value: object) -> None:
    state = cloud.environment.state
    cloud.client("s3").put_object(
        Bucket=state.bucket, Key=state.key + suffix, Body=json.dumps(value).encode()
    )


def lock(cloud: Cloud, *, host: str = socket.gethostname(), minute: int = 1) -> None:
    created = f"2026-01-01T12:{minute:02}:00.123456Z"
    put_object(
        cloud,
        ".tflock",
        {"ID": "an-id", "Operation": "OperationTypeApply", "Who": f"me@{host}", "Created": created},
    )


def lock_exists(cloud: Cloud) -> bool:
    state = cloud.environment.state
    return bool(
        cloud.client("s3").list_objects_v2(Bucket=state.bucket, Prefix=f"{state.key}.tflock")[
            "KeyCount"
        ]
    )


def record_run(
    directory: Path,
    *,
    pid: int = 2**22 + 1,
    started: float = STARTED,
    finished: float | None = None,
) -> None:
    (directory / ".terraform").mkdir(parents=True, exist_ok=True)
    write_json(
        directory / ".terraform/run.json",
        {"host": socket.gethostname(), "pid": pid, "started": started, "finished": finished},
    )


def test_lock_of_a_dead_run_is_removed_and_reported(
    stored: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_run(tmp_path)
    lock(stored)
    remove_stale_lock(stored, tmp_path)
    assert not lock_exists(stored)
    assert "Removed the state lock of a killed run: me@" in capsys.readouterr().err


def test_lock_of_a_finished_run_is_removed(stored: Cloud, tmp_path: Path) -> None:
    record_run(tmp_path, finished=STARTED + 300)
    lock(stored)
    remove_stale_lock(stored, tmp_path)
    assert not lock_exists(stored)


@pytest.mark.parametrize(
    "case", ["another machine", "before our run", "after our run", "no run of ours"]
)
def test_lock_of_another_run_is_kept_and_its_holder_reported(
    stored: Cloud, tmp_path: Path, case: str
) -> None:
    if case != "no run of ours":
        record_run(tmp_path, finished=STARTED + 300)
    host = "elsewhere" if case == "another machine" else socket.gethostname()
    minute = {"before our run": 0, "after our run": 30}.get(case, 1)
    if case == "before our run":
        record_run(tmp_path, started=STARTED + 60, finished=STARTED + 300)
    lock(stored, host=host, minute=minute)
    with pytest.raises(OperatorError, match=rf"locked by me@{host}.*force-unlock an-id"):
        remove_stale_lock(stored, tmp_path)
    assert lock_exists(stored)


def test_lock_of_a_running_process_is_kept(stored: Cloud, tmp_path: Path) -> None:
    running = psutil.Process()
    record_run(tmp_path, pid=running.pid, started=running.create_time())
    created = datetime.now(UTC).isoformat()
    put_object(
        stored,
        ".tflock",
        {"ID": "x", "Operation": "o", "Who": f"me@{socket.gethostname()}", "Created": created},
    )
    with pytest.raises(OperatorError, match="is locked by"):
        remove_stale_lock(stored, tmp_path)


def test_missing_lock_or_bucket_causes_no_error(stored: Cloud, tmp_path: Path) -> None:
    remove_stale_lock(stored, tmp_path)
    stored.client("s3").delete_bucket(Bucket=stored.environment.state.bucket)
    remove_stale_lock(stored, tmp_path)


def test_orphaned_run_is_terminated(tmp_path: Path) -> None:
    orphan = subprocess.Popen(SLEEP)
    started = psutil.Process(orphan.pid).create_time()
    record_run(tmp_path, pid=orphan.pid, started=started)
    end_orphaned_run(tmp_path)
    assert find_process(orphan.pid, started) is None


def test_process_that_reuses_the_process_id_is_not_terminated(tmp_path: Path) -> None:
    other = subprocess.Popen(SLEEP)
    try:
        record_run(tmp_path, pid=other.pid)
        end_orphaned_run(tmp_path)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_outputs_and_resource_count_are_read_from_the_state(stored: Cloud) -> None:
    resources = [{"mode": "managed", "instances": [{}, {}]}, {"mode": "data", "instances": [{}]}]
    put_object(stored, "", {"outputs": {"api_url": {"value": "https://x"}}, "resources": resources})
    assert outputs(stored) == {"api_url": "https://x"}
    assert resource_count(stored) == 2


def test_error_for_an_environment_that_was_never_deployed_says_what_to_run(stored: Cloud) -> None:
    assert resource_count(stored) == 0
    with pytest.raises(
        OperatorError, match="dev has not been deployed: run `python -m ops deploy dev`"
    ):
        outputs(stored)


def put_damaged(cloud: Cloud, suffix: str = "") -> None:
    state = cloud.environment.state
    cloud.client("s3").put_object(
        Bucket=state.bucket, Key=state.key + suffix, Body=b'{"version": 4, "out'
    )


def test_a_damaged_state_is_replaced_by_its_newest_readable_version(
    stored: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored.client("s3").put_bucket_versioning(
        Bucket=stored.environment.state.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    copy = tmp_path / "copy"
    assert not repair_state(stored, tmp_path / "kept", copy)
    for number in (1, 2, 3):
        put_object(stored, "", {"serial": number, "outputs": {"number": {"value": number}}})
        if number == 1:
            copy_state(stored, copy)
    put_damaged(stored)
    put_damaged(stored)
    put_damaged(stored, ".tflock")
    assert repair_state(stored, tmp_path / "kept", copy)
    assert outputs(stored) == {"number": 3}
    assert not lock_exists(stored)
    [kept] = (tmp_path / "kept").iterdir()
    assert kept.read_bytes() == b'{"version": 4, "out'
    assert str(kept) in capsys.readouterr().err
    assert not repair_state(stored, tmp_path / "kept", copy)


def test_a_damaged_state_is_replaced_by_the_copy_if_that_is_newer(
    stored: Cloud, tmp_path: Path
) -> None:
    put_object(stored, "", {"serial": 2, "outputs": {"number": {"value": 2}}})
    copy_state(stored, tmp_path / "copy")
    put_damaged(stored)
    assert repair_state(stored, tmp_path / "kept", tmp_path / "copy")
    assert outputs(stored) == {"number": 2}


def test_a_missing_state_is_replaced_by_the_copy(stored: Cloud, tmp_path: Path) -> None:
    put_object(stored, "", {"serial": 2, "outputs": {"number": {"value": 2}}})
    copy_state(stored, tmp_path / "copy")
    state = stored.environment.state
    stored.client("s3").delete_object(Bucket=state.bucket, Key=state.key)
    assert repair_state(stored, tmp_path / "kept", tmp_path / "copy")
    assert outputs(stored) == {"number": 2}


def test_a_deleted_state_is_replaced_by_its_newest_version(stored: Cloud, tmp_path: Path) -> None:
    state, s3 = stored.environment.state, stored.client("s3")
    s3.put_bucket_versioning(Bucket=state.bucket, VersioningConfiguration={"Status": "Enabled"})
    put_object(stored, "", {"serial": 2, "outputs": {"number": {"value": 2}}})
    s3.delete_object(Bucket=state.bucket, Key=state.key)
    assert repair_state(stored, tmp_path / "kept", tmp_path / "copy")
    assert outputs(stored) == {"number": 2}


def test_the_copy_of_the_state_replaces_a_deleted_bucket(cloud: Cloud, tmp_path: Path) -> None:
    write_json(tmp_path / "copy", {"serial": 2, "outputs": {"number": {"value": 2}}})
    assert repair_state(cloud, tmp_path / "kept", tmp_path / "copy")
    assert outputs(cloud) == {"number": 2}


def test_a_state_that_was_never_stored_does_not_count_as_missing(
    stored: Cloud, tmp_path: Path
) -> None:
    assert not repair_state(stored, tmp_path / "kept", tmp_path / "copy")


def test_a_damaged_state_without_an_earlier_version_is_copied_and_then_deleted(
    stored: Cloud, tmp_path: Path
) -> None:
    put_damaged(stored)
    assert repair_state(stored, tmp_path, tmp_path / "copy")
    assert resource_count(stored) == 0
    assert len(list(tmp_path.iterdir())) == 1


def test_addresses_contain_the_index_of_each_instance(stored: Cloud) -> None:
    resources = [
        {"mode": "managed", "type": "t", "name": "one", "instances": [{}]},
        {"mode": "managed", "type": "t", "name": "list", "instances": [{"index_key": 0}]},
        {"mode": "managed", "type": "t", "name": "map", "instances": [{"index_key": "a"}]},
        {"mode": "data", "type": "t", "name": "read", "instances": [{}]},
    ]
    put_object(stored, "", {"resources": resources})
    assert managed_addresses(stored) == {"t.one", "t.list[0]", 't.map["a"]'}
