"""What a provider of a language model is to this service: a prompt goes in, a completion comes out, or it fails in one of a few ways."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta, Struct

ANSWER_LIMIT = 128 * 1024
"""Bytes of an answer's text at most. The longest output that is asked for, 8,192 tokens, stays below it; a conversation's item must hold it."""

MODEL_LENGTH = 100
"""Characters of a model's name that are passed on."""

TURN_OVERHEAD = 16
"""Tokens that a provider may add around a turn, beside its text; both count fewer than ten."""

TokenCount = Annotated[int, Meta(ge=0, le=10_000_000)]
"""As providers report it. The upper bound is beyond every model's window, so that a nonsensical number is no answer."""


class Turn(Struct, frozen=True):
    """One message of a conversation."""

    role: Literal["user", "assistant"]
    text: str


class Shape(Struct, frozen=True):
    """The JSON object that an answer has to be: a name and a JSON schema of the subset that both providers' response modes take."""

    name: str
    schema: Mapping[str, Any]


class Prompt(Struct, frozen=True, kw_only=True):
    """What a model is asked.

    `instruction` is the service's own constant text and nothing else; whatever a caller wrote is in `turns`, which providers take
    apart from it. With `unfiltered` the provider's own adjustable content filter is told to let everything through: a moderator
    has to see what is to be moderated.
    """

    instruction: str
    turns: tuple[Turn, ...]
    output_limit: int
    """Tokens of the answer at most, reasoning included."""
    shape: Shape | None = None
    unfiltered: bool = False

    def token_bound(self) -> int:
        """Tokens that the call cannot exceed: a token is at least one byte of the text, in every tokenizer both providers use."""
        schema = msgspec.json.encode(self.shape.schema) if self.shape else b""
        texts = (self.instruction, *(turn.text for turn in self.turns))
        return (
            sum(len(text.encode()) + TURN_OVERHEAD for text in texts)
            + len(schema)
            + self.output_limit
        )


class Completion(Struct, frozen=True, kw_only=True):
    """A model's answer and what it took. `model` is what the provider says it was."""

    text: str
    model: str
    input_tokens: int
    output_tokens: int

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


class Failure(StrEnum):
    """The ways a provider fails. The values are what is logged."""

    UNREACHABLE = "unreachable"
    """No connection: nothing was sent, so it is safe to send it again."""
    TIMEOUT = "timeout"
    BROKEN_OFF = "broken_off"
    """The connection ended before the answer did."""
    SERVER_ERROR = "server_error"
    """A status of 500 or more."""
    RATE_LIMITED = "rate_limited"
    KEY_REFUSED = "key_refused"
    NOT_FOUND = "not_found"
    """No such address, or no such model: the environment names one that is not there, or no longer."""
    REJECTED = "rejected"
    """It does not take this request: too long for the model, a parameter unknown. Says nothing about the next request."""
    MALFORMED = "malformed"
    """An answer that is not what the provider's interface promises, or too long."""
    INVALID = "invalid"
    """An answer that lacks the shape that was asked for, twice."""
    REFUSED = "refused"
    """The provider's content rules stopped it."""


BLAMELESS = frozenset({Failure.REJECTED, Failure.REFUSED})
"""Failures that come from the request: one user's prompts must not take the provider away from the others."""


class ProviderError(Exception):
    """A call that failed. Neither it nor its causes hold a prompt, an answer or a key: it is raised `from None`."""

    def __init__(self, failure: Failure, retry_after: float | None = None) -> None:
        super().__init__(failure.value)
        self.failure = failure
        self.retry_after = retry_after
        """Seconds the provider asks to wait, where it says so."""


def completion(prompt: Prompt, text: str, model: str, usage: tuple[int, int] | None) -> Completion:
    """A provider's answer, checked. `usage` is tokens in and out; a server that reports none is accounted by the rule of thumb of
    four bytes a token.

    Raises:
        ProviderError: malformed, where there is no text, or too much of it.
    """
    size = len(text.encode())
    if not text.strip() or size > ANSWER_LIMIT:
        raise ProviderError(Failure.MALFORMED)
    if usage is None:
        usage = -(-(prompt.token_bound() - prompt.output_limit) // 4), -(-size // 4)
    return Completion(
        text=text, model=model[:MODEL_LENGTH], input_tokens=usage[0], output_tokens=usage[1]
    )


class Provider(Protocol):
    """One provider's HTTP interface."""

    @property
    def name(self) -> str: ...

    def complete(self, prompt: Prompt, key: str, timeout: float) -> Completion:
        """Asks once and waits `timeout` seconds at most, whatever the provider does. Raises ProviderError."""
