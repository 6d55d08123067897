"""Optimistic concurrency: a resource's version as ETag, checked by If-Match on changes."""

from msgspec import Struct

from lambdas.common.problems import Problem
from lambdas.common.web.http import Request


def etag(version: int) -> str:
    """Returns the strong entity tag of a version (RFC 9110, 8.8.3)."""
    return f'"{version}"'


class IfMatch(Struct, frozen=True):
    """The versions that a request accepts; None accepts all.

    The check only gives an early, clear error. The write must also be conditional on the version.
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
