"""The routes of the ai service, and their access rules."""

from lambdas.ai.models import Ask, Moderate, Summarize, Translate
from lambdas.common.caller import USER
from lambdas.common.web.access import role
from lambdas.common.web.pagination import PageQuery
from lambdas.common.web.router import Route

_USER = role(USER)

_MODEL = {
    "content_refused": 422,
    "ai_quota_exceeded": 429,
    "ai_not_configured": 503,
    "ai_unavailable": 503,
}
"""The errors of all routes that use a language model."""

ROUTES = (
    Route(
        "POST",
        "/v1/ai/ask",
        _USER,
        "ask",
        body=Ask,
        idempotent=True,
        error_codes=_MODEL | {"conversation_not_found": 404, "conversation_changed": 409},
    ),
    Route("POST", "/v1/ai/summarize", _USER, "summarize", body=Summarize, error_codes=_MODEL),
    Route("POST", "/v1/ai/translate", _USER, "translate", body=Translate, error_codes=_MODEL),
    Route("POST", "/v1/ai/moderate", _USER, "moderate", body=Moderate, error_codes=_MODEL),
    Route("GET", "/v1/ai/conversations", _USER, "list_conversations", query=PageQuery),
    Route(
        "GET",
        "/v1/ai/conversations/{conversationId}",
        _USER,
        "get_conversation",
        error_codes={"conversation_not_found": 404},
    ),
    Route(
        "DELETE",
        "/v1/ai/conversations/{conversationId}",
        _USER,
        "delete_conversation",
        204,
        error_codes={"conversation_not_found": 404},
    ),
)
