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
from tests.e2e.providers import CIRCUITS, configuration, playing
from tests.e2e.support import Api, Person, Platform, eventually, run_ops
from tests.e2e.walks.world import World
from tests.lambdas.ai.servers import KEY, Exchange, FakeProvider, half, hang, raw, say, status

USAGE = "ai-usage-local"


@pytest.fixture(scope="module")
def variables(platform: Platform) -> dict[str, str]:
    """Returns the function's environment variables."""
    found = configuration(platform)
    assert not found.get("VpcConfig", {}).get("SubnetIds"), "it is outside the VPC"
    variables: dict[str, str] = found["Environment"]["Variables"]
    return variables


@pytest.fixture(scope="module")
def providers(platform: Platform) -> Iterator[tuple[FakeProvider, FakeProvider]]:
    with playing(platform) as both:
        yield both


@pytest.fixture(scope="module")
def member(platform: Platform) -> Person:
    platform.forget_attempts()
    return Person.signed_in(platform, Api(platform.api_url))


@pytest.fixture(scope="module")
def unset(platform: Platform, member: Person, variables: dict[str, str]) -> Any:
    """Returns the service's response before an API key is stored."""
    _clear(platform)
    World(platform, "ai").forget()
    response = Api(platform.api_url).post(
        "/v1/ai/ask", {"question": "Is anybody there?"}, token=member.access_token
    )
    return response.problem(503, "ai_not_configured")


@pytest.fixture(scope="module")
def keys(platform: Platform, unset: Any) -> Iterator[None]:
    """Stores keys as an operator, and clears them at the end."""
    for name in KEYS:
        assert KEY not in run_ops(platform.root, "secrets", "set", "local", name, given=f"{KEY}\n")
    World(platform, "ai").forget()  # the missing key is cached for some seconds
    yield
    _clear(platform)


def _clear(platform: Platform) -> None:
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
    platform: Platform, member: Person, providers: tuple[FakeProvider, FakeProvider], keys: None
) -> Iterator[Client]:
    """Returns a client. Both providers work and their circuits are closed."""
    for provider in providers:
        provider.behaviours = [say("Hello.")]
        provider.requests.clear()
    yield Client(Api(platform.api_url), member, *providers)
    platform.aws("dynamodb").delete_item(TableName=USAGE, Key=CIRCUITS)


def test_without_a_key_the_response_says_what_to_do(unset: Any) -> None:
    assert "ops secrets set local gemini-api-key" in unset["detail"]


def test_a_conversation(client: Client, other: Person) -> None:
    client.gemini.behaviours = [say("Paris."), say("2.1 million.")]
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
    client.api.get(f"/v1/ai{path}", token=other.access_token).problem(404, "conversation_not_found")
    client.api.delete(f"/v1/ai{path}", token=other.access_token).problem(404)
    client.api.delete(f"/v1/ai{path}", token=client.person.access_token).expect(204)
    client.get(path).problem(404)


def test_summaries_translations_and_moderation(client: Client) -> None:
    client.gemini.behaviours = [
        say("Short."),
        say("not the requested JSON"),
        say(json.dumps({"translation": "Bonjour", "sourceLanguage": "en"})),
        say(json.dumps({"flagged": False, "categories": {"violence": True}})),
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
    assert client.post("/translate", {"text": ""}).wrong_fields() == {"text", "targetLanguage"}


def test_three_failures_open_the_circuit_for_all_execution_environments(client: Client) -> None:
    client.gemini.behaviours = [status(500), status(500), raw(b"{"), half]
    for _ in range(5):
        assert client.post("/ask", {"question": "Who answers?"}).expect(200)["provider"] == "openai"
    assert len(client.gemini.requests) == 4, "three calls, the first sent twice"


def test_a_provider_that_never_responds_times_out(client: Client) -> None:
    client.gemini.behaviours = [hang]
    started = time.monotonic()
    response = client.post("/ask", {"question": "Is anybody there?"}).expect(200)
    assert response["provider"] == "openai"
    assert 10 < time.monotonic() - started < 25


def test_the_quota_is_exact_for_concurrent_calls(
    client: Client, platform: Platform, variables: dict[str, str]
) -> None:
    """The quota admits three of eight calls. Their completions wait until five are rejected."""
    question = "How many of us fit?"
    bound = tasks.build_question_prompt((), question, None).token_bound()
    left = 3 * bound + bound // 2
    day = datetime.now(UTC).date().isoformat()
    key = {"user_id": {"S": client.person.user_id}, "day": {"S": day}}
    dynamodb = platform.aws("dynamodb")
    dynamodb.update_item(
        TableName=USAGE,
        Key=key,
        UpdateExpression="SET tokens = :tokens",
        ExpressionAttributeValues={":tokens": {"N": str(int(variables["DAILY_QUOTA"]) - left)}},
    )
    decided = threading.Event()

    def wait(exchange: Exchange) -> None:
        decided.wait(20)
        exchange.complete("You.")

    client.gemini.behaviours = client.openai.behaviours = [wait]
    with ThreadPoolExecutor(8) as pool:
        # Starts eight processes in advance, because this takes long and provider calls time out.
        list(pool.map(lambda _: client.get("/conversations").expect(200), range(8)))
        running = [pool.submit(client.post, "/ask", {"question": question}) for _ in range(8)]
        eventually(lambda: sum(future.done() for future in running) >= 5)
        decided.set()
        responses = [future.result() for future in running]
    assert sorted(response.status for response in responses) == [200] * 3 + [429] * 5
    refused = next(response for response in responses if response.status == 429)
    refused.problem(429, "ai_quota_exceeded")
    assert 0 < int(refused.headers["Retry-After"]) <= 24 * 3600
    account = dynamodb.get_item(TableName=USAGE, Key=key, ConsistentRead=True)["Item"]
    assert int(account["tokens"]["N"]) == int(variables["DAILY_QUOTA"]) - left + 3 * sum(
        client.gemini.usage
    )
    dynamodb.delete_item(TableName=USAGE, Key=key)


def test_logs_contain_no_prompts_and_no_keys(client: Client, platform: Platform) -> None:
    client.gemini.behaviours = [
        say("tell-tale answer"),
        raw(b'{"tell-tale": '),
        say("tell-tale again"),
    ]
    client.openai.behaviours = [raw(b"tell-tale")]
    body = {"question": "tell-tale question", "context": "tell-tale context"}
    statuses = [client.post("/ask", body).status for _ in range(3)]
    assert statuses == [200, 503, 200]
    lines = eventually(lambda: [line for line in platform.logged("ai") if "malformed" in line])
    assert lines
    written = "\n".join(platform.logged("ai"))
    assert "tell-tale" not in written
    assert KEY not in written


def test_the_role_allows_only_the_functions_tables_and_parameters(platform: Platform) -> None:
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
    dynamodb = session.client("dynamodb", endpoint_url=platform.cloud.endpoint)
    ssm = session.client("ssm", endpoint_url=platform.cloud.endpoint)
    dynamodb.get_item(TableName=USAGE, Key=CIRCUITS)
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
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}
