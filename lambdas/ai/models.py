"""Request and response bodies of the ai service."""

from typing import Annotated, Any

from msgspec import Meta, Struct, structs

from lambdas.ai.conversations import Conversation, Summary
from lambdas.common.clock import Timestamp, timestamp
from lambdas.common.ids import Id
from lambdas.common.text import VISIBLE
from lambdas.common.validation import Body

Question = Annotated[
    str,
    Meta(
        max_length=4000,
        pattern=VISIBLE,
        description="must have 1 to 4000 characters, one of them visible",
        examples=["What is a monad?"],
    ),
]
Text = Annotated[
    str,
    Meta(
        max_length=20000,
        pattern=VISIBLE,
        description="must have 1 to 20000 characters, one of them visible",
    ),
]
Language = Annotated[
    str,
    Meta(
        pattern=r"^[^\W\d_](?:[^\W_]|[ ()-]){0,48}[^\W_)]\)?\Z",
        description="must be a language's name or tag, such as French or pt-BR",
        examples=["French"],
    ),
]
Sentences = Annotated[int, Meta(ge=1, le=20, description="must be a whole number from 1 to 20")]


class Ask(Body, frozen=True, kw_only=True):
    question: Question
    context: Text | None = None
    conversation_id: Id | None = None


class Summarize(Body, frozen=True, kw_only=True):
    text: Text
    max_sentences: Sentences = 3


class Translate(Body, frozen=True, kw_only=True):
    text: Text
    target_language: Language


class Moderate(Body, frozen=True, kw_only=True):
    text: Text


class Usage(Struct, frozen=True, kw_only=True, rename="camel"):
    """The numbers of tokens of a call, as the provider counted them."""

    input_tokens: int
    output_tokens: int


class ModelDetails(Struct, frozen=True, kw_only=True, rename="camel"):
    """The model that produced a response, its usage, and the duration of the whole request."""

    provider: str
    model: str
    usage: Usage
    latency_ms: int


class AnswerView(ModelDetails, frozen=True, kw_only=True):
    answer: str
    conversation_id: Id


class SummaryView(ModelDetails, frozen=True, kw_only=True):
    summary: str


class TranslationView(ModelDetails, frozen=True, kw_only=True):
    """A translated text. `source_language` is None if the model did not report it."""

    translation: str
    source_language: str | None
    target_language: str


class ModerationView(Struct, frozen=True, kw_only=True):
    flagged: bool
    categories: dict[str, bool]


class ConversationMessageView(Struct, frozen=True, kw_only=True, rename="camel"):
    role: str
    content: str
    context: str | None
    created_at: Timestamp


class ConversationSummaryView(Struct, frozen=True, kw_only=True, rename="camel"):
    conversation_id: Id
    title: str
    message_count: int
    created_at: Timestamp
    updated_at: Timestamp
    expires_at: Timestamp
    version: int


class ConversationView(ConversationSummaryView, frozen=True, kw_only=True):
    messages: tuple[ConversationMessageView, ...]
    """Oldest first."""


def create_summary_view(summary: Summary) -> ConversationSummaryView:
    return ConversationSummaryView(**_members(summary))


def create_conversation_view(conversation: Conversation) -> ConversationView:
    messages = tuple(
        ConversationMessageView(
            role=m.role, content=m.content, context=m.context, created_at=m.created_at
        )
        for m in conversation.messages
    )
    return ConversationView(**_members(conversation) | {"messages": messages})


def _members(summary: Summary) -> dict[str, Any]:
    return {**structs.asdict(summary), "expires_at": timestamp(summary.expires_at)}
