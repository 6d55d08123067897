"""Builders and fakes that the tests of several functions use."""

import json
from collections.abc import Mapping
from typing import Any

from lambdas.common.caller import CAPABILITIES, Caller
from lambdas.common.signing.keys import Key
from lambdas.common.web.sessions import ActiveSession

NOW = 1_800_000_000.0
REGION = "us-east-1"
LambdaResponse = dict[str, Any]


class FakeClock:
    """A clock whose time changes only when `advance` is called."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        # Without rounding, sums of floats drift, and two times 1 ms apart could be formatted as the
        # same time.
        self.now = round(self.now + seconds, 6)


class FakeKeys:
    """The versions of a key parameter. Counts the reads."""

    def __init__(self, newest: int = 1) -> None:
        self.newest = newest
        self.reads = 0

    def fetch(self, version: int | None = None) -> Key | None:
        self.reads += 1
        kid = self.newest if version is None else version
        return Key(kid, f"{kid:032d}".encode()) if 0 < kid <= self.newest else None


class FakeSessions:
    """All sessions are active except the revoked ones."""

    def __init__(self, display_name: str = "Ann") -> None:
        self.revoked: set[str] = set()
        self.display_name = display_name

    def find(self, session_id: str, user_id: str) -> ActiveSession | None:
        return None if session_id in self.revoked else ActiveSession(self.display_name)


def caller(*roles: str, expires_at: float = NOW + 900) -> Caller:
    """Returns a registered caller with these roles. Without roles, the caller is anonymous."""
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
    """Returns a REST proxy event of API Gateway. A body that is not a string becomes JSON."""
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


def document(response: LambdaResponse) -> Any:
    """Returns the JSON of a response."""
    return json.loads(response["body"])


def problem(response: LambdaResponse, status: int, code: str | None = None) -> Any:
    """Asserts that a response is a problem with this status and code, and returns the document."""
    assert response["statusCode"] == status, response
    assert response["headers"]["Content-Type"] == "application/problem+json"
    details = document(response)
    assert details.keys() >= {"type", "title", "status", "detail", "code", "errors"}
    assert details["status"] == status
    assert code in {None, details["code"]}
    return details


def wrong_fields(details: Any) -> set[str]:
    """Returns the fields that a 422 document names."""
    return {error["field"] for error in details["errors"]}
