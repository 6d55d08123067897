"""Prompts, completions and failures, and the interface that each model provider implements."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta, Struct

COMPLETION_LIMIT = 128 * 1024
"""Maximum bytes of a completion's text, so that it fits into a conversation's DynamoDB item.

Prompts request at most 8,192 tokens, so the limit allows 16 bytes per token.
"""

MODEL_LENGTH = 100
"""Maximum characters of a model's name in a response. Longer names are truncated."""

TURN_OVERHEAD = 16
"""Additional tokens to reserve per turn. Providers add fewer than 10 tokens to each turn."""

TokenCount = Annotated[int, Meta(ge=0, le=10_000_000)]
"""A token count from a provider. The limit is larger than every model's context window."""


class Turn(Struct, frozen=True):
    """One message of a conversation."""

    role: Literal["user", "assistant"]
    text: str


class Shape(Struct, frozen=True):
    """The required form of a completion: a JSON object that matches `schema`."""

    name: str
    schema: Mapping[str, Any]


class Prompt(Struct, frozen=True, kw_only=True):
    """The input of a model.

    `instruction` is always a constant of this service. The caller's texts are in `turns`, which
    providers receive separately. `unfiltered` disables the provider's adjustable content filter:
    a moderation prompt must reach the model even if its content is harmful.
    """

    instruction: str
    turns: tuple[Turn, ...]
    output_limit: int
    """Maximum output tokens, including reasoning."""
    shape: Shape | None = None
    unfiltered: bool = False

    def token_bound(self) -> int:
        """Returns an upper bound of the call's tokens.

        Every byte is counted as a token, because in all tokenizers a token has at least one byte.
        """
        schema = msgspec.json.encode(self.shape.schema) if self.shape else b""
        texts = (self.instruction, *(turn.text for turn in self.turns))
        return (
            sum(len(text.encode()) + TURN_OVERHEAD for text in texts)
            + len(schema)
            + self.output_limit
        )


class Completion(Struct, frozen=True, kw_only=True):
    """A model's output and its token counts. `model` is the name that the provider reports."""

    text: str
    model: str
    input_tokens: int
    output_tokens: int

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


class Failure(StrEnum):
    """The ways in which a provider fails. The values appear in the log."""

    UNREACHABLE = "unreachable"
    """The connection could not be opened. Nothing was sent, so a retry is safe."""
    TIMEOUT = "timeout"
    BROKEN_OFF = "broken_off"
    """The connection was closed before the response was complete."""
    SERVER_ERROR = "server_error"
    """A status of 500 or more."""
    RATE_LIMITED = "rate_limited"
    KEY_REFUSED = "key_refused"
    NOT_FOUND = "not_found"
    """The configured URL or model does not exist."""
    REJECTED = "rejected"
    """The provider rejects this request, for example because it is too long."""
    MALFORMED = "malformed"
    """The response violates the provider's API, or is too long."""
    INVALID = "invalid"
    """The completions of two calls did not match the required schema."""
    REFUSED = "refused"
    """The provider's content rules prevented a completion."""


REQUEST_FAILURES = frozenset({Failure.REJECTED, Failure.REFUSED})
"""Failures caused by the request. They do not open the provider's circuit breaker, because other
requests may still succeed."""


class ProviderError(Exception):
    """A call failed.

    Raise it `from None`: the original error could contain a prompt, a completion or an API key.
    """

    def __init__(self, failure: Failure, retry_after: float | None = None) -> None:
        super().__init__(failure.value)
        self.failure = failure
        self.retry_after = retry_after
        """The Retry-After of the response in seconds, if present."""


def create_completion(
    prompt: Prompt, text: str, model: str, usage: tuple[int, int] | None
) -> Completion:
    """Creates a completion from a provider's response.

    `usage` contains the numbers of input and output tokens. If it is None, both are estimated at
    four bytes per token.

    Raises:
        ProviderError: MALFORMED if the text is empty or too long.
    """
    size = len(text.encode())
    if not text.strip() or size > COMPLETION_LIMIT:
        raise ProviderError(Failure.MALFORMED)
    if usage is None:
        usage = -(-(prompt.token_bound() - prompt.output_limit) // 4), -(-size // 4)
    return Completion(
        text=text, model=model[:MODEL_LENGTH], input_tokens=usage[0], output_tokens=usage[1]
    )


class Provider(Protocol):
    """The client of a provider's HTTP API."""

    @property
    def name(self) -> str: ...

    def complete(self, prompt: Prompt, key: str, timeout: float) -> Completion:
        """Sends one request, and returns the completion or raises ProviderError.

        Takes at most `timeout` seconds.
        """
