"""An HTTP client that checks every response against the description of the API."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3

from tests.api_description import ApiDescription

_NO_CONCURRENCY = b"ConcurrentInvocationLimitExceeded"
"""A part of Lambda's error when a function has no concurrency left.

The embedded API Gateway returns this error unchanged, so it does not match the API's description.
"""

PROBLEM = "application/problem+json"
PROBLEM_MEMBERS = {"type", "title", "status", "detail", "code", "errors"}


@dataclass(frozen=True)
class ApiResponse:
    """An HTTP response."""

    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes

    @functools.cached_property
    def json(self) -> Any:
        return json.loads(self.body)

    def expect(self, status: int) -> Any:
        """Checks the status of the response. Returns the JSON body, or None if there is no body."""
        assert self.status == status, (self.status, self.body)
        return self.json if self.body else None

    def expect_problem(self, status: int, code: str | None = None) -> Any:
        """Returns the body, which must be a problem document (RFC 9457) with CORS headers."""
        document = self.expect(status)
        assert self.headers["Content-Type"] == PROBLEM
        assert document.keys() >= PROBLEM_MEMBERS
        assert document["status"] == status
        assert self.headers["Access-Control-Allow-Origin"] == "*"
        assert code is None or document["code"] == code, document
        return document

    def list_invalid_fields(self) -> set[str]:
        """Returns the invalid fields that a 422 response lists."""
        return {error["field"] for error in self.expect_problem(422)["errors"]}


class Api:
    """A client of an HTTP API with a base address.

    If `is_described`, each response must match docs/api/openapi.json.
    """

    def __init__(self, address: str, *, connections: int = 8, is_described: bool = True) -> None:
        self.address = address
        self._description = ApiDescription.load() if is_described else None
        self._pool = urllib3.PoolManager(retries=False, timeout=30.0, maxsize=connections)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] = {},
    ) -> ApiResponse:
        """Sends a request. Sends a bytes body unchanged and any other body as JSON."""
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            sent["Content-Type"] = "application/json"
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        response = self._pool.request(
            method,
            self.address + path,
            body=content,
            headers={**sent, **headers},
            redirect=False,
            preload_content=True,
        )
        if self._description and _NO_CONCURRENCY not in response.data:
            received = (response.status, response.headers, response.data)
            defects = self._description.find_defects(method, path, *received)
            assert not defects, (defects, response.data)
        return ApiResponse(response.status, response.headers, response.data)

    def get(self, path: str, **options: Any) -> ApiResponse:
        return self.call("GET", path, **options)

    def post(self, path: str, body: object = None, **options: Any) -> ApiResponse:
        return self.call("POST", path, body, **options)

    def delete(self, path: str, **options: Any) -> ApiResponse:
        return self.call("DELETE", path, **options)

    def post_form(self, signed: Mapping[str, Any], content: bytes) -> ApiResponse:
        """Posts a file with a form that the platform has signed, as a browser does."""
        fields = {**signed["fields"], "file": ("file", content)}
        response = self._pool.request("POST", signed["url"], fields=fields, redirect=False)
        return ApiResponse(response.status, response.headers, response.data)

    def upload(
        self, path: str, content: bytes, *, token: str, content_type: str = "image/png"
    ) -> str:
        """Requests a signed form from a service, uploads the content, and returns its key."""
        body = {"contentType": content_type, "contentLength": len(content)}
        signed = self.post(path, body, token=token).expect(201)
        self.post_form(signed["upload"], content).expect(204)
        return str(signed["key"])
