"""The routes of the ai service, and their access rules."""

from lambdas.ai.models import Ask, Moderate, Summarize, Translate
from lambdas.common.caller import USER
from lambdas.common.web.access import role
from lambdas.common.web.pagination import PageQuery
from lambdas.common.web.router import Route

_USER = role(USER)

ROUTES = (
    Route("POST", "/v1/ai/ask", _USER, "ask", body=Ask, idempotent=True, refusals=(404,)),
    Route("POST", "/v1/ai/summarize", _USER, "summarize", body=Summarize),
    Route("POST", "/v1/ai/translate", _USER, "translate", body=Translate),
    Route("POST", "/v1/ai/moderate", _USER, "moderate", body=Moderate),
    Route("GET", "/v1/ai/conversations", _USER, "list_conversations", query=PageQuery),
    Route("GET", "/v1/ai/conversations/{conversationId}", _USER, "get_conversation"),
    Route("DELETE", "/v1/ai/conversations/{conversationId}", _USER, "delete_conversation", 204),
)
