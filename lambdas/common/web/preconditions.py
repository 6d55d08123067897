"""Optimistic concurrency: a resource's version as ETag, checked by If-Match on changes."""

from http import HTTPStatus
from typing import Any

from msgspec import Struct

from lambdas.common.problems import Problem
from lambdas.common.web.http import Request, Response


def etag(version: int) -> str:
    """Returns the strong entity tag of a version (RFC 9110, 8.8.3)."""
    return f'"{version}"'


def versioned(body: Any, version: int, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Returns a response with the version of its resource as ETag."""
    return Response(status, body, {"ETag": etag(version)})


class IfMatch(Struct, frozen=True):
    """The versions that a request accepts; None accepts all.

    The check only reports the conflict early. The write must also be conditional on the version.
    """

    tags: frozenset[str] | None = None

    @classmethod
    def of(cls, request: Request) -> "IfMatch":
        header = request.header("If-Match")
        if header is None or header.strip() == "*":
            return cls()
        return cls(frozenset(tag.strip() for tag in header.split(",")))

    def check(self, version: int) -> None:
        """Raises Problem 412 unless `version` is accepted, as a quoted tag or a bare number."""
        if self.tags is not None and not self.tags & {etag(version), str(version)}:
            raise Problem.stale()
