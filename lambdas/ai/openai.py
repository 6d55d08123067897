"""OpenAI, and every server that speaks its chat completions: https://platform.openai.com/docs/api-reference/chat."""

from typing import Any

import msgspec
from msgspec import Struct

from lambdas.ai.providers import Completion, Failure, Prompt, ProviderError, TokenCount, completion
from lambdas.ai.transport import Reply, check, post_json

_COMPLETE = {"stop", "length"}


class _Message(Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None


class _Choice(Struct, frozen=True):
    message: _Message
    finish_reason: str | None = None


class _Usage(Struct, frozen=True):
    prompt_tokens: TokenCount = 0
    completion_tokens: TokenCount = 0
    """Reasoning included."""


class _Response(Struct, frozen=True):
    choices: tuple[_Choice, ...]
    usage: _Usage | None = None
    model: str | None = None


class OpenAi:
    """One model of OpenAI, or of a server with its interface.

    Args:
        base_url: with the interface's version, without a slash at the end.
        model: its id, such as `gpt-6-luna`.
        reasoning_effort: how much it reasons; "" leaves the model's default, and is for servers that know no such parameter.
    """

    name = "openai"

    def __init__(self, base_url: str, model: str, reasoning_effort: str = "") -> None:
        self._url = f"{base_url}/chat/completions"
        self._model = model
        self._reasoning_effort = reasoning_effort

    def complete(self, prompt: Prompt, key: str, timeout: float) -> Completion:
        reply = post_json(
            self._url, self._document(prompt), {"Authorization": f"Bearer {key}"}, timeout
        )
        check(reply)
        return self._read(reply, prompt)

    def _document(self, prompt: Prompt) -> dict[str, Any]:
        document: dict[str, Any] = {
            "model": self._model,
            # "system" and not "developer": OpenAI's models take it as that, and other servers know no other.
            "messages": [
                {"role": "system", "content": prompt.instruction},
                *({"role": turn.role, "content": turn.text} for turn in prompt.turns),
            ],
            "max_completion_tokens": prompt.output_limit,
        }
        if self._reasoning_effort:
            document["reasoning_effort"] = self._reasoning_effort
        if prompt.shape:
            schema = {"name": prompt.shape.name, "strict": True, "schema": prompt.shape.schema}
            document["response_format"] = {"type": "json_schema", "json_schema": schema}
        return document

    def _read(self, reply: Reply, prompt: Prompt) -> Completion:
        try:
            response = msgspec.json.decode(reply.body, type=_Response)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ProviderError(Failure.MALFORMED) from None
        if not response.choices:
            raise ProviderError(Failure.MALFORMED)
        choice = response.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            raise ProviderError(Failure.REFUSED)
        if choice.finish_reason is not None and choice.finish_reason not in _COMPLETE:
            raise ProviderError(Failure.MALFORMED)
        usage = response.usage
        return completion(
            prompt,
            choice.message.content or "",
            response.model or self._model,
            (usage.prompt_tokens, usage.completion_tokens) if usage else None,
        )
