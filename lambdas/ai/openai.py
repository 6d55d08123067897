"""The Chat Completions API of OpenAI and compatible servers.

https://platform.openai.com/docs/api-reference/chat
"""

from typing import Any

from msgspec import Struct

from lambdas.ai.providers import (
    Completion,
    Failure,
    Prompt,
    ProviderError,
    TokenCount,
    create_completion,
)
from lambdas.ai.transport import post_json, read_document

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
    """Includes the tokens of the model's reasoning."""


class _Response(Struct, frozen=True):
    choices: tuple[_Choice, ...]
    usage: _Usage | None = None
    model: str | None = None


class OpenAi:
    """Creates completions with a model of OpenAI or of a compatible server.

    Args:
        base_url: The URL including the API version, without a trailing slash.
        model: The model id, for example `gpt-6-luna`.
        reasoning_effort: The parameter `reasoning_effort`. If it is "", the parameter is not sent,
            as required by servers that do not support it.
    """

    name = "openai"

    def __init__(self, base_url: str, model: str, reasoning_effort: str = "") -> None:
        self._url = f"{base_url}/chat/completions"
        self._model = model
        self._reasoning_effort = reasoning_effort

    def complete(self, prompt: Prompt, key: str, timeout: float) -> Completion:
        response = post_json(
            self._url, self._document(prompt), {"Authorization": f"Bearer {key}"}, timeout
        )
        return self._read(read_document(response, _Response), prompt)

    def _document(self, prompt: Prompt) -> dict[str, Any]:
        document: dict[str, Any] = {
            "model": self._model,
            # Compatible servers support only the role "system". OpenAI also has "developer".
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

    def _read(self, document: _Response, prompt: Prompt) -> Completion:
        if not document.choices:
            raise ProviderError(Failure.MALFORMED)
        choice = document.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            raise ProviderError(Failure.REFUSED)
        if choice.finish_reason is not None and choice.finish_reason not in _COMPLETE:
            raise ProviderError(Failure.MALFORMED)
        usage = document.usage
        return create_completion(
            prompt,
            choice.message.content or "",
            document.model or self._model,
            (usage.prompt_tokens, usage.completion_tokens) if usage else None,
        )
