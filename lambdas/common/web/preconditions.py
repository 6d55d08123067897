"""Optimistic concurrency: responses have an ETag, and operations check If-Match before changes."""

import time
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import ParamSpec, TypeVar

from msgspec import Struct

from lambdas.common.problems import Problem
from lambdas.common.storage.retries import Sleep, attempts
from lambdas.common.web.http import Request, Response


def etag(version: int) -> str:
    """Returns the strong entity tag of a version (RFC 9110, 8.8.3)."""
    return f'"{version}"'


P = ParamSpec("P")
T = TypeVar("T")


class Versioned(Response[T]):
    """A response with the version of its resource as ETag."""

    def __init__(self, body: T, version: int, status: HTTPStatus = HTTPStatus.OK) -> None:
        super().__init__(status, body, {"ETag": etag(version)})


def repeat_if_changed(
    changed: type[Exception], sleep: Sleep = time.sleep
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Returns a decorator that repeats an operation if another request changed its resource.

    The operation must read, check and write the resource, and must raise `changed` if another
    request changed it after the read. If the request has If-Match, the repeated operation raises
    Problem 412. The decorator raises Problem 503 after the last attempt.
    """

    def decorate(operation: Callable[P, T]) -> Callable[P, T]:
        @wraps(operation)
        def repeated(*args: P.args, **kwargs: P.kwargs) -> T:
            for _ in attempts(sleep):
                try:
                    return operation(*args, **kwargs)
                except changed:
                    continue
            raise AssertionError("unreachable: attempts() raises after the last attempt")

        return repeated

    return decorate


class IfMatch(Struct, frozen=True):
    """The versions of a resource that a request accepts. Without `tags`, it accepts every version.

    `check` only detects a conflict early. The write must also be conditional on the version.
    """

    tags: frozenset[str] | None = None

    @classmethod
    def of(cls, request: Request) -> "IfMatch":
        header = request.header("If-Match")
        if header is None or header.strip() == "*":
            return cls()
        return cls(frozenset(tag.strip() for tag in header.split(",")))

    def check(self, version: int) -> None:
        """Raises Problem 412 unless the request accepts this version.

        The tags in `If-Match` may lack their quotes.
        """
        if self.tags is not None and not self.tags & {etag(version), str(version)}:
            raise Problem.stale()
