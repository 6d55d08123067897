"""What the ai service does: it knows prompts, conversations and quotas, and neither an HTTP event nor a provider's interface."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from lambdas.ai import tasks
from lambdas.ai.chain import Answer, NoCompletionError, NotConfiguredError
from lambdas.ai.conversations import (
    ID_LENGTH,
    LIFETIME,
    Conversation,
    ConversationStore,
    Message,
    Summary,
    append_messages,
)
from lambdas.ai.models import (
    AnswerView,
    ModerationView,
    SummaryView,
    TranslationView,
    Usage,
)
from lambdas.ai.providers import Prompt, Turn
from lambdas.ai.quota import Quota
from lambdas.common.clock import SYSTEM_CLOCK, Clock, timestamp
from lambdas.common.logs import Logger
from lambdas.common.problems import FieldError, Problem

T = TypeVar("T")

TIME_LIMIT = 25.0
"""Seconds that a whole call may take (API contract, ai); the gateway waits 29, the function lives 30."""

WRITE_TIME = 2.0
"""Seconds of these that are kept for what is stored once a provider has answered."""

SAVES = 3
"""Tries to add to a conversation; each lost one means that another request's succeeded."""

TITLE_LENGTH = 80
"""Characters of the first question that name a conversation."""


class Models(Protocol):
    """Language models behind one call."""

    def check_configured(self) -> None: ...

    def answer(self, prompt: Prompt, parse: Callable[[str], T], deadline: float) -> Answer[T]: ...


class AiService:
    """Each method is one call of the API. All raise Problem as the API contract says.

    `stage` is the environment's name, for the message that says how to configure a provider.
    """

    def __init__(
        self,
        *,
        models: Models,
        quota: Quota,
        conversations: ConversationStore,
        logger: Logger,
        stage: str,
        clock: Clock = SYSTEM_CLOCK,
        timer: Clock = time.monotonic,
    ) -> None:
        self._models = models
        self._quota = quota
        self._conversations = conversations
        self._logger = logger
        self._stage = stage
        self._clock = clock
        self._timer = timer

    def ask(
        self, user_id: str, question: str, context: str | None, conversation_id: str | None
    ) -> AnswerView:
        started = self._timer()
        conversation = self._conversation(user_id, question, conversation_id)
        prompt = tasks.build_question_prompt(_history(conversation.messages), question, context)

        def keep(answer: Answer[str]) -> None:
            self._keep(user_id, conversation, question, context, answer.value)

        answer = self._answer(
            user_id, prompt, tasks.parse_text, field="question", started=started, keep=keep
        )
        return AnswerView(
            answer=answer.value,
            conversation_id=conversation.conversation_id,
            provider=answer.provider,
            model=answer.completion.model,
            usage=_usage(answer),
            latency_ms=self._since(started),
        )

    def summarize(self, user_id: str, text: str, max_sentences: int) -> SummaryView:
        started = self._timer()
        answer = self._answer(
            user_id,
            tasks.build_summary_prompt(text, max_sentences),
            tasks.parse_text,
            field="text",
            started=started,
        )
        return SummaryView(
            summary=answer.value,
            provider=answer.provider,
            model=answer.completion.model,
            usage=_usage(answer),
            latency_ms=self._since(started),
        )

    def translate(self, user_id: str, text: str, target_language: str) -> TranslationView:
        started = self._timer()
        prompt = tasks.build_translation_prompt(text, target_language)
        answer = self._answer(
            user_id, prompt, tasks.parse_translation, field="text", started=started
        )
        return TranslationView(
            translation=answer.value.translation,
            source_language=answer.value.source_language,
            target_language=target_language,
            provider=answer.provider,
            model=answer.completion.model,
            usage=_usage(answer),
            latency_ms=self._since(started),
        )

    def moderate(self, user_id: str, text: str) -> ModerationView:
        started = self._timer()
        verdict = self._answer(
            user_id,
            tasks.build_moderation_prompt(text),
            tasks.parse_verdict,
            field="text",
            started=started,
        ).value
        return ModerationView(flagged=verdict.flagged, categories=verdict.categories)

    def list_conversations(
        self, user_id: str, limit: int, before: str | None
    ) -> tuple[list[Summary], str | None]:
        """The user's conversations, the newest first, and where the next page starts."""
        return self._conversations.list_page(user_id, limit, before)

    def get_conversation(self, user_id: str, conversation_id: str) -> Conversation:
        found = (
            self._conversations.find(user_id, conversation_id) if _is_id(conversation_id) else None
        )
        if found is None:
            raise _no_conversation()
        return found

    def delete_conversation(self, user_id: str, conversation_id: str) -> None:
        if not (_is_id(conversation_id) and self._conversations.delete(user_id, conversation_id)):
            raise _no_conversation()

    def _conversation(
        self, user_id: str, question: str, conversation_id: str | None
    ) -> Conversation:
        """The conversation to go on with, or one that is about to begin."""
        if conversation_id is not None:
            return self.get_conversation(user_id, conversation_id)
        now = timestamp(self._clock())
        return Conversation(
            conversation_id=self._conversations.new_id(),
            title=" ".join(question.split())[:TITLE_LENGTH],
            message_count=0,
            created_at=now,
            updated_at=now,
            version=0,
            expires_at=0,
            messages=(),
        )

    def _keep(
        self,
        user_id: str,
        conversation: Conversation,
        question: str,
        context: str | None,
        answer: str,
    ) -> None:
        """Adds a question and its answer, after what other requests have added meanwhile."""
        now = timestamp(self._clock())
        messages = (
            Message(role="user", content=question, context=context, created_at=now),
            Message(role="assistant", content=answer, created_at=now),
        )
        current: Conversation | None = conversation
        for _ in range(SAVES):
            if current is None:
                break
            grown = append_messages(current, messages, now, int(self._clock()) + LIFETIME)
            if self._conversations.save(user_id, grown):
                return
            current = self._conversations.find(user_id, conversation.conversation_id)
        detail = "The conversation was deleted, or changed too often, while this was answered: ask again."
        raise Problem.conflict(detail, "conversation_changed")

    def _answer(
        self,
        user_id: str,
        prompt: Prompt,
        parse: Callable[[str], T],
        *,
        field: str,
        started: float,
        keep: Callable[[Answer[T]], None] | None = None,
    ) -> Answer[T]:
        """A model's answer, kept and accounted. Whatever goes wrong before it is kept costs nothing.

        `field` is the body's member that the content rules are about.
        """
        try:
            self._models.check_configured()
            reservation = self._quota.reserve(user_id, prompt.token_bound())
            try:
                answer = self._models.answer(prompt, parse, started + TIME_LIMIT - WRITE_TIME)
                if keep:
                    keep(answer)
            except BaseException:
                self._quota.release(reservation)
                raise
        except NotConfiguredError:
            raise self._not_configured() from None
        except NoCompletionError as error:
            raise _refused(field) if error.refused else _unavailable() from None
        try:
            self._quota.settle(
                reservation, answer.completion.input_tokens, answer.completion.output_tokens
            )
        except (ClientError, BotoCoreError):
            # The answer is there and kept. What was set aside is given back once its time is over.
            self._logger.exception("usage not settled")
        return answer

    def _since(self, started: float) -> int:
        return round((self._timer() - started) * 1000)

    def _not_configured(self) -> Problem:
        command = f"`ops secrets set {self._stage} gemini-api-key` (or openai-api-key)"
        detail = f"No language model is configured here. An operator stores a provider's key with {command}."
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "ai_not_configured", detail)


def _is_id(text: str) -> bool:
    """Whether it can be a conversation's id at all: what cannot is not looked up."""
    return len(text) <= ID_LENGTH and text.isascii()


def _history(messages: tuple[Message, ...]) -> tuple[Turn, ...]:
    """The latest messages that fit, beginning with a question."""
    turns: list[Turn] = []
    size = 0
    for message in reversed(messages[-tasks.HISTORY_MESSAGES :]):
        size += message.size
        if size > tasks.HISTORY_SIZE:
            break
        turn = (
            tasks.build_question_turn(message.content, message.context)
            if message.role == "user"
            else None
        )
        turns.insert(0, turn or Turn("assistant", message.content))
    while turns and turns[0].role != "user":
        turns.pop(0)
    return tuple(turns)


def _usage(answer: Answer[T]) -> Usage:
    return Usage(
        input_tokens=answer.completion.input_tokens, output_tokens=answer.completion.output_tokens
    )


def _no_conversation() -> Problem:
    return Problem.not_found("You have no such conversation.", "conversation_not_found")


def _unavailable() -> Problem:
    detail = "No language model answers at the moment. Try again shortly; this call cost nothing."
    return Problem.unavailable(detail, "ai_unavailable")


def _refused(field: str) -> Problem:
    error = FieldError(field, "was refused by the language models' content rules")
    detail = "The language models do not answer this."
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "content_refused", detail, errors=[error])
