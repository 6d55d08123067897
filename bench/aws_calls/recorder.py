"""Sends requests, frames and events to the functions, and counts the AWS calls of each.

If several requests call the same route, the Recorder keeps the largest counts.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bench.aws_calls.counter import Counts
from bench.aws_calls.platform import Person, Platform
from lambdas.route_tables import route_tables

PNG = b"\x89PNG\r\n\x1a\n" + bytes(1000)
"""Data with the signature of a PNG. Services check only the signature."""


class Recorder:
    """Calls functions and records the counts, by `METHOD /route`, `frame <action>` or `event
    <name>`.
    """

    def __init__(self, platform: Platform, *, page: int, is_counting: bool) -> None:
        """`page` is the number of items on a page of a list.

        Calls are counted only if `is_counting` is True.
        """
        self.platform = platform
        self.page = page
        self.counts: dict[str, Counts] = {}
        self._is_counting = is_counting
        self._idempotent = {
            f"{route.method} {route.path}"
            for routes in route_tables().values()
            for route in routes
            if route.idempotent
        }

    def call(self, caller: Person | None, route: str, body: object = None, **more: Any) -> Any:
        """Calls a route such as `GET /v1/posts/{postId}`, and returns the JSON of the response.

        Args:
            more: The query parameters (`query`), the access token (`token`), and a value for each
                path parameter of the route, for example `postId`.
        """
        method, path = route.split(" ")
        query, token = more.pop("query", None), more.pop("token", None)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if route in self._idempotent and self._is_counting:
            headers["Idempotency-Key"] = uuid.uuid4().hex
        return self.count(
            route,
            lambda: self.platform.request(
                caller.caller if caller else None,
                method,
                path.format(**more),
                body,
                query=query,
                headers=headers,
            ),
        )

    def frame(self, person: Person, connection: str, action: str, **members: Any) -> None:
        """Sends a WebSocket frame.

        For the actions `connect` and `disconnect`, sends the event of a new or closed connection.
        """
        is_frame = action not in {"connect", "disconnect"}
        body = {"action": action, "requestId": "r", **members} if is_frame else None
        event_type = "MESSAGE" if is_frame else action.upper()
        self.count(
            f"frame {action}",
            lambda: self.platform.frame(person, connection, event_type, body),
        )

    def count(self, name: str, work: Callable[[], Any]) -> Any:
        """Runs `work`, and records the largest value of each count over all calls with this
        name.
        """
        if not self._is_counting:
            return work()
        with self.platform.counter.counting() as counts:
            result = work()
        self.counts.setdefault(name, Counts()).keep_largest(counts)
        return result

    def rename(self, name: str, new: str) -> None:
        """Moves the counts of one name to a new name."""
        if name in self.counts:
            self.counts[new] = self.counts.pop(name)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stops counting in a `with` block, which prepares data."""
        before, self._is_counting = self._is_counting, False
        try:
            yield
        finally:
            self._is_counting = before

    @property
    def limit(self) -> dict[str, str]:
        """The query parameters that limit a list to one page."""
        return {"limit": str(self.page)}

    def upload(self, bucket: str, form: Mapping[str, Any]) -> str:
        """Stores a picture under the key of a presigned POST form. Returns the key."""
        key: str = form["key"]
        fields = form["upload"]["fields"]
        self.platform.s3.put_object(
            Bucket=bucket, Key=key, Body=PNG, ContentType=fields["Content-Type"]
        )
        return key
