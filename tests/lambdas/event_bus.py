"""A fake of EventBridge."""

import json
from typing import Any

from botocore.exceptions import EndpointConnectionError

UNAVAILABLE = EndpointConnectionError(endpoint_url="https://events")


class FakeEventBridge:
    """Records calls and accepted entries.

    If `failure` is an exception, each call raises it. If `failure` is a mapping from event types to
    error codes, entries of these types fail with the error code of their type. The first call uses
    the first element of `next_failures` instead of `failure`, the second call uses the second, and
    so on.
    """

    def __init__(self, *next_failures: Exception | dict[str, str]) -> None:
        self.calls: list[list[Any]] = []
        self.accepted: list[Any] = []
        self.failure: Exception | dict[str, str] = {}
        self._next_failures = list(next_failures)

    def put_events(self, Entries: list[Any]) -> dict[str, Any]:  # noqa: N803
        self.calls.append(Entries)
        failure = self._next_failures.pop(0) if self._next_failures else self.failure
        if isinstance(failure, Exception):
            raise failure
        self.accepted += [entry for entry in Entries if entry["DetailType"] not in failure]
        codes = [failure.get(entry["DetailType"]) for entry in Entries]
        return {"Entries": [{"ErrorCode": code} if code else {} for code in codes]}

    def types(self) -> list[str]:
        return [entry["DetailType"] for entry in self.accepted]

    def ids(self) -> list[str]:
        return [json.loads(entry["Detail"])["eventId"] for entry in self.accepted]
