"""Tests both providers' clients, against local servers that check requests and simulate
failures.
"""

import time
from typing import Any

import pytest

from lambdas.ai import tasks
from lambdas.ai.gemini import Gemini
from lambdas.ai.openai import OpenAi
from lambdas.ai.providers import Completion, Failure, Prompt, Provider, ProviderError, Turn
from tests.lambdas.ai.published import AssistantMessage, SystemMessage, UserMessage
from tests.lambdas.ai.servers import (
    KEY,
    MODEL,
    Behaviour,
    FakeProvider,
    cut_body,
    cut_chunked_body,
    disconnect,
    drip,
    drip_body,
    hang,
    send_bytes,
    send_json,
    send_late,
    send_status,
    send_text,
)

PROMPT = Prompt(
    instruction="Be brief.",
    turns=(Turn("user", "Hello?"), Turn("assistant", "Yes?"), Turn("user", "Grüße, 你好 🙂")),
    output_limit=100,
)


@pytest.fixture(params=["gemini", "openai"])
def server(request: pytest.FixtureRequest) -> FakeProvider:
    provider: FakeProvider = request.getfixturevalue(request.param)
    return provider


def client(server: FakeProvider, effort: str = "") -> Provider:
    kind: Any = Gemini if server.kind == "gemini" else OpenAi
    provider: Provider = kind(server.base_url, MODEL, effort)
    return provider


def complete(
    server: FakeProvider, prompt: Prompt = PROMPT, key: str = KEY, timeout: float = 5.0
) -> Completion:
    return client(server).complete(prompt, key, timeout)


def failure(server: FakeProvider, behaviour: Behaviour, timeout: float = 5.0) -> ProviderError:
    server.behaviours = [behaviour]
    with pytest.raises(ProviderError) as failed:
        complete(server, timeout=timeout)
    return failed.value


def test_complete_sends_the_prompt_and_returns_the_text_with_its_token_counts(
    server: FakeProvider,
) -> None:
    server.behaviours = [send_text("Hi — 你好 🙂")]
    completion = complete(server)
    assert (
        completion.text,
        completion.input_tokens,
        completion.output_tokens,
        completion.tokens,
    ) == (
        "Hi — 你好 🙂",
        11,
        7,
        18,
    )
    assert completion.model.startswith(MODEL)
    (request,) = server.requests
    if server.kind == "gemini":
        assert [part.text for part in request.body.system_instruction.parts] == ["Be brief."]
        assert [(c.role, c.parts[0].text) for c in request.body.contents] == [
            ("user", "Hello?"),
            ("model", "Yes?"),
            ("user", "Grüße, 你好 🙂"),
        ]
        assert request.body.generation_config.max_output_tokens == 100
        assert request.body.safety_settings is None
    else:
        assert request.body.messages == [
            SystemMessage("Be brief."),
            UserMessage("Hello?"),
            AssistantMessage("Yes?"),
            UserMessage("Grüße, 你好 🙂"),
        ]
        assert request.body.max_completion_tokens == 100


@pytest.mark.parametrize(
    "prompt",
    [
        tasks.build_moderation_prompt("x"),
        tasks.build_translation_prompt("x", "French"),
        tasks.build_summary_prompt("x", 2),
        tasks.build_question_prompt((), "x", "y"),
    ],
)
def test_the_prompts_of_all_tasks_are_valid_requests(server: FakeProvider, prompt: Prompt) -> None:
    complete(server, prompt)
    (request,) = server.requests
    if server.kind == "gemini":
        assert (request.body.generation_config.response_schema is not None) == (
            prompt.shape is not None
        )
        assert (request.body.safety_settings is not None) == prompt.unfiltered
    else:
        assert (request.body.response_format is not None) == (prompt.shape is not None)


def test_the_reasoning_effort_is_sent_only_if_configured(server: FakeProvider) -> None:
    client(server, "low").complete(PROMPT, KEY, 5.0)
    body = server.requests[0].body
    sent = (
        body.generation_config.thinking_config.thinking_level
        if server.kind == "gemini"
        else body.reasoning_effort
    )
    assert sent == "low"
    complete(server)
    assert b"thinking" not in server.requests[1].content
    assert b"reasoning" not in server.requests[1].content


def test_thoughts_are_counted_but_not_returned(gemini: FakeProvider) -> None:
    response = gemini.build_completion("")
    response["candidates"][0]["content"]["parts"] = [
        {"text": "hm", "thought": True},
        {"text": "A"},
        {"text": "B"},
    ]
    response["usageMetadata"]["thoughtsTokenCount"] = 100
    gemini.behaviours = [send_json(response)]
    completion = complete(gemini)
    assert (completion.text, completion.output_tokens) == ("AB", 107)


def test_a_completion_cut_off_at_its_token_limit_is_returned(server: FakeProvider) -> None:
    response = server.build_completion("cut")
    response["candidates" if server.kind == "gemini" else "choices"][0].update(
        {"finishReason": "MAX_TOKENS"} if server.kind == "gemini" else {"finish_reason": "length"}
    )
    server.behaviours = [send_json(response)]
    assert complete(server).text == "cut"


def test_token_counts_are_estimated_if_the_response_has_no_usage(server: FakeProvider) -> None:
    response = server.build_completion("x" * 40)
    del response["usageMetadata" if server.kind == "gemini" else "usage"]
    server.behaviours = [send_json(response)]
    completion = complete(server)
    assert (0 < completion.input_tokens < PROMPT.token_bound(), completion.output_tokens) == (
        True,
        10,
    )


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (send_status(500), Failure.SERVER_ERROR),
        (send_status(503), Failure.SERVER_ERROR),
        (send_status(429), Failure.RATE_LIMITED),
        (send_status(401), Failure.KEY_REFUSED),
        (send_status(403), Failure.KEY_REFUSED),
        (send_status(400), Failure.REJECTED),
        (send_status(413), Failure.REJECTED),
        (send_status(404), Failure.NOT_FOUND),
        (send_status(302), Failure.MALFORMED),
        (send_status(204), Failure.MALFORMED),
        (send_bytes(b""), Failure.MALFORMED),
        (send_bytes(b"<html>"), Failure.MALFORMED),
        (send_bytes(b"[]"), Failure.MALFORMED),
        (send_bytes(b"{}"), Failure.MALFORMED),
        (send_bytes(b"\xff" * 10), Failure.MALFORMED),
        (send_bytes(b"[" * 100_000), Failure.MALFORMED),
        (send_json({"candidates": [], "choices": []}), Failure.MALFORMED),
        (
            send_json(
                {"candidates": [{"content": {"parts": [{"text": 5}]}}], "choices": [{"message": 5}]}
            ),
            Failure.MALFORMED,
        ),
        (send_text(""), Failure.MALFORMED),
        (send_text("  \n"), Failure.MALFORMED),
        (send_text("x" * (128 * 1024 + 1)), Failure.MALFORMED),
        (send_bytes(b'{"a": "' + b"x" * (1024 * 1024) + b'"}'), Failure.MALFORMED),
        (cut_body, Failure.BROKEN_OFF),
        (cut_chunked_body, Failure.BROKEN_OFF),
        (disconnect, Failure.BROKEN_OFF),
    ],
)
def test_unusable_responses_are_classified_by_kind_of_failure(
    server: FakeProvider, behaviour: Behaviour, expected: Failure
) -> None:
    assert failure(server, behaviour).failure == expected


@pytest.mark.parametrize("behaviour", [send_late(60), hang, drip, drip_body])
def test_a_slow_server_times_out(server: FakeProvider, behaviour: Behaviour) -> None:
    started = time.monotonic()
    assert failure(server, behaviour, timeout=0.3).failure == Failure.TIMEOUT
    assert time.monotonic() - started < 5


def test_a_refused_connection_is_classified_as_unreachable(server: FakeProvider) -> None:
    closed = FakeProvider(server.kind)
    with closed:
        pass
    with pytest.raises(ProviderError) as failed:
        complete(closed)
    assert failed.value.failure == Failure.UNREACHABLE


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("2", 2.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None), (None, None)],
)
def test_retry_after_is_parsed_if_it_is_in_seconds(
    server: FakeProvider, header: str | None, seconds: float | None
) -> None:
    assert failure(server, send_status(429, retry_after=header)).retry_after == seconds


def test_a_redirect_is_not_followed(server: FakeProvider) -> None:
    with FakeProvider(server.kind) as elsewhere:

        def redirect(exchange: Any) -> None:
            exchange.send(307, b"", {"Location": f"{elsewhere.base_url}/x"})

        failure(server, redirect)
        assert elsewhere.requests == []
        assert elsewhere.violations == []


REFUSALS: list[tuple[str, Any]] = [
    (
        "gemini",
        {
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
            "usageMetadata": {"promptTokenCount": 4},
        },
    ),
    ("gemini", {"candidates": [{"finishReason": "SAFETY", "index": 0}]}),
    (
        "gemini",
        {"candidates": [{"finishReason": "RECITATION", "content": {"parts": [{"text": "cut"}]}}]},
    ),
    (
        "openai",
        {
            "choices": [
                {"message": {"content": None, "refusal": "I can't."}, "finish_reason": "stop"}
            ]
        },
    ),
    ("openai", {"choices": [{"message": {"content": "cut"}, "finish_reason": "content_filter"}]}),
]


@pytest.mark.parametrize(("kind", "response"), REFUSALS)
def test_a_content_refusal_is_distinguished_from_other_failures(
    request: pytest.FixtureRequest, kind: str, response: Any
) -> None:
    assert failure(request.getfixturevalue(kind), send_json(response)).failure == Failure.REFUSED


def test_geminis_status_400_for_an_invalid_key_is_classified_as_key_refused(
    gemini: FakeProvider,
) -> None:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    body = {
        "error": {
            "code": 400,
            "status": "INVALID_ARGUMENT",
            "message": "API key not valid.",
            "details": [info],
        }
    }
    assert failure(gemini, send_status(400, body=body)).failure == Failure.KEY_REFUSED


def test_an_invalid_api_key_does_not_appear_in_errors(server: FakeProvider) -> None:
    for key in ("line\nbreak", "snow☃man"):
        with pytest.raises(ProviderError) as failed:
            complete(server, key=key)
        assert key not in repr(failed.value)
        assert failed.value.__context__ is None
    assert server.requests == []


def test_the_token_bound_holds_for_all_writing_systems() -> None:
    """A token has at least one byte, so a prompt has at most as many tokens as bytes."""
    for text in ("plain", "é" * 10, "漢字", "🙂" * 5, "\x00"):
        prompt = tasks.build_translation_prompt(text, "French")
        assert (
            prompt.token_bound()
            >= len(text.encode()) + len(prompt.instruction) + prompt.output_limit
        )
