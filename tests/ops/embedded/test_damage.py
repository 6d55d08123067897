"""Tests that the embedded AWS starts with damaged data, and keeps copies of damaged files."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError

from ops.embedded import EmbeddedCloud
from ops.errors import OperatorError
from ops.root import Root
from tests.ops.embedded.servers import Server, fill_disk, running_server, running_small_server
from tests.ops.embedded.test_durability import SAVE_SECONDS, create_table, ids
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Yields a running server. A test that kills the server restarts it.

    The tests share the server, so they use different resource names.
    """
    with running_server() as result:
        yield result


def write(server: Server, table: str, id_: str) -> None:
    server.client("dynamodb").put_item(TableName=table, Item={"id": {"S": id_}})


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def write_garbage(file: Path) -> None:
    file.write_bytes(b"\xff\x00\xfe")


def write_other_type(file: Path) -> None:
    file.write_text('{"__ministack_format__": 2, "payload": [1]}')


@pytest.mark.parametrize("damage", [truncate, write_garbage, write_other_type])
def test_a_start_loads_the_previous_save_if_the_newest_is_damaged(
    server: Server, damage: Callable[[Path], object]
) -> None:
    table = damage.__name__
    create_table(server, table)
    write(server, table, "earlier")
    server.aws.save(server.port)
    server.aws.save(server.port)
    write(server, table, "later")
    server.kill()
    file = server.aws.data / "state" / "dynamodb.json"
    damage(file)
    content = file.read_bytes()
    recovery = server.start()
    assert recovery
    [reported] = recovery.damages
    assert reported["service"] == "dynamodb"
    assert time.time() - reported["saved"] < 60
    assert Path(reported["kept"]).read_bytes() == content
    assert "The saved data of dynamodb is damaged: used the save of " in recovery.lines()[-1]
    # The journal contains the changes after the earlier save.
    assert ids(server, table) == {"earlier", "later"}


def test_the_server_starts_with_damaged_files_of_every_service(server: Server) -> None:
    create_table(server, "all")
    server.aws.save(server.port)
    server.kill()
    saved = [*(server.aws.data / "state").glob("*.json*")]
    assert {"dynamodb.json", "dynamodb.json.previous", "streams.json", "s3.json"} <= {
        file.name for file in saved
    }
    for file in saved:
        write_garbage(file)
    recovery = server.start()
    assert recovery
    assert len(recovery.damages) == len(saved)
    assert {damage["saved"] for damage in recovery.damages} == {None}
    create_table(server, "all")


def test_readable_lines_of_a_damaged_journal_are_recovered(server: Server) -> None:
    create_table(server, "lines")
    server.aws.save(server.port)
    for id_ in ("first", "second", "third"):
        write(server, "lines", id_)
    server.kill()
    journal = max((server.aws.data / "journal").iterdir())
    lines = journal.read_bytes().splitlines(keepends=True)
    damaged = [b"\xff\xfe\n" if b"second" in line else line for line in lines]
    journal.write_bytes(b"".join(damaged) + b"\x00" * 100)
    recovery = server.start()
    assert recovery
    assert [damage["service"] for damage in recovery.damages] == ["journal"]
    assert Path(recovery.damages[0]["kept"]).exists()
    assert ids(server, "lines") == {"first", "third"}


def test_a_write_that_the_disk_refuses_is_not_acknowledged(server: Server) -> None:
    create_table(server, "refused")
    s3 = server.client("s3")
    s3.create_bucket(Bucket="refused")
    time.sleep(SAVE_SECONDS)
    process = psutil.Process(server.process.pid)
    process.rlimit(psutil.RLIMIT_FSIZE, (1000, psutil.RLIM_INFINITY))
    with pytest.raises(ClientError):
        s3.put_object(Bucket="refused", Key="object", Body=b"x" * 2000)
    for number in range(20):
        try:
            write(server, "refused", f"{number}{'x' * 100}")
        except ClientError:
            break
    else:
        pytest.fail("every item was acknowledged")
    process.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
    s3.put_object(Bucket="refused", Key="object", Body=b"kept")
    write(server, "refused", "kept")
    server.kill()
    server.start()
    assert s3.get_object(Bucket="refused", Key="object")["Body"].read() == b"kept"
    acknowledged = {f"{before}{'x' * 100}" for before in range(number)} | {"kept"}
    assert acknowledged <= ids(server, "refused")


@pytest.fixture
def small_server(tmp_path: Path) -> Iterator[Server]:
    """Yields a running server whose directory is a disk of 100 MiB."""
    with running_small_server(tmp_path) as result:
        yield result


def test_calls_on_a_full_disk_are_rejected_before_they_change_anything(
    small_server: Server,
) -> None:
    create_table(small_server, "items")
    ballast = fill_disk(small_server, free=8 * 1024**2)
    with pytest.raises(ClientError):
        write(small_server, "items", "rejected")
    assert ids(small_server, "items") == set()
    ballast.unlink()
    write(small_server, "items", "kept")
    assert ids(small_server, "items") == {"kept"}


def test_changes_shortly_before_the_disk_is_full_survive_a_kill(small_server: Server) -> None:
    """Fills the disk twice, to check that the saving thread survives the first time."""
    ssm = small_server.client("ssm")
    for name in ("/first", "/second"):
        wait_for((small_server.aws.data / "reserve").exists)
        ssm.put_parameter(Name=name, Value="1", Type="String")
        ballast = fill_disk(small_server, free=0)
        time.sleep(SAVE_SECONDS)
        with pytest.raises(ClientError):
            ssm.put_parameter(Name="/rejected", Value="1", Type="String")
        if name == "/first":
            ballast.unlink()
    small_server.kill()
    recovery = small_server.start()
    assert recovery is None or recovery.lost == {}
    parameters = ssm.get_parameters(Names=["/first", "/second", "/rejected"])["Parameters"]
    assert sorted(parameter["Name"] for parameter in parameters) == ["/first", "/second"]


@pytest.fixture
def cloud_root() -> Iterator[Root]:
    # PostgreSQL's system user cannot read pytest's temporary directory.
    root = Root(Path(tempfile.mkdtemp(prefix="multitask-")))
    root.prepare()
    yield root
    EmbeddedCloud(root).stop()
    shutil.rmtree(root.path)


def test_damaged_data_of_the_cache_and_the_database_is_replaced_and_a_copy_kept(
    cloud_root: Root, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cache's data is replaced without `--reset`, because it is valid only for minutes."""
    cloud = EmbeddedCloud(cloud_root)
    cloud.start()
    cloud.stop()
    control = cloud_root.path / "database" / "global" / "pg_control"
    write_garbage(control)
    (cloud_root.path / "cache" / "dump.rdb").write_bytes(b"damaged")
    with pytest.raises(OperatorError, match=r"database ended (?s:.*)`ops up --reset`"):
        cloud.start()
    [copy] = cloud_root.path.glob("cache-until-*")
    assert (copy / "dump.rdb").read_bytes() == b"damaged"
    assert f"Kept the data of cache in {copy}" in capsys.readouterr().err
    assert control.exists()
    cloud.start(reset=True)
    [copy] = cloud_root.path.glob("database-until-*")
    assert (copy / "global" / "pg_control").exists()
    assert f"Kept the data of database in {copy}" in capsys.readouterr().err
    assert cloud.addresses()
