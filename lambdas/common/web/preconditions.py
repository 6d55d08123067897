"""Optimistic concurrency: a resource's version as its ETag, and If-Match on the requests that change it."""

from msgspec import Struct

from lambdas.common.problems import Problem
from lambdas.common.web.http import Request


def etag(version: int) -> str:
    """The strong entity tag of a version (RFC 9110, 8.8.3)."""
    return f'"{version}"'


class IfMatch(Struct, frozen=True):
    """The versions a request accepts; None is any.

    The check gives the early, clear answer; the write itself must still be conditional on the version that was checked.
    """

    tags: frozenset[str] | None = None

    @classmethod
    def of(cls, request: Request) -> "IfMatch":
        header = request.header("If-Match")
        if header is None or header.strip() == "*":
            return cls()
        return cls(frozenset(tag.strip() for tag in header.split(",")))

    def check(self, version: int) -> None:
        """Raises Problem 412 unless `version` is accepted. The bare number is taken as well as the quoted tag."""
        if self.tags is not None and not self.tags & {etag(version), str(version)}:
            raise Problem.stale()
