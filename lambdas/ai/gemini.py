"""The Gemini API: models.generateContent, https://ai.google.dev/api/generate-content."""

from typing import Any
from urllib.parse import quote

from msgspec import Struct

from lambdas.ai.providers import (
    Completion,
    Failure,
    Prompt,
    ProviderError,
    Shape,
    TokenCount,
    create_completion,
)
from lambdas.ai.transport import post_json, read_document

HARM_CATEGORIES = (
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
)
"""The harm categories for which a request can configure Gemini's content filter."""

_COMPLETE = {"STOP", "MAX_TOKENS"}
_REFUSED = {"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"}
"""The values of `finishReason`: _COMPLETE means that the completion is usable, _REFUSED that Gemini
refused the content. Every other value is a failure."""


class _Part(Struct, frozen=True):
    text: str = ""
    thought: bool = False


class _Content(Struct, frozen=True):
    parts: tuple[_Part, ...] = ()


class _Candidate(Struct, frozen=True, rename="camel"):
    content: _Content = _Content()
    finish_reason: str = "STOP"


class _Usage(Struct, frozen=True, rename="camel"):
    prompt_token_count: TokenCount = 0
    candidates_token_count: TokenCount = 0
    thoughts_token_count: TokenCount = 0


class _Feedback(Struct, frozen=True, rename="camel"):
    block_reason: str | None = None


class _Response(Struct, frozen=True, rename="camel"):
    candidates: tuple[_Candidate, ...] = ()
    prompt_feedback: _Feedback = _Feedback()
    usage_metadata: _Usage | None = None
    model_version: str = ""


class Gemini:
    """Creates completions with a model of the Gemini API.

    Args:
        base_url: The URL including the API version, without a trailing slash.
        model: The model id, for example `gemini-3.5-flash-lite`.
        thinking_level: The parameter `thinkingLevel`. "" means the model's default.
    """

    name = "gemini"

    def __init__(self, base_url: str, model: str, thinking_level: str = "") -> None:
        self._url = f"{base_url}/models/{quote(model, safe='')}:generateContent"
        self._model = model
        self._thinking_level = thinking_level

    def complete(self, prompt: Prompt, key: str, timeout: float) -> Completion:
        response = post_json(self._url, self._document(prompt), {"x-goog-api-key": key}, timeout)
        # Gemini reports an invalid API key with status 400. It returns 401 only for OAuth tokens.
        if response.status == 400 and b"API_KEY_INVALID" in response.body:
            raise ProviderError(Failure.KEY_REFUSED)
        return self._read(read_document(response, _Response), prompt)

    def _document(self, prompt: Prompt) -> dict[str, Any]:
        generation: dict[str, Any] = {"maxOutputTokens": prompt.output_limit}
        if prompt.shape:
            generation["responseMimeType"] = "application/json"
            generation["responseSchema"] = _schema(prompt.shape)
        if self._thinking_level:
            generation["thinkingConfig"] = {"thinkingLevel": self._thinking_level}
        document: dict[str, Any] = {
            "systemInstruction": {"parts": [{"text": prompt.instruction}]},
            "contents": [
                {"role": "user" if turn.role == "user" else "model", "parts": [{"text": turn.text}]}
                for turn in prompt.turns
            ],
            "generationConfig": generation,
        }
        if prompt.unfiltered:
            document["safetySettings"] = [
                {"category": category, "threshold": "BLOCK_NONE"} for category in HARM_CATEGORIES
            ]
        return document

    def _read(self, document: _Response, prompt: Prompt) -> Completion:
        if document.prompt_feedback.block_reason:
            raise ProviderError(Failure.REFUSED)
        if not document.candidates:
            raise ProviderError(Failure.MALFORMED)
        candidate = document.candidates[0]
        if candidate.finish_reason not in _COMPLETE:
            raise ProviderError(
                Failure.REFUSED if candidate.finish_reason in _REFUSED else Failure.MALFORMED
            )
        text = "".join(part.text for part in candidate.content.parts if not part.thought)
        usage = document.usage_metadata
        return create_completion(
            prompt,
            text,
            document.model_version or self._model,
            (usage.prompt_token_count, usage.candidates_token_count + usage.thoughts_token_count)
            if usage
            else None,
        )


def _schema(shape: Shape) -> Any:
    """Converts a JSON schema to Gemini's format: types in capitals, no additionalProperties."""

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            name: item.upper()
            if name == "type"
            else {key: convert(inner) for key, inner in item.items()}
            if name == "properties"
            else convert(item)
            for name, item in value.items()
            if name != "additionalProperties"
        }

    return convert(shape.schema)
