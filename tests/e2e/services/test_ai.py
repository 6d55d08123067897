"""Tests the ai service on the applied platform with fake providers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lambdas.ai import tasks
from ops.env_file import KEYS
from ops.upkeep.secrets import Secrets
from tests.e2e.scenarios.context import ScenarioContext
from tests.e2e.support.ai_providers import CIRCUITS_KEY, read_configuration, run_fake_providers
from tests.e2e.support.api_client import Api
from tests.e2e.support.commands import run_ops
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person
from tests.lambdas.ai.servers import (
    KEY,
    Exchange,
    FakeProvider,
    cut_body,
    hang,
    send_bytes,
    send_status,
    send_text,
)
from tests.waiting import wait_for

USAGE = "ai-usage-local"


@pytest.fixture(scope="module")
def variables(platform: Platform) -> dict[str, str]:
    """Returns the function's environment variables."""
    configuration = read_configuration(platform)
    assert not configuration.get("VpcConfig", {}).get("SubnetIds"), (
        "the function must be outside the VPC"
    )
    variables: dict[str, str] = configuration["Environment"]["Variables"]
    return variables


@pytest.fixture(scope="module")
def providers(platform: Platform) -> Iterator[tuple[FakeProvider, FakeProvider]]:
    with run_fake_providers(platform) as providers:
        yield providers


@pytest.fixture(scope="module")
def member(platform: Platform) -> Person:
    platform.reset_rate_limits()
    return Person.sign_up(platform, Api(platform.api_url))


@pytest.fixture(scope="module")
def response_without_key(platform: Platform, member: Person, variables: dict[str, str]) -> Any:
    """Returns the service's error response to a question while no API key is stored."""
    clear_keys(platform)
    ScenarioContext(platform, "ai").restart_function()
    response = Api(platform.api_url).post(
        "/v1/ai/ask", {"question": "Is anybody there?"}, token=member.access_token
    )
    return response.expect_problem(503, "ai_not_configured")


@pytest.fixture(scope="module")
def stored_keys(platform: Platform, response_without_key: Any) -> Iterator[None]:
    """Stores the providers' API keys as an operator, and clears them at the end."""
    for name in KEYS:
        assert KEY not in run_ops(platform.root, "secrets", "set", "local", name, stdin=f"{KEY}\n")
    # For some seconds, the function caches that the keys are missing. A restart clears this cache.
    ScenarioContext(platform, "ai").restart_function()
    yield
    clear_keys(platform)


def clear_keys(platform: Platform) -> None:
    secrets = Secrets(platform.cloud)
    for name in KEYS:
        secrets.clear(name)


class Client:
    """Calls the service as a signed-in person."""

    def __init__(
        self, api: Api, person: Person, gemini: FakeProvider, openai: FakeProvider
    ) -> None:
        self.api = api
        self.person = person
        self.gemini = gemini
        self.openai = openai

    def post(self, path: str, body: object) -> Any:
        return self.api.post(f"/v1/ai{path}", body, token=self.person.access_token)

    def get(self, path: str) -> Any:
        return self.api.get(f"/v1/ai{path}", token=self.person.access_token)


@pytest.fixture
def client(
    platform: Platform,
    member: Person,
    providers: tuple[FakeProvider, FakeProvider],
    stored_keys: None,
) -> Iterator[Client]:
    """Returns a client of the ai service. Both providers work and their circuits are closed."""
    for provider in providers:
        provider.behaviours = [send_text("Hello.")]
        provider.requests.clear()
    yield Client(Api(platform.api_url), member, *providers)
    platform.aws("dynamodb").delete_item(TableName=USAGE, Key=CIRCUITS_KEY)


def test_the_error_without_an_api_key_names_the_command_that_sets_it(
    response_without_key: Any,
) -> None:
    assert "ops secrets set local gemini-api-key" in response_without_key["detail"]


def test_users_continue_list_and_delete_their_conversations_that_others_cannot_read(
    client: Client, other: Person
) -> None:
    client.gemini.behaviours = [send_text("Paris."), send_text("2.1 million.")]
    response = client.post("/ask", {"question": "What is the capital of France?"}).expect(200)
    assert response.keys() == {
        "answer",
        "provider",
        "model",
        "conversationId",
        "usage",
        "latencyMs",
    }
    assert (response["answer"], response["provider"]) == ("Paris.", "gemini")
    again = client.post(
        "/ask", {"question": "How many live there?", "conversationId": response["conversationId"]}
    )
    assert again.expect(200)["answer"] == "2.1 million."
    sent = client.gemini.requests[1].body.contents
    assert [(c.role, c.parts[0].text) for c in sent] == [
        ("user", "What is the capital of France?"),
        ("model", "Paris."),
        ("user", "How many live there?"),
    ]
    path = f"/conversations/{response['conversationId']}"
    assert len(client.get(path).expect(200)["messages"]) == 4
    assert response["conversationId"] in {
        item["conversationId"] for item in client.get("/conversations").expect(200)["items"]
    }
    client.api.get(f"/v1/ai{path}", token=other.access_token).expect_problem(
        404, "conversation_not_found"
    )
    client.api.delete(f"/v1/ai{path}", token=other.access_token).expect_problem(404)
    client.api.delete(f"/v1/ai{path}", token=client.person.access_token).expect(204)
    client.get(path).expect_problem(404)


def test_texts_are_summarized_translated_and_moderated(client: Client) -> None:
    client.gemini.behaviours = [
        send_text("Short."),
        send_text("not the requested JSON"),
        send_text(json.dumps({"translation": "Bonjour", "sourceLanguage": "en"})),
        send_text(json.dumps({"flagged": False, "categories": {"violence": True}})),
    ]
    assert (
        client.post("/summarize", {"text": "Long.", "maxSentences": 1}).expect(200)["summary"]
        == "Short."
    )
    assert (
        client.post("/translate", {"text": "Hello", "targetLanguage": "French"}).expect(200)[
            "translation"
        ]
        == "Bonjour"
    )
    verdict = client.post("/moderate", {"text": "Blood."}).expect(200)
    assert (
        verdict["flagged"],
        verdict["categories"]["violence"],
        verdict["categories"]["hate"],
    ) == (True, True, False)
    assert client.post("/translate", {"text": ""}).list_invalid_fields() == {
        "text",
        "targetLanguage",
    }


def test_three_failures_open_the_circuit_for_all_execution_environments(client: Client) -> None:
    client.gemini.behaviours = [send_status(500), send_status(500), send_bytes(b"{"), cut_body]
    for _ in range(5):
        assert client.post("/ask", {"question": "Who answers?"}).expect(200)["provider"] == "openai"
    assert len(client.gemini.requests) == 4, "expected three calls and one retry of the first call"


def test_a_provider_that_never_responds_times_out(client: Client) -> None:
    client.gemini.behaviours = [hang]
    started = time.monotonic()
    response = client.post("/ask", {"question": "Is anybody there?"}).expect(200)
    assert response["provider"] == "openai"
    assert 10 < time.monotonic() - started < 25


def test_the_quota_is_exact_for_concurrent_calls(
    client: Client, platform: Platform, variables: dict[str, str]
) -> None:
    """Sets a quota that suffices for three of eight calls.

    The providers respond to these three only after the service has rejected the other five.
    """
    question = "How many of us fit?"
    bound = tasks.build_question_prompt((), question, None).token_bound()
    remaining = 3 * bound + bound // 2
    day = datetime.now(UTC).date().isoformat()
    key = {"user_id": {"S": client.person.user_id}, "day": {"S": day}}
    dynamodb = platform.aws("dynamodb")
    dynamodb.update_item(
        TableName=USAGE,
        Key=key,
        UpdateExpression="SET tokens = :tokens",
        ExpressionAttributeValues={
            ":tokens": {"N": str(int(variables["DAILY_QUOTA"]) - remaining)}
        },
    )
    all_decided = threading.Event()

    def wait(exchange: Exchange) -> None:
        all_decided.wait(20)
        exchange.complete("You.")

    client.gemini.behaviours = client.openai.behaviours = [wait]
    with ThreadPoolExecutor(8) as pool:
        # Starts eight processes of the function before the eight questions. Otherwise calls to the
        # providers would time out while the processes start.
        list(pool.map(lambda _: client.get("/conversations").expect(200), range(8)))
        running = [pool.submit(client.post, "/ask", {"question": question}) for _ in range(8)]
        wait_for(lambda: sum(future.done() for future in running) >= 5)
        all_decided.set()
        responses = [future.result() for future in running]
    assert sorted(response.status for response in responses) == [200] * 3 + [429] * 5
    rejected = next(response for response in responses if response.status == 429)
    rejected.expect_problem(429, "ai_quota_exceeded")
    assert 0 < int(rejected.headers["Retry-After"]) <= 24 * 3600
    account = dynamodb.get_item(TableName=USAGE, Key=key, ConsistentRead=True)["Item"]
    assert int(account["tokens"]["N"]) == int(variables["DAILY_QUOTA"]) - remaining + 3 * sum(
        client.gemini.usage
    )
    dynamodb.delete_item(TableName=USAGE, Key=key)


def test_logs_contain_no_prompts_and_no_keys(client: Client, platform: Platform) -> None:
    client.gemini.behaviours = [
        send_text("tell-tale answer"),
        send_bytes(b'{"tell-tale": '),
        send_text("tell-tale again"),
    ]
    client.openai.behaviours = [send_bytes(b"tell-tale")]
    body = {"question": "tell-tale question", "context": "tell-tale context"}
    statuses = [client.post("/ask", body).status for _ in range(3)]
    assert statuses == [200, 503, 200]
    lines = wait_for(
        lambda: [line for line in platform.read_log_lines("ai") if "malformed" in line]
    )
    assert lines
    text = "\n".join(platform.read_log_lines("ai"))
    assert "tell-tale" not in text
    assert KEY not in text


def test_the_role_allows_only_the_tables_and_parameters_of_the_function(platform: Platform) -> None:
    arn = platform.aws("iam").get_role(RoleName="ai-role-local")["Role"]["Arn"]
    credentials = platform.aws("sts").assume_role(RoleArn=arn, RoleSessionName="test")[
        "Credentials"
    ]
    session = boto3.Session(
        credentials["AccessKeyId"],
        credentials["SecretAccessKey"],
        credentials["SessionToken"],
        "us-east-1",
    )
    dynamodb = session.client("dynamodb", **platform.server)
    ssm = session.client("ssm", **platform.server)
    dynamodb.get_item(TableName=USAGE, Key=CIRCUITS_KEY)
    ssm.get_parameter(Name="/multitask/local/gemini-api-key", WithDecryption=True)
    for call in (
        lambda: dynamodb.scan(TableName=USAGE),
        lambda: dynamodb.get_item(TableName="profile-profiles-local", Key={"user_id": {"S": "x"}}),
        lambda: dynamodb.scan(TableName="platform-idempotency-local"),
        lambda: dynamodb.delete_item(
            TableName="auth-sessions-local", Key={"session_id": {"S": "x"}}
        ),
        lambda: ssm.get_parameter(Name="/multitask/local/jwt-secret", WithDecryption=True),
        lambda: ssm.put_parameter(
            Name="/multitask/local/gemini-api-key", Value="x", Overwrite=True
        ),
    ):
        with pytest.raises(ClientError) as denied:
            call()
        assert denied.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}
