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

from ops.embedded import EmbeddedCloud
from ops.root import PROJECT, Root, read_json
from tests.e2e.operators import Checkout
from tests.e2e.support import Api, Person, Platform, eventually, run_ops

AGAIN = 45.0
"""Seconds. The required duration of `ops up` without changes."""
SLOWDOWN = 2.0
"""Factor for tests that share the machine's cores. The requirement is for an idle machine."""


def up(platform: Platform) -> tuple[dict[str, Any], str]:
    """Runs `ops up` and returns its result and its standard error."""
    command = [sys.executable, "-m", "ops", "up", "--json", "--root", str(platform.root)]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-5000:]
    return json.loads(result.stdout), result.stderr


def test_status_shows_processes_and_health(platform: Platform) -> None:
    status = json.loads(run_ops(platform.root, "status", "--json"))
    assert {process["name"]: process["running"] for process in status["processes"]} == {
        "aws": True,
        "database": True,
        "cache": True,
    }
    assert status["addresses"] == {
        "api": platform.api_url,
        "ws": platform.ws_url,
        "site": platform.site_url,
    }
    assert status["resources"] > 300
    assert status["health"]["status"] == 200


def test_all_services_listen_on_loopback_only(platform: Platform) -> None:
    for process in EmbeddedCloud(Root(platform.root)).running().values():
        found = process.find()
        assert found
        listening = {
            c.laddr.ip for c in found.net_connections("inet") if c.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}, process.name


def test_a_correlation_id_finds_the_json_log_lines(platform: Platform, api: Api) -> None:
    trace = f"trace-{uuid.uuid4().hex}"
    api.get("/v1/auth/me", headers={"X-Correlation-Id": trace}).problem(401)
    time.sleep(2)
    lines = [
        json.loads(line)
        for line in run_ops(platform.root, "logs", "auth", "--since", "5m", "--json").splitlines()
    ]
    messages = [line["message"] for line in lines if isinstance(line["message"], dict)]
    [mine] = [message for message in messages if message.get("correlation_id") == trace]
    assert (mine["service"], mine["status"], mine["route"]) == ("auth", 401, "/v1/auth/me")


def test_a_second_command_is_refused_while_one_runs(own_platform: Platform) -> None:
    with Root(own_platform.root).exclusive():
        command = [sys.executable, "-m", "ops", "up", "--root", str(own_platform.root)]
        result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"(process {os.getpid()})" in result.stderr


SERVED = 1.0
"""Seconds. The required time from saving a function to its first response."""
LOAD = 3.0
"""Factor for a busy machine. Other tests use both cores."""
SAVED = """

_before = handler


def handler(event, context):
    response = _before(event, context)
    return {{**response, "headers": {{**response["headers"], "X-Saved": "{number}"}}}}
"""
BUDGET = 137


SAVED_WITHIN = 3.0
"""Seconds after which every change is saved. An idle machine needs less than 1."""
Line = Callable[[str], re.Match[str]]
"""Waits for a line that matches a pattern."""


@contextmanager
def developing(checkout: Checkout) -> Iterator[tuple[Line, Callable[[str], int]]]:
    """Runs `ops dev` in a terminal. Yields functions that wait for a line and press a key."""
    terminal, keyboard = pty.openpty()
    with checkout.start("dev", stdin=keyboard, stderr=subprocess.STDOUT) as process:
        lines: list[str] = []

        def read() -> None:
            assert process.stdout
            lines.extend(process.stdout)  # line by line

        reader = threading.Thread(target=read, daemon=True)
        reader.start()

        def line(pattern: str) -> re.Match[str]:
            def find() -> re.Match[str] | None:
                assert process.poll() is None, "".join(lines)
                return re.search(pattern, "".join(lines))

            try:
                return eventually(find, 180, interval=0.1)
            except AssertionError as error:
                raise AssertionError(
                    f"No line matched {pattern!r}:\n{''.join(lines)[-5000:]}"
                ) from error

        try:
            yield line, lambda key: os.write(terminal, key.encode())
            os.write(terminal, b"q")
            assert process.wait(20) == 0
        finally:
            process.kill()
            os.close(terminal)
            os.close(keyboard)


def is_served(api: Api, number: str) -> bool:
    return api.get("/health").headers.get("X-Saved") == number


def check_saved_code_is_served(checkout: Checkout, api: Api, line: Line) -> None:
    """Saves two valid handlers and an invalid one, and checks what is served and logged."""
    saves: list[float] = []
    for number in ("1", "2"):
        begun = time.monotonic()
        checkout.change(SAVED.format(number=number))
        eventually(partial(is_served, api, number), interval=0.02)
        saves.append(time.monotonic() - begun)
        print(f"save {number} served after {saves[-1]:.2f} s")
    assert min(saves) < SERVED * LOAD
    line(r"health: served after \d+\.\d+ s")
    trace = uuid.uuid4().hex
    api.get("/v1/auth/me", headers={"X-Correlation-Id": trace}).problem(401)
    line(f"auth .*{trace}")
    checkout.change("def :")
    line(r"lambdas/health/handler.py:\d+: .*: not served")
    assert api.get("/health").headers["X-Saved"] == "2"


def check_apply_key(
    checkout: Checkout, platform: Platform, line: Line, press: Callable[[str], int]
) -> None:
    """Saves an environment file, waits for the plan, and applies it with a key."""
    press("a")
    line("There is no plan to apply")
    environment = checkout.directory / "environments" / "local.yml"
    changed, count = re.subn("(?<=monthly_usd: )[0-9]+", str(BUDGET), environment.read_text())
    assert count == 1
    environment.write_text(changed)
    line(r"Plan:\n(  .*\n)*  update aws_budgets_budget\.\S+: limit_amount\n(  .*\n)*a applies it")
    assert budget(platform) != BUDGET
    checkout.change("")
    press("a")
    took = float(line(r"Applied in (\d+) s")[1])
    print(f"up with one change took {took:.0f} s")
    assert budget(platform) == BUDGET
    assert took < AGAIN * SLOWDOWN


def budget(platform: Platform) -> float:
    """Returns the monthly budget in US dollars."""
    names = {"AccountId": "000000000000", "BudgetName": "multitask-platform-local"}
    return float(
        platform.aws("budgets").describe_budget(**names)["Budget"]["BudgetLimit"]["Amount"]
    )


def test_the_state_lock_of_another_user_is_kept(own_platform: Platform) -> None:
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
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    s3.delete_object(Bucket=state.bucket, Key=key)
    assert result.returncode == 1
    assert "locked by ada@elsewhere" in result.stderr


@pytest.mark.nightly
def test_live_development_first_repairs_an_apply_that_was_killed(
    own_platform: Platform, tmp_path: Path
) -> None:
    """Kills `ops up`, its Terraform and two services while a queue is created outside the state.

    `ops dev`, in a copy of the checkout, repairs this like `ops up`. Then it deploys saved files
    and applies a plan on a key press.
    """
    api = Api(own_platform.api_url)
    person = Person.signed_in(own_platform, api)
    sqs, name = own_platform.aws("sqs"), own_platform.outputs["queues"]["undelivered-events-dlq"]
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])
    command = [sys.executable, "-m", "ops", "up", "--json", "--root", str(own_platform.root)]
    with subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as begun:
        eventually(lambda: queue_exists(sqs, name), seconds=180)
        services = EmbeddedCloud(Root(own_platform.root)).running()
        whole = [psutil.Process(begun.pid), *psutil.Process(begun.pid).children(recursive=True)]
        kept = {process.pid for process in services.values()}
        for process in whole:
            if process.pid not in kept:
                process.kill()
    killed = [services["cache"], services["database"]]
    for service in killed:
        os.kill(service.pid, signal.SIGKILL)

    checkout = Checkout(tmp_path, own_platform, role=None)
    with developing(checkout) as (line, press):
        line("Watching lambdas/, modules/ and environments/")
        for service in killed:
            line(rf"{service.name} \(process {service.pid}\) ended unexpectedly: restarting it")
        line("Removed the state lock of a killed run: ")
        found = read_json(Root(own_platform.root).platform_file)
        assert found
        assert found["outputs"] == own_platform.outputs
        assert queue_exists(sqs, name)
        person.me().expect(200)
        check_saved_code_is_served(checkout, api, line)
        check_apply_key(checkout, own_platform, line, press)
    assert "X-Saved" not in api.get("/health").headers


def queue_exists(sqs: Any, name: str) -> bool:
    """Returns True if SQS has a queue of that name."""
    return bool(sqs.list_queues(QueueNamePrefix=name).get("QueueUrls"))


def test_a_killed_embedded_aws_is_restored(own_platform: Platform) -> None:
    """Everything that was acknowledged before the kill exists after `ops up`."""
    process = EmbeddedCloud(Root(own_platform.root)).running()["aws"]
    person = Person.signed_in(own_platform, Api(own_platform.api_url))
    time.sleep(SAVED_WITHIN)
    sqs = own_platform.aws("sqs")
    name = f"acknowledged-{uuid.uuid4().hex[:12]}"
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    time.sleep(SAVED_WITHIN)
    sqs.send_message(QueueUrl=queue, MessageBody="kept")
    os.kill(process.pid, signal.SIGKILL)
    response, stderr = up(own_platform)
    assert f"aws (process {process.pid}) ended unexpectedly" in stderr
    assert "recreated" not in stderr
    assert response["outputs"] == own_platform.outputs
    print(
        f"up after the AWS was killed took {sum(response['seconds'].values()):.1f} s:"
        f" {response['seconds']}"
    )
    assert "were lost" not in stderr
    person.me().expect(200)
    [message] = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert message["Body"] == "kept"
    revived = Platform.of(own_platform.root, own=True)
    Person.signed_in(revived, Api(revived.api_url)).me().expect(200)
