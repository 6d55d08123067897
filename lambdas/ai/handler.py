"""The ai service's function: parses requests, calls the logic, answers."""

from collections.abc import Mapping

from lambdas.ai.api_keys import ApiKeys
from lambdas.ai.chain import Chain
from lambdas.ai.circuits import DynamoCircuits
from lambdas.ai.conversations import DynamoConversations
from lambdas.ai.gemini import Gemini
from lambdas.ai.logic import AiService
from lambdas.ai.models import (
    Ask,
    ConversationSummaryView,
    ConversationView,
    Moderate,
    Summarize,
    Translate,
)
from lambdas.ai.openai import OpenAi
from lambdas.ai.quota import DynamoQuota
from lambdas.ai.routes import ROUTES
from lambdas.common.clients import Clients
from lambdas.common.logs import create_logger
from lambdas.common.settings import Settings, read
from lambdas.common.signing.keys import KeyRing, ParameterKeySource
from lambdas.common.validation import validate
from lambdas.common.web.access import Authenticator, from_authorizer
from lambdas.common.web.http import Request, Response
from lambdas.common.web.pagination import Cursors, PageQuery
from lambdas.common.web.router import Operation, Router
from lambdas.common.web.service import entry_point
from lambdas.common.web.sessions import SessionReader


class AiSettings(Settings, frozen=True, kw_only=True):
    """What this function is given. No route of it takes an Idempotency-Key, so it has no table for these."""

    dynamodb_table_sessions: str
    dynamodb_table_conversations: str
    dynamodb_table_usage: str
    cursor_key_parameter: str
    gemini_api_key_parameter: str
    gemini_base_url: str
    gemini_model: str
    gemini_thinking_level: str = ""
    openai_api_key_parameter: str
    openai_base_url: str
    openai_model: str
    openai_reasoning_effort: str = ""
    daily_quota: int
    """Tokens of one user."""


class AiApi:
    """The operations of the route table."""

    def __init__(self, service: AiService, cursors: Cursors) -> None:
        self._service = service
        self._cursors = cursors

    def operations(self) -> dict[str, Operation]:
        return {
            "ask": self.ask,
            "summarize": self.summarize,
            "translate": self.translate,
            "moderate": self.moderate,
            "list_conversations": self.list_conversations,
            "get_conversation": self.get_conversation,
            "delete_conversation": self.delete_conversation,
        }

    def ask(self, request: Request) -> Response:
        body = validate(Ask, request.json)
        return Response(
            body=self._service.ask(
                request.caller.user_id, body.question, body.context, body.conversation_id
            )
        )

    def summarize(self, request: Request) -> Response:
        body = validate(Summarize, request.json)
        return Response(
            body=self._service.summarize(request.caller.user_id, body.text, body.max_sentences)
        )

    def translate(self, request: Request) -> Response:
        body = validate(Translate, request.json)
        return Response(
            body=self._service.translate(request.caller.user_id, body.text, body.target_language)
        )

    def moderate(self, request: Request) -> Response:
        body = validate(Moderate, request.json)
        return Response(body=self._service.moderate(request.caller.user_id, body.text))

    def list_conversations(self, request: Request) -> Response:
        query = validate(PageQuery, request.query, from_text=True)
        user_id = request.caller.user_id
        scope = f"ai-conversations {user_id}"
        found, following = self._service.conversations(
            user_id, query.limit, self._cursors.position(query, scope)
        )
        items = [ConversationSummaryView.of(summary) for summary in found]
        return Response(body=self._cursors.page(items, query, scope, following))

    def get_conversation(self, request: Request) -> Response:
        found = self._service.conversation(
            request.caller.user_id, request.path_parameters["conversationId"]
        )
        return Response(body=ConversationView.of(found))

    def delete_conversation(self, request: Request) -> Response:
        self._service.delete_conversation(
            request.caller.user_id, request.path_parameters["conversationId"]
        )
        return Response.no_content()


def build(environ: Mapping[str, str]) -> Router:
    """The service, wired from the function's environment."""
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
    sessions = SessionReader(clients.dynamodb, settings.dynamodb_table_sessions)
    return Router(
        ROUTES,
        AiApi(service, cursors).operations(),
        authenticator=Authenticator(from_authorizer, sessions),
        logger=logger,
        cors_origins=settings.cors_origins,
    )


handler = entry_point(build)
