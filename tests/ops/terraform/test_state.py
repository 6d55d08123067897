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
def bucket_cloud(cloud: Cloud) -> Cloud:
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
    bucket_cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_run(tmp_path)
    lock(bucket_cloud)
    remove_stale_lock(bucket_cloud, tmp_path)
    assert not lock_exists(bucket_cloud)
    assert "Removed the state lock of a killed run: me@" in capsys.readouterr().err


def test_lock_of_a_finished_run_is_removed(bucket_cloud: Cloud, tmp_path: Path) -> None:
    record_run(tmp_path, finished=STARTED + 300)
    lock(bucket_cloud)
    remove_stale_lock(bucket_cloud, tmp_path)
    assert not lock_exists(bucket_cloud)


@pytest.mark.parametrize(
    "case", ["another machine", "before the run", "after the run", "no recorded run"]
)
def test_lock_of_another_run_is_kept_and_its_holder_reported(
    bucket_cloud: Cloud, tmp_path: Path, case: str
) -> None:
    if case != "no recorded run":
        record_run(tmp_path, finished=STARTED + 300)
    host = "elsewhere" if case == "another machine" else socket.gethostname()
    minute = {"before the run": 0, "after the run": 30}.get(case, 1)
    if case == "before the run":
        record_run(tmp_path, started=STARTED + 60, finished=STARTED + 300)
    lock(bucket_cloud, host=host, minute=minute)
    with pytest.raises(OperatorError, match=rf"locked by me@{host}.*force-unlock an-id"):
        remove_stale_lock(bucket_cloud, tmp_path)
    assert lock_exists(bucket_cloud)


def test_lock_of_a_running_process_is_kept(bucket_cloud: Cloud, tmp_path: Path) -> None:
    running = psutil.Process()
    record_run(tmp_path, pid=running.pid, started=running.create_time())
    created = datetime.now(UTC).isoformat()
    put_object(
        bucket_cloud,
        ".tflock",
        {"ID": "x", "Operation": "o", "Who": f"me@{socket.gethostname()}", "Created": created},
    )
    with pytest.raises(OperatorError, match="is locked by"):
        remove_stale_lock(bucket_cloud, tmp_path)


def test_missing_lock_or_bucket_causes_no_error(bucket_cloud: Cloud, tmp_path: Path) -> None:
    remove_stale_lock(bucket_cloud, tmp_path)
    bucket_cloud.client("s3").delete_bucket(Bucket=bucket_cloud.environment.state.bucket)
    remove_stale_lock(bucket_cloud, tmp_path)


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


def test_outputs_and_resource_count_are_read_from_the_state(bucket_cloud: Cloud) -> None:
    resources = [{"mode": "managed", "instances": [{}, {}]}, {"mode": "data", "instances": [{}]}]
    put_object(
        bucket_cloud, "", {"outputs": {"api_url": {"value": "https://x"}}, "resources": resources}
    )
    assert outputs(bucket_cloud) == {"api_url": "https://x"}
    assert resource_count(bucket_cloud) == 2


def test_error_for_an_environment_that_was_never_deployed_says_what_to_run(
    bucket_cloud: Cloud,
) -> None:
    assert resource_count(bucket_cloud) == 0
    with pytest.raises(
        OperatorError, match="dev has not been deployed: run `python -m ops deploy dev`"
    ):
        outputs(bucket_cloud)


def put_damaged(cloud: Cloud, suffix: str = "") -> None:
    state = cloud.environment.state
    cloud.client("s3").put_object(
        Bucket=state.bucket, Key=state.key + suffix, Body=b'{"version": 4, "out'
    )


def test_a_damaged_state_is_replaced_by_its_newest_readable_version(
    bucket_cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket_cloud.client("s3").put_bucket_versioning(
        Bucket=bucket_cloud.environment.state.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    copy = tmp_path / "copy"
    assert not repair_state(bucket_cloud, tmp_path / "kept", copy)
    for number in (1, 2, 3):
        put_object(bucket_cloud, "", {"serial": number, "outputs": {"number": {"value": number}}})
        if number == 1:
            copy_state(bucket_cloud, copy)
    put_damaged(bucket_cloud)
    put_damaged(bucket_cloud)
    put_damaged(bucket_cloud, ".tflock")
    assert repair_state(bucket_cloud, tmp_path / "kept", copy)
    assert outputs(bucket_cloud) == {"number": 3}
    assert not lock_exists(bucket_cloud)
    [kept] = (tmp_path / "kept").iterdir()
    assert kept.read_bytes() == b'{"version": 4, "out'
    assert str(kept) in capsys.readouterr().err
    assert not repair_state(bucket_cloud, tmp_path / "kept", copy)


def test_a_damaged_state_is_replaced_by_a_newer_copy(bucket_cloud: Cloud, tmp_path: Path) -> None:
    put_object(bucket_cloud, "", {"serial": 2, "outputs": {"number": {"value": 2}}})
    copy_state(bucket_cloud, tmp_path / "copy")
    put_damaged(bucket_cloud)
    assert repair_state(bucket_cloud, tmp_path / "kept", tmp_path / "copy")
    assert outputs(bucket_cloud) == {"number": 2}


def test_a_missing_state_is_replaced_by_the_copy(bucket_cloud: Cloud, tmp_path: Path) -> None:
    put_object(bucket_cloud, "", {"serial": 2, "outputs": {"number": {"value": 2}}})
    copy_state(bucket_cloud, tmp_path / "copy")
    state = bucket_cloud.environment.state
    bucket_cloud.client("s3").delete_object(Bucket=state.bucket, Key=state.key)
    assert repair_state(bucket_cloud, tmp_path / "kept", tmp_path / "copy")
    assert outputs(bucket_cloud) == {"number": 2}


def test_a_deleted_state_is_replaced_by_its_newest_version(
    bucket_cloud: Cloud, tmp_path: Path
) -> None:
    state, s3 = bucket_cloud.environment.state, bucket_cloud.client("s3")
    s3.put_bucket_versioning(Bucket=state.bucket, VersioningConfiguration={"Status": "Enabled"})
    put_object(bucket_cloud, "", {"serial": 2, "outputs": {"number": {"value": 2}}})
    s3.delete_object(Bucket=state.bucket, Key=state.key)
    assert repair_state(bucket_cloud, tmp_path / "kept", tmp_path / "copy")
    assert outputs(bucket_cloud) == {"number": 2}


def test_the_state_is_restored_from_the_copy_if_the_bucket_was_deleted(
    cloud: Cloud, tmp_path: Path
) -> None:
    write_json(tmp_path / "copy", {"serial": 2, "outputs": {"number": {"value": 2}}})
    assert repair_state(cloud, tmp_path / "kept", tmp_path / "copy")
    assert outputs(cloud) == {"number": 2}


def test_a_state_that_was_never_stored_does_not_count_as_missing(
    bucket_cloud: Cloud, tmp_path: Path
) -> None:
    assert not repair_state(bucket_cloud, tmp_path / "kept", tmp_path / "copy")


def test_a_damaged_state_without_an_earlier_version_is_copied_and_then_deleted(
    bucket_cloud: Cloud, tmp_path: Path
) -> None:
    put_damaged(bucket_cloud)
    assert repair_state(bucket_cloud, tmp_path, tmp_path / "copy")
    assert resource_count(bucket_cloud) == 0
    assert len(list(tmp_path.iterdir())) == 1


def test_addresses_contain_the_index_of_each_instance(bucket_cloud: Cloud) -> None:
    resources = [
        {"mode": "managed", "type": "t", "name": "one", "instances": [{}]},
        {"mode": "managed", "type": "t", "name": "list", "instances": [{"index_key": 0}]},
        {"mode": "managed", "type": "t", "name": "map", "instances": [{"index_key": "a"}]},
        {"mode": "data", "type": "t", "name": "read", "instances": [{}]},
    ]
    put_object(bucket_cloud, "", {"resources": resources})
    assert managed_addresses(bucket_cloud) == {"t.one", "t.list[0]", 't.map["a"]'}
