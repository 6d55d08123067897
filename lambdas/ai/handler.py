"""The ai function: validates requests, calls the logic and builds the responses."""

from collections.abc import Mapping

from lambdas.ai.api_keys import ApiKeys
from lambdas.ai.chain import Chain
from lambdas.ai.circuits import DynamoCircuits
from lambdas.ai.conversations import DynamoConversations
from lambdas.ai.gemini import Gemini
from lambdas.ai.logic import AiService
from lambdas.ai.models import (
    AnswerView,
    Ask,
    ConversationSummaryView,
    ConversationView,
    Moderate,
    ModerationView,
    Summarize,
    SummaryView,
    Translate,
    TranslationView,
    create_conversation_view,
    create_summary_view,
)
from lambdas.ai.openai import OpenAi
from lambdas.ai.quota import DynamoQuota
from lambdas.ai.routes import ROUTES
from lambdas.common.clients import Clients
from lambdas.common.logs import create_logger
from lambdas.common.settings import read
from lambdas.common.signing.keys import KeyRing, ParameterKeySource
from lambdas.common.validation import validate
from lambdas.common.web.http import Request, Response
from lambdas.common.web.pagination import Cursors, Page, PageQuery
from lambdas.common.web.router import Router
from lambdas.common.web.service import ServiceSettings, create_router, entry_point


class AiSettings(ServiceSettings, frozen=True, kw_only=True):
    dynamodb_table_conversations: str
    dynamodb_table_usage: str
    gemini_api_key_parameter: str
    gemini_base_url: str
    gemini_model: str
    gemini_thinking_level: str = ""
    openai_api_key_parameter: str
    openai_base_url: str
    openai_model: str
    openai_reasoning_effort: str = ""
    daily_quota: int
    """Tokens per user and day."""


class AiApi:
    def __init__(self, service: AiService, cursors: Cursors) -> None:
        self._service = service
        self._cursors = cursors

    def ask(self, request: Request) -> Response[AnswerView]:
        """Answers a question, and adds the question and the answer to a conversation.

        Without `conversationId`, a new conversation starts. Conversations are kept for 30 days.
        """
        body = validate(Ask, request.json)
        answer = self._service.ask(
            request.caller.user_id,
            body.question,
            body.context,
            body.conversation_id,
            request.creation,
        )
        return Response(body=answer)

    def summarize(self, request: Request) -> Response[SummaryView]:
        """Summarizes a text in at most `maxSentences` sentences."""
        body = validate(Summarize, request.json)
        user_id = request.caller.user_id
        return Response(body=self._service.summarize(user_id, body.text, body.max_sentences))

    def translate(self, request: Request) -> Response[TranslationView]:
        """Translates a text."""
        body = validate(Translate, request.json)
        user_id = request.caller.user_id
        return Response(body=self._service.translate(user_id, body.text, body.target_language))

    def moderate(self, request: Request) -> Response[ModerationView]:
        """Reports whether a text has unacceptable content, by category."""
        body = validate(Moderate, request.json)
        return Response(body=self._service.moderate(request.caller.user_id, body.text))

    def list_conversations(self, request: Request) -> Response[Page[ConversationSummaryView]]:
        """Lists the caller's conversations, newest first."""
        query = validate(PageQuery, request.query, from_text=True)
        user_id = request.caller.user_id
        scope = f"ai-conversations {user_id}"
        before = self._cursors.position(query, scope)
        summaries, position = self._service.list_conversations(user_id, query.limit, before)
        items = [create_summary_view(summary) for summary in summaries]
        return Response(body=self._cursors.page(items, query, scope, position))

    def get_conversation(self, request: Request) -> Response[ConversationView]:
        """Returns one of the caller's conversations with its messages."""
        conversation = self._service.get_conversation(
            request.caller.user_id, request.path_parameters["conversationId"]
        )
        return Response(body=create_conversation_view(conversation))

    def delete_conversation(self, request: Request) -> Response[None]:
        """Deletes one of the caller's conversations."""
        self._service.delete_conversation(
            request.caller.user_id, request.path_parameters["conversationId"]
        )
        return Response.no_content()


def build(environ: Mapping[str, str]) -> Router:
    settings = read(AiSettings, environ)
    clients = Clients(settings.region)
    logger = create_logger(settings)
    providers = (
        Gemini(settings.gemini_base_url, settings.gemini_model, settings.gemini_thinking_level),
        OpenAi(settings.openai_base_url, settings.openai_model, settings.openai_reasoning_effort),
    )
    parameters = {
        "gemini": settings.gemini_api_key_parameter,
        "openai": settings.openai_api_key_parameter,
    }
    circuits = DynamoCircuits(clients.dynamodb, settings.dynamodb_table_usage)
    service = AiService(
        models=Chain(providers, ApiKeys(clients.ssm, parameters), circuits, logger),
        quota=DynamoQuota(clients.dynamodb, settings.dynamodb_table_usage, settings.daily_quota),
        conversations=DynamoConversations(clients.dynamodb, settings.dynamodb_table_conversations),
        logger=logger,
        stage=settings.stage,
    )
    cursors = Cursors(KeyRing(ParameterKeySource(clients.ssm, settings.cursor_key_parameter)))
    return create_router(settings, clients, ROUTES, AiApi(service, cursors), logger)


handler = entry_point(build)
