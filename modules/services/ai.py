"""The resources of the ai service, which sends questions to language models and stores
conversations.
"""

from __future__ import annotations

from constructs import Construct

from modules.base.access import table_access
from modules.secrets import parameter_access
from modules.services.service import Service, ServicePlatform


class Ai(Service):
    """The service at /v1/ai. It is outside the VPC, since it calls providers on the internet.

    Args:
        platform: The settings and resources that all services share.
    """

    def __init__(self, scope: Construct, id_: str, *, platform: ServicePlatform) -> None:
        tables, parameters = platform.tables, platform.parameters
        ai = platform.environment.ai
        super().__init__(
            scope,
            id_,
            platform=platform,
            service="ai",
            path="ai",
            description="Answers, summaries, translations and moderation by language models",
            publishes=False,
            variables={
                "GEMINI_BASE_URL": ai.gemini.base_url,
                "GEMINI_MODEL": ai.gemini.model,
                "GEMINI_THINKING_LEVEL": ai.gemini.thinking_level or "",
                "OPENAI_BASE_URL": ai.openai.base_url,
                "OPENAI_MODEL": ai.openai.model,
                "OPENAI_REASONING_EFFORT": ai.openai.reasoning_effort or "",
                "DAILY_QUOTA": str(ai.daily_quota),
            },
            access=[
                # Query lists the conversations of one user.
                table_access(
                    tables["ai-conversations"], "GetItem", "Query", "PutItem", "DeleteItem"
                ),
                # The table contains the users' daily quotas and the providers' circuit breakers.
                table_access(tables["ai-usage"], "GetItem", "UpdateItem"),
                parameter_access(parameters.gemini_api_key),
                parameter_access(parameters.openai_api_key),
            ],
        )
