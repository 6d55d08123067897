"""Builders and fakes that the functions' tests share."""

import json
from collections.abc import Mapping
from typing import Any

from lambdas.common.caller import CAPABILITIES, Caller
from lambdas.common.signing.keys import Key
from lambdas.common.web.sessions import ActiveSession

NOW = 1_800_000_000.0
REGION = "us-east-1"
Answer = dict[str, Any]


class FakeClock:
    """Stands still until told otherwise."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        # To the microsecond: sums of floats drift, and two steps of a millisecond would show the same time.
        self.now = round(self.now + seconds, 6)


class FakeKeys:
    """A parameter's versions; counts what is read from it."""

    def __init__(self, newest: int = 1) -> None:
        self.newest = newest
        self.reads = 0

    def fetch(self, version: int | None = None) -> Key | None:
        self.reads += 1
        kid = self.newest if version is None else version
        return Key(kid, f"{kid:032d}".encode()) if 0 < kid <= self.newest else None


class FakeSessions:
    """All sessions but the revoked ones are alive."""

    def __init__(self, display_name: str = "Ann") -> None:
        self.revoked: set[str] = set()
        self.display_name = display_name

    def find(self, session_id: str, user_id: str) -> ActiveSession | None:
        return None if session_id in self.revoked else ActiveSession(self.display_name)


def caller(*roles: str, expires_at: float = NOW + 900) -> Caller:
    """A registered user with these roles, an anonymous one without any."""
    capabilities = frozenset() if roles else frozenset(CAPABILITIES)
    return Caller("user-1", "session-1", frozenset(roles), capabilities, int(expires_at))


def rest_event(
    method: str,
    path: str,
    body: object = None,
    *,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    authorizer: Mapping[str, str] | None = None,
    resource: str | None = None,
    source_ip: str = "203.0.113.7",
) -> dict[str, Any]:
    """A REST proxy event as API Gateway sends it; a body that is no text is sent as JSON."""
    all_headers = {
        "User-Agent": "tests",
        **({} if body is None else {"Content-Type": "application/json"}),
        **(headers or {}),
    }
    context: dict[str, Any] = {
        "stage": "local",
        "requestId": "request-1",
        "resourcePath": resource or path,
        "httpMethod": method,
        "identity": {"sourceIp": source_ip, "userAgent": "tests"},
    }
    if authorizer is not None:
        context["authorizer"] = {**authorizer, "principalId": authorizer["sub"]}
    return {
        "resource": resource or "/" + "/".join([*path.split("/")[1:3], "{proxy+}"]),
        "path": path,
        "httpMethod": method,
        "headers": all_headers,
        "multiValueHeaders": {name: [value] for name, value in all_headers.items()},
        "queryStringParameters": dict(query) if query else None,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()}
        if query
        else None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": context,
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
    }


def document(answer: Answer) -> Any:
    """The answer's JSON."""
    return json.loads(answer["body"])


def problem(answer: Answer, status: int) -> Any:
    """The answer's problem document, after checking that it is one of that status."""
    assert answer["statusCode"] == status, answer
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    found = document(answer)
    assert found.keys() >= {"type", "title", "status", "detail", "code", "errors"}
    assert found["status"] == status
    return found


def wrong_fields(found: Any) -> set[str]:
    """The fields that a 422 names."""
    return {error["field"] for error in found["errors"]}
