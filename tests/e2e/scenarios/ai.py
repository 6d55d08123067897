"""Calls every route of the ai function: a question, the other tasks, and conversations."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from tests.e2e.scenarios.context import ScenarioContext
from tests.e2e.support.ai_providers import CIRCUITS_KEY, run_fake_providers
from tests.lambdas.ai.servers import KEY, FakeProvider, send_text

AI = "/v1/ai"


def run_scenario(context: ScenarioContext) -> Iterator[str]:
    ssm = context.client("ssm")
    for provider in ("gemini", "openai"):
        name = f"/multitask/local/{provider}-api-key"
        if ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] != KEY:
            ssm.put_parameter(Name=name, Value=KEY, Type="SecureString", Overwrite=True)
    context.client("dynamodb").delete_item(TableName="ai-usage-local", Key=CIRCUITS_KEY)
    with run_fake_providers(context.platform) as (gemini, _):
        yield from _call_routes(context, gemini)


def _call_routes(context: ScenarioContext, gemini: FakeProvider) -> Iterator[str]:
    ann = context.get_user("Ann Example")

    def call(method: str, path: str, body: object = None, status: int = 200) -> Any:
        return context.api.call(method, AI + path, body, token=ann.token).expect(status)

    def try_question() -> bool:
        """Returns True once the function uses the stored API key.

        For some seconds, the function caches that the key is missing.
        """
        return context.api.post(f"{AI}/ask", {"question": "Who?"}, token=ann.token).status == 200

    context.wait_for(try_question)
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    question = {"question": "And who else?"}
    invalid = context.api.post(f"{AI}/ask", {}, token=ann.token, headers=headers)
    invalid.expect(422)
    answers = [
        context.api.post(f"{AI}/ask", question, token=ann.token, headers=headers).expect(200)
        for _ in range(2)
    ]
    assert answers[0] == answers[1]
    conversation = answers[0]["conversationId"]
    yield f"POST {AI}/ask"
    call("POST", "/summarize", {"text": "Long."})
    yield f"POST {AI}/summarize"
    gemini.behaviours = [
        send_text(json.dumps({"translation": "x", "sourceLanguage": "en", "flagged": False}))
    ]
    call("POST", "/translate", {"text": "x", "targetLanguage": "fr"})
    yield f"POST {AI}/translate"
    call("POST", "/moderate", {"text": "x"})
    yield f"POST {AI}/moderate"
    first = call("GET", "/conversations?limit=1")
    call("GET", f"/conversations?limit=1&cursor={first['nextCursor']}")
    yield f"GET {AI}/conversations"
    call("GET", f"/conversations/{conversation}")
    yield f"GET {AI}/conversations/{{conversationId}}"
    call("DELETE", f"/conversations/{conversation}", status=204)
    yield f"DELETE {AI}/conversations/{{conversationId}}"
