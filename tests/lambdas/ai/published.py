"""The providers' request schemas, written from their published references.

Gemini:
    https://ai.google.dev/api/generate-content (GenerateContentRequest, GenerationConfig,
    SafetySetting) and https://ai.google.dev/api/caching#Content (Content, Part, Schema)
OpenAI:
    https://platform.openai.com/docs/api-reference/chat/create and
    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas

If the references allow several types for a member, this module declares only the types that a
text service uses.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

Text = Annotated[str, Meta(min_length=1)]


class Strict(Struct, forbid_unknown_fields=True, rename="camel"):
    """Base class of Gemini's messages. It rejects unknown members."""


class Part(Strict):
    text: Text


class Content(Strict):
    parts: Annotated[list[Part], Meta(min_length=1)]
    role: Literal["user", "model"] | None = None


class SafetySetting(Strict):
    category: Literal[
        "HARM_CATEGORY_HARASSMENT",
        "HARM_CATEGORY_HATE_SPEECH",
        "HARM_CATEGORY_SEXUALLY_EXPLICIT",
        "HARM_CATEGORY_DANGEROUS_CONTENT",
        "HARM_CATEGORY_CIVIC_INTEGRITY",
    ]
    threshold: Literal[
        "BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF"
    ]


class GeminiSchema(Strict):
    """The part of an OpenAPI 3.0 schema that Gemini accepts."""

    type: Literal["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"]
    format: str | None = None
    title: str | None = None
    description: str | None = None
    nullable: bool | None = None
    enum: list[str] | None = None
    max_items: str | None = None
    min_items: str | None = None
    properties: dict[str, GeminiSchema] | None = None
    required: list[str] | None = None
    property_ordering: list[str] | None = None
    items: GeminiSchema | None = None


class ThinkingConfig(Strict):
    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: Literal["minimal", "low", "medium", "high"] | None = None


class GenerationConfig(Strict):
    stop_sequences: list[str] | None = None
    response_mime_type: Literal["text/plain", "application/json", "text/x.enum"] | None = None
    response_schema: GeminiSchema | None = None
    candidate_count: int | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    thinking_config: ThinkingConfig | None = None


class GenerateContentRequest(Strict):
    contents: Annotated[list[Content], Meta(min_length=1)]
    system_instruction: Content | None = None
    safety_settings: list[SafetySetting] | None = None
    generation_config: GenerationConfig | None = None
    cached_content: str | None = None


class OpenAiStrict(Struct, forbid_unknown_fields=True):
    """Base class of OpenAI's messages. It rejects unknown members."""


class SystemMessage(OpenAiStrict, tag_field="role", tag="system"):
    content: Text


class DeveloperMessage(OpenAiStrict, tag_field="role", tag="developer"):
    content: Text


class UserMessage(OpenAiStrict, tag_field="role", tag="user"):
    content: Text


class AssistantMessage(OpenAiStrict, tag_field="role", tag="assistant"):
    content: Text


class JsonSchema(OpenAiStrict):
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    schema: dict[str, Any]
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(OpenAiStrict):
    type: Literal["json_schema"]
    json_schema: JsonSchema


class ChatCompletionRequest(OpenAiStrict):
    model: Text
    messages: Annotated[
        list[SystemMessage | DeveloperMessage | UserMessage | AssistantMessage], Meta(min_length=1)
    ]
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    response_format: ResponseFormat | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    n: int | None = None
    seed: int | None = None
    stream: bool | None = None
    store: bool | None = None


def check_gemini(body: bytes) -> GenerateContentRequest:
    """Raises msgspec.ValidationError or AssertionError if Gemini would reject the request."""
    request = msgspec.json.decode(body, type=GenerateContentRequest)
    assert request.contents[-1].role in {"user", None}
    config = request.generation_config
    if config and config.response_schema:
        assert config.response_mime_type == "application/json", "responseSchema requires it"
        _check_gemini_schema(config.response_schema)
    return request


def check_openai(body: bytes) -> ChatCompletionRequest:
    """Raises msgspec.ValidationError or AssertionError if OpenAI would reject the request."""
    request = msgspec.json.decode(body, type=ChatCompletionRequest)
    if request.response_format and request.response_format.json_schema.strict:
        _check_strict_schema(request.response_format.json_schema.schema)
    return request


def _check_gemini_schema(schema: GeminiSchema) -> None:
    assert (schema.type == "OBJECT") == (schema.properties is not None)
    for name in schema.required or []:
        assert name in (schema.properties or {})
    for inner in (schema.properties or {}).values():
        _check_gemini_schema(inner)


def _check_strict_schema(schema: dict[str, Any]) -> None:
    """Checks the rules of strict mode: every property is required, and no others are allowed."""
    assert schema["type"] in {"string", "number", "boolean", "integer", "object", "array"}
    assert schema.keys() <= {
        "type",
        "properties",
        "required",
        "additionalProperties",
        "description",
        "enum",
        "items",
    }
    if schema["type"] == "object":
        assert schema["additionalProperties"] is False
        assert set(schema["required"]) == set(schema["properties"])
        for inner in schema["properties"].values():
            _check_strict_schema(inner)
