"""The migration function. It answers 501; the code behind it is to come with the database's schema."""

from typing import Any

from lambdas.common.http import Event
from lambdas.common.problems import Problem


def handler(_event: Event, _context: object) -> dict[str, Any]:
    """Answers the invoker with a problem document, whose `status` tells success from failure."""
    return Problem.not_implemented().document()
