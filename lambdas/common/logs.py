"""Structured logs on standard output: one JSON object per line, with the correlation id."""

import sys

from aws_lambda_powertools.logging import Logger

from lambdas.common.settings import Settings

__all__ = ["Logger", "create_logger"]


def create_logger(settings: Settings) -> Logger:
    """Creates the function's logger.

    Log only identifiers: route templates, opaque ids, statuses and durations. Never log headers,
    bodies, query strings or URLs: they contain tokens, passwords, codes and tickets.
    """
    return Logger(
        service=settings.powertools_service_name,
        level=settings.log_level,
        stream=sys.stdout,
        utc=True,
        use_rfc3339=True,
        stage=settings.stage,
    )
