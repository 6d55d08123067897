"""Tests operating the platform: status, logs, updates and recovery from crashes."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.chaos.__main__ import table
from bench.chaos.faults import KILLS, Fault
from bench.chaos.rounds import RECOVERY_LIMIT, run_under_load, run_up
from ops.embedded import EmbeddedCloud
from ops.local.console_process import console_address
from ops.root import PROJECT, Root, read_json
from tests.e2e.support.api_client import Api
from tests.e2e.support.commands import run_ops
from tests.e2e.support.operators import Checkout
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person
from tests.waiting import wait_for

UNCHANGED_UP_LIMIT = 45.0
"""Seconds. The longest accepted duration of `ops up` without changes."""
SLOWDOWN = 2.0
"""Factor by which UNCHANGED_UP_LIMIT and RECOVERY_LIMIT are raised.

These limits are for an idle machine, and other tests use the same cores.
"""


def test_status_shows_processes_and_health(platform: Platform) -> None:
    status = json.loads(run_ops(platform.root, "status", "--json"))
    assert {process["name"]: process["running"] for process in status["processes"]} == {
        "aws": True,
        "database": True,
        "cache": True,
        "database-proxy": True,
        "cache-proxy": True,
        "console": True,
    }
    plain_site = status["addresses"].pop("plain site")
    assert re.fullmatch(r"http://\w+\.plain\.localhost:\d+", plain_site)
    assert status["addresses"] == {
        "console": str(console_address(Root(platform.root))),
        "api": platform.api_url,
        "ws": platform.ws_url,
        "site": platform.site_url,
    }
    assert status["resources"] > 300
    assert status["health"]["status"] == 200


def test_all_processes_listen_only_on_loopback(platform: Platform) -> None:
    for process in EmbeddedCloud(Root(platform.root)).running().values():
        running = process.find()
        assert running
        listening = {
            c.laddr.ip for c in running.net_connections("inet") if c.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}, process.name


def test_a_correlation_id_finds_the_json_log_lines(platform: Platform, api: Api) -> None:
    trace = f"trace-{uuid.uuid4().hex}"
    api.get("/v1/auth/me", headers={"X-Correlation-Id": trace}).expect_problem(401)
    time.sleep(2)
    lines = [
        json.loads(line)
        for line in run_ops(platform.root, "logs", "auth", "--since", "5m", "--json").splitlines()
    ]
    messages = [line["message"] for line in lines if isinstance(line["message"], dict)]
    [line] = [message for message in messages if message.get("correlation_id") == trace]
    assert (line["service"], line["status"], line["route"]) == ("auth", 401, "/v1/auth/me")


def test_a_second_command_is_rejected_while_one_runs(own_platform: Platform) -> None:
    with Root(own_platform.root).exclusive():
        command = [sys.executable, "-m", "ops", "up", "--root", str(own_platform.root)]
        result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"(process {os.getpid()})" in result.stderr


KILL_ALL = "kill all processes"
LOAD_SECONDS = 1.5
"""Seconds of load before each kill."""
SAVE_LIMIT = 1.0
"""Seconds. The longest accepted time from saving a handler to its first response."""
LOAD_FACTOR = 3.0
"""Factor by which SAVE_LIMIT is raised, because other tests use both cores at the same time."""
HANDLER_WITH_HEADER = """

_original_handler = handler


def handler(event, context):
    response = _original_handler(event, context)
    return {{**response, "headers": {{**response["headers"], "X-Saved": "{number}"}}}}
"""
CHANGED_BUDGET = 137
"""The monthly budget in US dollars that the test sets."""
WaitForLine = Callable[[str], re.Match[str]]
"""A function that waits for a line of output that matches a pattern."""


@contextmanager
def run_dev(checkout: Checkout) -> Iterator[tuple[WaitForLine, Callable[[str], int]]]:
    """Runs `ops dev` in a terminal.

    Yields a function that waits for a line, and a function that presses a key.
    """
    terminal, keyboard = pty.openpty()
    with checkout.start_ops("dev", stdin=keyboard, stderr=subprocess.STDOUT) as process:
        lines: list[str] = []

        def read() -> None:
            assert process.stdout
            lines.extend(process.stdout)  # adds each line as soon as `ops dev` writes it

        reader = threading.Thread(target=read, daemon=True)
        reader.start()

        def wait_for_line(pattern: str) -> re.Match[str]:
            def find() -> re.Match[str] | None:
                assert process.poll() is None, "".join(lines)
                return re.search(pattern, "".join(lines))

            try:
                return wait_for(find, 180, interval=0.1)
            except AssertionError as error:
                raise AssertionError(
                    f"No line matched {pattern!r}:\n{''.join(lines)[-5000:]}"
                ) from error

        try:
            yield wait_for_line, lambda key: os.write(terminal, key.encode())
            os.write(terminal, b"q")
            assert process.wait(20) == 0
        finally:
            process.kill()
            os.close(terminal)
            os.close(keyboard)


def is_served(api: Api, number: str) -> bool:
    return api.get("/health").headers.get("X-Saved") == number


def check_saved_code_is_served(checkout: Checkout, api: Api, wait_for_line: WaitForLine) -> None:
    """Saves two valid handlers and an invalid one. Checks the responses and the logged messages."""
    saves: list[float] = []
    for number in ("1", "2"):
        begun = time.monotonic()
        checkout.change_handler(HANDLER_WITH_HEADER.format(number=number))
        wait_for(partial(is_served, api, number), interval=0.02)
        saves.append(time.monotonic() - begun)
        print(f"save {number} served after {saves[-1]:.2f} s")
    assert min(saves) < SAVE_LIMIT * LOAD_FACTOR
    wait_for_line(r"health: served after \d+\.\d+ s")
    trace = uuid.uuid4().hex
    api.get("/v1/auth/me", headers={"X-Correlation-Id": trace}).expect_problem(401)
    wait_for_line(f"auth .*{trace}")
    checkout.change_handler("def :")
    wait_for_line(r"lambdas/health/handler.py:\d+: .*: the change was not loaded")
    assert api.get("/health").headers["X-Saved"] == "2"


def check_apply_key(
    checkout: Checkout, platform: Platform, wait_for_line: WaitForLine, press: Callable[[str], int]
) -> None:
    """Saves an environment file, waits for the plan, and presses the key that applies it."""
    press("a")
    wait_for_line("There is no plan to apply")
    environment = checkout.directory / "environments" / "local.yml"
    changed, count = re.subn(
        "(?<=monthly_usd: )[0-9]+", str(CHANGED_BUDGET), environment.read_text()
    )
    assert count == 1
    environment.write_text(changed)
    wait_for_line(
        r"Plan:\n(  .*\n)*  update aws_budgets_budget\.\S+: limit_amount\n(  .*\n)*a applies it"
    )
    assert read_budget(platform) != CHANGED_BUDGET
    checkout.change_handler("")
    press("a")
    seconds = float(wait_for_line(r"Applied in (\d+) s")[1])
    print(f"up with one change took {seconds:.0f} s")
    assert read_budget(platform) == CHANGED_BUDGET
    assert seconds < UNCHANGED_UP_LIMIT * SLOWDOWN


def read_budget(platform: Platform) -> float:
    """Returns the monthly budget in US dollars."""
    names = {"AccountId": "000000000000", "BudgetName": "multitask-platform-local"}
    return float(
        platform.aws("budgets").describe_budget(**names)["Budget"]["BudgetLimit"]["Amount"]
    )


def test_the_state_lock_of_another_user_is_not_removed(own_platform: Platform) -> None:
    state = own_platform.cloud.environment.state
    lock = {
        "ID": "5",
        "Operation": "OperationTypeApply",
        "Who": "ada@elsewhere",
        "Created": "2026-01-01T00:00:00Z",
    }
    s3, key = own_platform.aws("s3"), f"{state.key}.tflock"
    s3.put_object(Bucket=state.bucket, Key=key, Body=json.dumps(lock))
    command = [sys.executable, "-m", "ops", "up", "--root", str(own_platform.root)]
    file = Root(own_platform.root).platform_file
    description = file.read_text()
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    s3.delete_object(Bucket=state.bucket, Key=key)
    # The failed command deleted platform.json, but the platform still runs.
    file.write_text(description)
    assert result.returncode == 1
    assert "locked by ada@elsewhere" in result.stderr


@pytest.mark.nightly
def test_ops_dev_repairs_a_killed_apply_and_then_deploys_saved_changes(
    own_platform: Platform, tmp_path: Path
) -> None:
    """Kills `ops up`, Terraform and two services after Terraform created a queue.

    The state does not contain this queue yet. `ops dev`, in a copy of the checkout, restarts the
    services, removes the state lock, and imports the queue into the state. Then it deploys saved
    files, and applies a plan on a key press.
    """
    api = Api(own_platform.api_url)
    person = Person.sign_up(own_platform, api)
    sqs, name = own_platform.aws("sqs"), own_platform.outputs["queues"]["undelivered-events-dlq"]
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])
    command = [sys.executable, "-m", "ops", "up", "--json", "--root", str(own_platform.root)]
    with subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as up_process:
        wait_for(lambda: does_queue_exist(sqs, name), seconds=180)
        services = EmbeddedCloud(Root(own_platform.root)).running()
        processes = [
            psutil.Process(up_process.pid),
            *psutil.Process(up_process.pid).children(recursive=True),
        ]
        service_ids = {process.pid for process in services.values()}
        for process in processes:
            if process.pid not in service_ids:
                process.kill()
    killed = [services["cache"], services["database"]]
    for service in killed:
        os.kill(service.pid, signal.SIGKILL)

    checkout = Checkout(tmp_path, own_platform, role=None)
    with run_dev(checkout) as (wait_for_line, press):
        wait_for_line("Watching lambdas/, modules/ and environments/")
        for service in killed:
            wait_for_line(
                rf"{service.name} \(process {service.pid}\) ended unexpectedly: restarting it"
            )
        wait_for_line("Removed the state lock of a killed run: ")
        description = read_json(Root(own_platform.root).platform_file)
        assert description
        assert description["outputs"] == own_platform.outputs
        assert does_queue_exist(sqs, name)
        person.get_me().expect(200)
        check_saved_code_is_served(checkout, api, wait_for_line)
        check_apply_key(checkout, own_platform, wait_for_line, press)
    assert "X-Saved" not in api.get("/health").headers


def does_queue_exist(sqs: Any, name: str) -> bool:
    """Returns True if SQS has a queue of that name."""
    return bool(sqs.list_queues(QueueNamePrefix=name).get("QueueUrls"))


def test_killing_processes_under_load_loses_and_duplicates_no_acknowledged_write(
    own_platform: Platform,
) -> None:
    """Causes each fault of KILLS in turn, under load.

    After the fault that kills all processes, the test runs a complete `ops up`. After a fault that
    kills some services, the test calls only the part of `ops up` that restarts services. After the
    fault that kills the functions' workers, the platform recovers without a command.
    """
    root = Root(own_platform.root)
    console = console_address(root)
    person = Person.sign_up(own_platform, Api(own_platform.api_url))
    sqs = own_platform.aws("sqs")
    queue = sqs.create_queue(QueueName=f"acknowledged-{uuid.uuid4().hex[:12]}")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="kept")

    def repair(root: Root, fault: Fault) -> list[str]:
        if fault.name == KILL_ALL:
            return run_up(root)
        EmbeddedCloud(root).start()
        return []

    results = run_under_load(root, KILLS, repair=repair, load=LOAD_SECONDS)
    print(*table(results), sep="\n")
    limit = RECOVERY_LIMIT * SLOWDOWN
    assert {result.fault: result.problems(limit) for result in results} == {
        fault.name: [] for fault in KILLS
    }
    assert results[-1].findings.acknowledged > len(KILLS)
    [reported] = ["\n".join(result.reported) for result in results if result.fault == KILL_ALL]
    for name in ("aws", "database", "cache"):
        assert re.search(rf"{name} \(process \d+\) ended unexpectedly", reported)
    assert re.search(r"Recovered [1-9]\d* changes of the embedded AWS", reported)
    platform = read_json(root.platform_file)
    assert platform
    assert platform["outputs"] == own_platform.outputs
    assert console_address(root) == console is not None
    person.get_me().expect(200)
    [message] = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert message["Body"] == "kept"
