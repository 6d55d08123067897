"""Tests how requests are followed through the platform, and how its logs and queues are read."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
import uuid

import pytest

from ops.errors import OperatorError
from ops.inspection.invocations import find_example, invoke_function
from ops.inspection.queues import peek
from ops.inspection.waterfall import Span, read_waterfall
from ops.root import PROJECT
from tests.e2e.support.api_client import Api
from tests.e2e.support.chat_users import ChatUser
from tests.e2e.support.commands import run_ops
from tests.e2e.support.faults import Role
from tests.e2e.support.platform import Platform
from tests.e2e.support.trust import without_trust
from tests.e2e.support.users import Person, User
from tests.waiting import wait_for

DLQ = "profile-events-dlq"


@pytest.fixture
def correlation_id() -> str:
    return f"test-{uuid.uuid4().hex}"


def trace(platform: Platform, correlation_id: str, *kinds: str) -> dict[str, Span]:
    """Waits until the request has a span of each kind. Returns the first span of each kind."""
    since = int((time.time() - 300) * 1000)

    def find() -> dict[str, Span]:
        try:
            waterfall = read_waterfall(platform.cloud, correlation_id, since)
        except OperatorError:  # the request has no log line yet
            return {}
        spans: dict[str, Span] = {span.kind: span for span in reversed(waterfall.spans)}
        return spans if spans.keys() >= set(kinds) else {}

    return wait_for(find, 60)


def test_an_event_is_followed_from_the_gateway_to_its_last_consumer(
    platform: Platform, api: Api, correlation_id: str
) -> None:
    author = User.create(platform, "Author")
    headers = {"X-Correlation-Id": correlation_id}
    response = api.post("/v1/posts", {"content": "Hello"}, token=author.token, headers=headers)
    response.expect(201)
    spans = trace(
        platform, correlation_id, "gateway", "authorizer", "function", "event", "consumer"
    )
    assert (spans["gateway"].status, spans["authorizer"].status) == ("201", "Allow")
    assert (spans["function"].service, spans["function"].status) == ("post", "201")
    assert (spans["event"].service, spans["event"].name) == ("relay", "PostCreated")
    assert spans["consumer"].service == "statistics"
    assert spans["consumer"].name == "profile-events-queue-local"
    order = ["gateway", "authorizer", "function", "event", "consumer"]
    starts = [spans[kind].start for kind in order]
    assert starts == sorted(starts)
    assert {span.error for span in spans.values()} == {None}
    assert author.user_id not in str(spans["authorizer"])


@pytest.mark.exclusive
def test_a_failed_request_shows_why_it_failed(
    platform: Platform, api: Api, correlation_id: str
) -> None:
    author = User.create(platform, "Author")
    headers = {"X-Correlation-Id": correlation_id}
    with Role(platform, "post").remove_actions("Outbox"):
        response = api.post("/v1/posts", {"content": "Hello"}, token=author.token, headers=headers)
    assert response.status == 500
    spans = trace(platform, correlation_id, "gateway", "function")
    assert (spans["gateway"].status, spans["function"].status) == ("500", "500")
    assert "AccessDenied" in str(spans["function"].error)
    assert "dynamodb:PutItem" in str(spans["function"].error)
    text = run_ops(platform.root, "trace", correlation_id)
    assert "error: botocore" in text
    assert "\x1b[" not in text


def test_a_message_is_followed_to_the_connections_of_the_room(
    platform: Platform, api: Api, correlation_id: str
) -> None:
    user = ChatUser(platform, Person.sign_up(platform, api))
    room = user.create_room()

    async def scenario() -> None:
        client = user.create_client()
        await client.open()
        await client.join(room)
        headers = {"X-Correlation-Id": correlation_id}
        path, body = f"/rooms/{room}/messages", {"content": "Secret text"}
        response = await asyncio.to_thread(user.call, "POST", path, body, headers=headers)
        response.expect(201)
        await client.close()

    asyncio.run(asyncio.wait_for(scenario(), 120))
    delivery = trace(platform, correlation_id, "delivery", "event")["delivery"]
    assert (delivery.name, delivery.fields["sent"]) == ("new_message", 1)
    assert "Secret text" not in str(delivery)


@pytest.mark.parametrize(
    ("service", "example", "kind"),
    [
        ("post", "GET /v1/posts?limit=1", "rest"),
        ("chat", "WebSocket ping", "websocket"),
        ("statistics", "an anonymous post's event", "eventbridge"),
        ("catalog", "a scheduled run", "schedule"),
    ],
)
def test_an_example_event_invokes_its_function_without_an_error(
    platform: Platform, service: str, example: str, kind: str
) -> None:
    event_example = find_example(service, example)
    result = invoke_function(platform.cloud, service, event_example.event)
    assert (event_example.kind, result.error) == (kind, None)
    assert result.result.get("statusCode", 200) == 200, result.result
    assert result.lines or service == "catalog"


def test_the_result_of_an_invocation_shows_no_token(platform: Platform) -> None:
    example = find_example("auth", "POST /v1/auth/anonymous")
    body = invoke_function(platform.cloud, "auth", example.event).result["body"]
    assert (body["accessToken"], body["expiresIn"]) == ("***", 3600)


def test_the_invoke_command_prints_the_invocation_as_json(platform: Platform) -> None:
    output = run_ops(
        platform.root, "invoke", "local", "auth", "--example", "POST /v1/auth/anonymous", "--json"
    )
    invocation = json.loads(output)
    assert invocation["result"]["statusCode"] == 201
    assert invocation["result"]["body"]["accessToken"] == "***"
    assert (invocation["service"], invocation["error"]) == ("auth", None)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_tail_prints_all_services_until_it_is_interrupted(
    platform: Platform, api: Api, correlation_id: str, options: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "ops", "tail", "local", "--since", "1m", *options]
    process = subprocess.Popen(
        [*command, "--root", str(platform.root)],
        cwd=PROJECT,
        env=without_trust(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        headers = {"X-Correlation-Id": correlation_id}
        api.post("/v1/auth/anonymous", {}, headers=headers).expect(201)
        assert process.stdout
        services = set()
        for line in process.stdout:
            services.add(json.loads(line)["service"] if options else line.split()[0])
            assert "\x1b[" not in line
            if services >= {"auth", "gateway"}:
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()


@pytest.mark.exclusive
def test_a_message_is_peeked_and_stays_in_its_queue(platform: Platform) -> None:
    sqs = platform.aws("sqs")
    url = sqs.get_queue_url(QueueName=f"{DLQ}-local")["QueueUrl"]
    text = uuid.uuid4().hex
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"text": text}))
    for _ in range(2):
        messages = peek(platform.cloud, DLQ, wait=0)
        [message] = [each for each in messages if each.body == {"text": text}]
    assert message.receive_count == 2
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    [own] = [each for each in received if text in each["Body"]]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=own["ReceiptHandle"])
