"""The ai service: questions to language models, and conversations."""

from __future__ import annotations

from constructs import Construct

from modules.services.service import Service, ServicePlatform
from modules.services.statements import table_access


class Ai(Service):
    """/v1/ai. Outside the VPC, since it calls only providers on the internet.

    Args:
        platform: What all services share.
    """

    def __init__(self, scope: Construct, id_: str, *, platform: ServicePlatform) -> None:
        conversations, usage = platform.tables["ai-conversations"], platform.tables["ai-usage"]
        gemini, openai = platform.parameters.gemini_api_key, platform.parameters.openai_api_key
        ai = platform.environment.ai
        super().__init__(
            scope,
            id_,
            platform=platform,
            service="ai",
            path="ai",
            description="Answers, summaries, translations and moderation by language models",
            publishes=False,
            repeatable=False,
            variables={
                "DYNAMODB_TABLE_CONVERSATIONS": conversations.name,
                "DYNAMODB_TABLE_USAGE": usage.name,
                "GEMINI_API_KEY_PARAMETER": gemini.name,
                "GEMINI_BASE_URL": ai.gemini.base_url,
                "GEMINI_MODEL": ai.gemini.model,
                "GEMINI_THINKING_LEVEL": ai.gemini.thinking_level or "",
                "OPENAI_API_KEY_PARAMETER": openai.name,
                "OPENAI_BASE_URL": ai.openai.base_url,
                "OPENAI_MODEL": ai.openai.model,
                "OPENAI_REASONING_EFFORT": ai.openai.reasoning_effort or "",
                "DAILY_QUOTA": str(ai.daily_quota),
            },
            secrets=[gemini, openai],
            statements=[
                # Query: one user's conversations.
                table_access(
                    "Conversations", conversations, "GetItem", "Query", "PutItem", "DeleteItem"
                ),
                # The daily quota, and the providers' circuit breakers.
                table_access("Usage", usage, "GetItem", "UpdateItem"),
            ],
        )
