"""The routes of the ai service, and their access rules."""

from lambdas.common.caller import USER
from lambdas.common.web.access import role
from lambdas.common.web.router import Route

_USER = role(USER)

ROUTES = (
    Route("POST", "/v1/ai/ask", _USER, "ask", idempotent=True),
    Route("POST", "/v1/ai/summarize", _USER, "summarize"),
    Route("POST", "/v1/ai/translate", _USER, "translate"),
    Route("POST", "/v1/ai/moderate", _USER, "moderate"),
    Route("GET", "/v1/ai/conversations", _USER, "list_conversations"),
    Route("GET", "/v1/ai/conversations/{conversationId}", _USER, "get_conversation"),
    Route("DELETE", "/v1/ai/conversations/{conversationId}", _USER, "delete_conversation"),
)
