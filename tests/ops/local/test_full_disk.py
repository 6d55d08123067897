"""Tests an apply that fails because the disk is full, and the apply after it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ops.errors import OperatorError
from ops.local.consistency import StateConsistency
from ops.local.platform import find_obstacle
from ops.root import write_json
from ops.terraform.adoption import adopt, created_ids, end_adoption
from ops.terraform.lookups import find_id
from ops.terraform.runner import Terraform
from tests.ops.embedded.servers import Server, fill_disk, running_small_server
from tests.ops.local.test_adoption import create_stack, log, table
from tests.waiting import wait_for

NAMES = [f"items-{number}" for number in range(15)]
RESOURCES = {
    "aws_dynamodb_table": {name: table(name) for name in NAMES},
    "aws_sns_topic": {name: {"name": name} for name in NAMES},
}
STATE = {"bucket": "state", "key": "terraform.tfstate", "region": "us-east-1"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_small_server(tmp_path) as result:
        yield result


def refuse_reset() -> Path:
    raise AssertionError


def apply(server: Server, stack: Terraform) -> None:
    """Applies the stack, and imports resources that a failed apply created, as `ops up` does.

    Assumes that an apply before the failed one succeeded. If none had succeeded, `ops up` would
    replace the embedded AWS with an empty one after the failed apply.
    """
    created = created_ids(log(server))
    consistency = StateConsistency(server.root, stack.directory, refuse_reset)
    find = partial(find_id, server.client)
    if consistency.is_doubtful:
        adopt(stack, {address for address in created if created[address]}, created, find)
    consistency.run(
        lambda: consistency.apply(stack.apply),
        lambda existing, absent: adopt(stack, existing, created, find, absent=absent),
    )
    end_adoption(stack.directory)


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_the_apply_after_a_full_disk_completes(server: Server) -> None:
    """The full disk contains the embedded AWS, and Terraform's state, log and directory."""
    server.client("s3").create_bucket(Bucket=STATE["bucket"])
    stack = create_stack(server, RESOURCES, lambda: find_obstacle(server.root, lambda: True))
    file = stack.directory / "cdk.tf.json"
    content = json.loads(file.read_text())
    content["terraform"]["backend"] = {"s3": {**STATE, "use_path_style": True}}
    write_json(file, content)
    stack.init()
    write_json(server.root.path / "fit.json", {"doubtful": False, "applied": True})

    def fill() -> None:
        wait_for(lambda: log(server).exists() and "apply_complete" in log(server).read_text(), 300)
        ballast.append(fill_disk(server, free=0))

    ballast: list[Path] = []
    thread = threading.Thread(target=fill)
    thread.start()
    with pytest.raises((OperatorError, OSError), match="No space left|is full") as caught:
        apply(server, stack)
    thread.join()
    assert "\n" not in str(caught.value)
    ballast[0].unlink()
    wait_for((server.aws.data / "reserve").exists)

    apply(server, stack)
    with stack.temporary_plan("second") as plan:
        assert plan.counts == {"add": 0, "change": 0, "remove": 0}
    assert set(server.client("dynamodb").list_tables()["TableNames"]) == set(NAMES)
