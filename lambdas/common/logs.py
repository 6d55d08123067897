"""Structured logs on standard output: one JSON object per line, with the correlation id of the request."""

import sys

from aws_lambda_powertools.logging import Logger

from lambdas.common.settings import Settings

__all__ = ["Logger", "create_logger"]


def create_logger(settings: Settings) -> Logger:
    """The function's logger.

    It is written with what identifies things (route templates, opaque ids, statuses, durations) and never with headers,
    bodies, queries or addresses: those hold tokens, passwords, codes and tickets.
    """
    return Logger(
        service=settings.powertools_service_name,
        level=settings.log_level,
        stream=sys.stdout,
        utc=True,
        use_rfc3339=True,
        stage=settings.stage,
    )
