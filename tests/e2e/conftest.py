"""One platform for all of these tests, and what they drive it with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.embedded.ports import LOOPBACK, choose_port
from ops.root import PROJECT
from tests.e2e.support import Api, Inbox, Person, Platform, run_ops
from tests.lambdas.ai.servers import MODEL

HERE = Path(__file__).parent
LAST = ("test_recovery.py", "test_removal.py")
"""The one kills the platform and brings it back: whatever it broke must not show in other tests. After the other there is none."""
TIMEOUT = 900
"""Seconds; whichever test comes first waits for the platform."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They run in the order of their files, but for the last two."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(TIMEOUT))
    items.sort(key=lambda item: item.path.name in LAST)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The applied `local` platform: brought up once by `ops up` in a directory of its own, and taken down at the end, however that
    comes.

    With PLATFORM_ROOT naming the root of a platform that runs (`.local`, say), that one is used and left running; tests that kill
    or restart things are skipped then: `PLATFORM_ROOT=.local pytest tests/e2e -k sessions` answers in seconds.
    """
    given = os.environ.get("PLATFORM_ROOT")
    if given:
        yield Platform.of(Path(given).resolve(), own=False)
        return
    _choose_providers()
    # Not below pytest's own directory: that is closed to others, PostgreSQL's user included.
    root = Path(tempfile.mkdtemp(prefix="multitask-"))
    command = [
        sys.executable,
        "-m",
        "tests.e2e.keeper",
        str(root),
        str(tmp_path_factory.mktemp("logs")),
    ]
    # A session of its own: Ctrl-C ends the tests and the `up`, not what cleans up after them.
    keeper = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, start_new_session=True)
    try:
        run_ops(root, "up", "--json")
        yield Platform.of(root, own=True)
    finally:
        keeper.communicate()


def _choose_providers() -> None:
    """Leads the platform's ai service to ports of this machine, where test_ai starts servers, and keeps a developer's keys away.

    In this process's environment, so that each command of these tests, `ops up` again or cdktf, says the same.
    """
    gemini = choose_port()
    os.environ.update(
        GEMINI_BASE_URL=f"http://{LOOPBACK}:{gemini}/v1beta",
        OPENAI_BASE_URL=f"http://{LOOPBACK}:{choose_port([gemini])}/v1",
        GEMINI_MODEL=MODEL,
        OPENAI_MODEL=MODEL,
        OPENAI_REASONING_EFFORT="",
        GEMINI_API_KEY="",
        OPENAI_API_KEY="",
    )


@pytest.fixture
def own_platform(platform: Platform) -> Platform:
    """The platform, for tests that break it on purpose."""
    if not platform.own:
        pytest.skip("it would break the platform of PLATFORM_ROOT")
    return platform


@pytest.fixture
def api(platform: Platform) -> Api:
    """The REST API, with all earlier attempts forgotten: the limits are for an hour, and all tests share one address."""
    platform.forget_attempts()
    return Api(platform.api_url)


@pytest.fixture
def person(platform: Platform, api: Api) -> Person:
    """Somebody registered, confirmed and signed in."""
    return Person.signed_in(platform, api)


@pytest.fixture
def other(platform: Platform, api: Api) -> Person:
    """Somebody else."""
    return Person.signed_in(platform, api)


@pytest.fixture
def bus(platform: Platform) -> Iterator[Inbox]:
    """What the services say on the bus while the test runs."""
    events, sqs = platform.aws("events"), platform.aws("sqs")
    name = f"test-{uuid.uuid4().hex[:12]}"
    of_bus = {"EventBusName": platform.outputs["event_bus_name"]}
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    events.put_rule(
        Name=name, EventPattern=json.dumps({"source": [{"prefix": "multitask."}]}), **of_bus
    )
    events.put_targets(Rule=name, Targets=[{"Id": "inbox", "Arn": arn}], **of_bus)
    yield Inbox(sqs, url)
    events.remove_targets(Rule=name, Ids=["inbox"], **of_bus)
    events.delete_rule(Name=name, **of_bus)
    sqs.delete_queue(QueueUrl=url)
