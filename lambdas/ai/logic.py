"""The logic of the ai service: prompts, conversations and quotas."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from msgspec import structs

from lambdas.ai import tasks
from lambdas.ai.chain import NoCompletionError, NotConfiguredError, Result
from lambdas.ai.conversations import (
    LIFETIME,
    Conversation,
    ConversationStore,
    Message,
    Summary,
    append_messages,
    conversation_id_of,
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
from lambdas.common.web.http import Creation

T = TypeVar("T")

TIME_LIMIT = 25.0
"""Maximum seconds of a whole request (docs/api/ai.md).

API Gateway waits 29 s for a response. The function's timeout is 30 s.
"""

WRITE_TIME = 2.0
"""Seconds of TIME_LIMIT reserved for storing the completion."""

SAVE_ATTEMPTS = 10
"""Maximum attempts to save a conversation. An attempt fails if another request has just changed
it.
"""

TITLE_LENGTH = 80
"""Maximum characters of a conversation's title, which is the start of the first question."""


class Models(Protocol):
    """The interface of `chain.Chain`, which calls language models."""

    def check_configured(self) -> None: ...

    def complete(self, prompt: Prompt, parse: Callable[[str], T], deadline: float) -> Result[T]: ...


class AiService:
    """The operations of the ai API (docs/api/ai.md). Methods raise Problem.

    `stage` is the environment's name. The error message about missing API keys contains it.
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
        self,
        user_id: str,
        question: str,
        context: str | None,
        conversation_id: str | None,
        creation: Creation,
    ) -> AnswerView:
        """Answers a question, and stores the question and the answer in the conversation.

        If an earlier attempt of the same request stored an answer, the new answer replaces it.
        """
        started = self._timer()
        conversation = self._get_or_create(user_id, question, conversation_id, creation)
        history = _history(conversation.without_request(creation.id))
        prompt = tasks.build_question_prompt(history, question, context)

        def store(result: Result[str]) -> None:
            asked = Message(
                role="user",
                content=question,
                context=context,
                created_at=timestamp(self._clock()),
                request_id=creation.id,
            )
            answer = structs.replace(asked, role="assistant", content=result.value, context=None)
            self._store(user_id, conversation, asked, answer)

        result = self._complete(
            user_id, prompt, tasks.parse_text, field="question", started=started, store=store
        )
        return AnswerView(
            answer=result.value,
            conversation_id=conversation.conversation_id,
            **self._details(result, started),
        )

    def summarize(self, user_id: str, text: str, max_sentences: int) -> SummaryView:
        started = self._timer()
        prompt = tasks.build_summary_prompt(text, max_sentences)
        result = self._complete(user_id, prompt, tasks.parse_text, field="text", started=started)
        return SummaryView(summary=result.value, **self._details(result, started))

    def translate(self, user_id: str, text: str, target_language: str) -> TranslationView:
        started = self._timer()
        prompt = tasks.build_translation_prompt(text, target_language)
        result = self._complete(
            user_id, prompt, tasks.parse_translation, field="text", started=started
        )
        return TranslationView(
            translation=result.value.translation,
            source_language=result.value.source_language,
            target_language=target_language,
            **self._details(result, started),
        )

    def moderate(self, user_id: str, text: str) -> ModerationView:
        prompt = tasks.build_moderation_prompt(text)
        verdict = self._complete(
            user_id, prompt, tasks.parse_verdict, field="text", started=self._timer()
        ).value
        return ModerationView(flagged=verdict.flagged, categories=verdict.categories)

    def list_conversations(
        self, user_id: str, limit: int, before: str | None
    ) -> tuple[list[Summary], str | None]:
        """Returns a page of conversations, newest first, and the position of the next page."""
        return self._conversations.list_page(user_id, limit, before)

    def get_conversation(self, user_id: str, conversation_id: str) -> Conversation:
        conversation = self._conversations.find(user_id, conversation_id)
        if conversation is None:
            raise _conversation_not_found()
        return conversation

    def delete_conversation(self, user_id: str, conversation_id: str) -> None:
        if not self._conversations.delete(user_id, conversation_id):
            raise _conversation_not_found()

    def _get_or_create(
        self, user_id: str, question: str, conversation_id: str | None, creation: Creation
    ) -> Conversation:
        """Returns the existing conversation, or a new one that is not stored yet."""
        if conversation_id is not None:
            return self.get_conversation(user_id, conversation_id)
        conversation_id = conversation_id_of(creation)
        if creation.may_exist and (existing := self._conversations.find(user_id, conversation_id)):
            return existing
        now = timestamp(self._clock())
        return Conversation(
            conversation_id=conversation_id,
            title=" ".join(question.split())[:TITLE_LENGTH],
            message_count=0,
            created_at=now,
            updated_at=now,
            version=0,
            expires_at=0,
            messages=(),
        )

    def _store(
        self, user_id: str, conversation: Conversation, question: Message, answer: Message
    ) -> None:
        """Appends a question and its answer. Retries after concurrent changes."""
        current: Conversation | None = conversation
        for _ in range(SAVE_ATTEMPTS):
            if current is None:
                break
            expires_at = int(self._clock()) + LIFETIME
            changed = append_messages(current, (question, answer), answer.created_at, expires_at)
            if self._conversations.save(user_id, changed):
                return
            current = self._conversations.find(user_id, conversation.conversation_id)
        detail = (
            "Other requests deleted or changed the conversation during this call. Repeat the call."
        )
        raise Problem.conflict(detail, "conversation_changed")

    def _complete(
        self,
        user_id: str,
        prompt: Prompt,
        parse: Callable[[str], T],
        *,
        field: str,
        started: float,
        store: Callable[[Result[T]], None] | None = None,
    ) -> Result[T]:
        """Returns a completion, and counts its tokens against the user's daily quota.

        `store` stores the completion. If the call of the models or `store` fails, no tokens are
        counted. If the models refuse the content, raises Problem 422. `field` is the field of the
        request body that the Problem names.
        """
        try:
            self._models.check_configured()
            reservation = self._quota.reserve(user_id, prompt.token_bound())
            try:
                result = self._models.complete(prompt, parse, started + TIME_LIMIT - WRITE_TIME)
                if store:
                    store(result)
            except BaseException:
                self._quota.release(reservation)
                raise
        except NotConfiguredError:
            raise self._not_configured() from None
        except NoCompletionError as error:
            raise _refused(field) if error.refused else _unavailable() from None
        try:
            usage = result.completion
            self._quota.settle(reservation, usage.input_tokens, usage.output_tokens)
        except (ClientError, BotoCoreError):
            # The completion is already stored, so the request succeeds although its tokens could
            # not be recorded. The reservation expires after `quota.LEASE_SECONDS` seconds.
            self._logger.exception("recording the used tokens failed")
        return result

    def _details(self, result: Result[T], started: float) -> dict[str, Any]:
        """Returns the fields of `models.ModelDetails` for a response."""
        completion = result.completion
        return {
            "provider": result.provider,
            "model": completion.model,
            "usage": Usage(
                input_tokens=completion.input_tokens, output_tokens=completion.output_tokens
            ),
            "latency_ms": round((self._timer() - started) * 1000),
        }

    def _not_configured(self) -> Problem:
        detail = (
            "No language model is configured. An operator must store an API key with "
            f"`ops secrets set {self._stage} gemini-api-key` (or openai-api-key)."
        )
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "ai_not_configured", detail)


def _history(messages: tuple[Message, ...]) -> tuple[Turn, ...]:
    """Returns the latest messages, up to the limits in tasks.py.

    Leaves out the oldest of them if necessary, so that the first returned message is a question.
    """
    turns: list[Turn] = []
    size = 0
    for message in reversed(messages[-tasks.HISTORY_MESSAGES :]):
        size += message.size
        if size > tasks.HISTORY_SIZE:
            break
        if message.role == "user":
            turns.insert(0, tasks.build_question_turn(message.content, message.context))
        else:
            turns.insert(0, Turn("assistant", message.content))
    while turns and turns[0].role != "user":
        turns.pop(0)
    return tuple(turns)


def _conversation_not_found() -> Problem:
    return Problem.not_found("You have no conversation with this id.", "conversation_not_found")


def _unavailable() -> Problem:
    detail = "No language model is available. Try again shortly. This call used no tokens."
    return Problem.unavailable(detail, "ai_unavailable")


def _refused(field: str) -> Problem:
    error = FieldError(field, "violates the language models' content rules")
    detail = "The language models refuse to process this content."
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "content_refused", detail, errors=[error])
