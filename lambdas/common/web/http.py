"""HTTP requests and responses of an API Gateway REST API's Lambda proxy integration."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from email.message import Message
from functools import cached_property
from http import HTTPStatus
from typing import Any, Generic, TypeVar
from urllib.parse import unquote

import msgspec

from lambdas.common.caller import Caller
from lambdas.common.clock import SYSTEM_CLOCK, new_id
from lambdas.common.problems import Problem

Event = Mapping[str, Any]
T = TypeVar("T")

BODY_LIMIT = 1024 * 1024
"""Maximum bytes of a request body (docs/api/README.md, Errors: 413)."""

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class AlreadyCreatedError(Exception):
    """A resource with the id of a `Creation` exists already."""


class Creation(msgspec.Struct, frozen=True):
    """The id for the resource that a request creates."""

    id: str
    may_exist: bool = False
    """True if an earlier attempt of the request failed or crashed. That attempt may have created
    the resource, or may still create it: DynamoDB can complete a write after the Lambda function
    that sent it has given up."""
    started_at: int = 0
    """The time of the first attempt in milliseconds since the epoch."""

    def find_or_create(self, find: Callable[[str], T], create: Callable[[str], T]) -> T:
        """Returns the resource of an earlier attempt, or creates it.

        Args:
            find: Returns the resource with this id. Raises Problem 404 if it does not exist.
            create: Creates a resource with this id. Raises AlreadyCreatedError if it exists.
        """
        if self.may_exist:
            try:
                return find(self.id)
            except Problem as problem:
                if problem.status != HTTPStatus.NOT_FOUND:
                    raise
        try:
            return create(self.id)
        except AlreadyCreatedError:
            return find(self.id)


class Request:
    """An HTTP request. Parses and validates each part only when the part is first read."""

    def __init__(self, event: Event) -> None:
        self._event = event
        context = event.get("requestContext") or {}
        self.method: str = event["httpMethod"].upper()
        self.id: str | None = context.get("requestId")
        """API Gateway's id of the request. Its access log contains the same id."""
        self.source_ip: str = (context.get("identity") or {}).get("sourceIp", "")
        self.authorizer: Mapping[str, str] = context.get("authorizer") or {}
        self.route = ""
        """The template of the matched route, set by the router. Logged instead of the path."""
        self.problem: str | None = None
        """The code of the problem that the response reports, set by the router. Logged."""
        self.path_parameters: Mapping[str, str] = {}
        self.authenticated: Caller | None = None
        self.anonymous = False
        """True if logs must omit the caller, who may be an anonymous author. The router sets this
        from `Route.anonymous`. An operation sets it to False if the author is not anonymous."""
        self.creation = Creation(new_id(), started_at=int(SYSTEM_CLOCK() * 1000))
        """The id for the resource to create. All attempts with one Idempotency-Key share the id."""

    @property
    def caller(self) -> Caller:
        """The authenticated caller. Must not be read on a public route."""
        assert self.authenticated is not None, "a public route has no caller"
        return self.authenticated

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The path's percent-decoded segments, without the base path of a custom domain."""
        path: str = self._event["path"]
        # The resource is API Gateway's template, such as `/v1/auth/{proxy+}`. A custom domain's
        # base path precedes the template's literal prefix.
        start = path.find((self._event.get("resource") or "").partition("{")[0].rstrip("/"))
        raw = path[max(start, 0) :].strip("/").split("/")
        try:
            return tuple(unquote(segment, errors="strict") for segment in raw)
        except UnicodeDecodeError:
            raise Problem.bad_request("The path is not percent-encoded UTF-8.") from None

    @cached_property
    def _headers(self) -> dict[str, list[str]]:
        """The values of each header, by lower-case name."""
        multi: Mapping[str, list[str]] = self._event.get("multiValueHeaders") or {
            name: [value] for name, value in (self._event.get("headers") or {}).items()
        }
        headers: dict[str, list[str]] = {}
        for name, values in multi.items():
            headers.setdefault(name.lower(), []).extend(values)
        return headers

    def header(self, name: str) -> str | None:
        """Returns a header's value, or None. Raises Problem 400 if it has different values."""
        values = set(self._headers.get(name.lower(), ()))
        if len(values) > 1:
            raise Problem.bad_request(f"The header {name} has different values. Send only one.")
        return values.pop() if values else None

    def first_header(self, name: str) -> str:
        """Returns a header's first value, or "". Unlike `header`, never raises."""
        return next(iter(self._headers.get(name.lower(), ())), "")

    @cached_property
    def query(self) -> dict[str, str]:
        """Query parameters. Raises Problem 400 if one has several different values."""
        multi: Mapping[str, list[str]] = self._event.get("multiValueQueryStringParameters") or {
            name: [value]
            for name, value in (self._event.get("queryStringParameters") or {}).items()
        }
        for name, values in multi.items():
            if len(set(values)) > 1:
                raise Problem.bad_request(
                    f"The query parameter {name} has different values. Send only one."
                )
        return {name: values[0] for name, values in multi.items()}

    @cached_property
    def correlation_id(self) -> str:
        """The caller's X-Correlation-Id if it is safe for logs and headers, else a new one."""
        given = self.first_header("X-Correlation-Id")
        return given if _CORRELATION_ID.fullmatch(given) else new_id()

    @cached_property
    def body(self) -> bytes:
        """The body's bytes. Raises Problem 400 (invalid base64) or 413 (too large)."""
        text: str = self._event.get("body") or ""
        if self._event.get("isBase64Encoded"):
            try:
                body = base64.b64decode(text, validate=True)
            except binascii.Error:
                raise Problem.bad_request("The body is not valid base64.") from None
        else:
            body = text.encode(errors="surrogatepass")
        if len(body) > BODY_LIMIT:
            raise Problem.too_large(BODY_LIMIT)
        return body

    @cached_property
    def json(self) -> dict[str, Any]:
        """The body as a JSON object, empty if there is no body.

        Raises Problem 413, 415 (not application/json in UTF-8) or 400 (not a JSON object).
        """
        if not self.body:
            return {}
        if not _is_json(self.header("Content-Type")):
            raise Problem.unsupported_media_type()
        try:
            value = msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise Problem.bad_request("The body is not valid JSON.", "malformed_json") from None
        if not isinstance(value, dict):
            raise Problem.bad_request("The body must be a JSON object.", "malformed_json")
        return value


class Response(Generic[T]):
    """A response. `body` is any value that msgspec encodes as JSON, or None for no body.

    The return annotation of an operation declares the type of its body, as in `Response[User]`.
    """

    def __init__(
        self,
        status: HTTPStatus = HTTPStatus.OK,
        body: T | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = dict(headers or {})

    @staticmethod
    def created(body: T) -> "Response[T]":
        return Response(HTTPStatus.CREATED, body)

    @staticmethod
    def accepted() -> "Response[None]":
        return Response(HTTPStatus.ACCEPTED)

    @staticmethod
    def no_content() -> "Response[None]":
        return Response(HTTPStatus.NO_CONTENT)

    @staticmethod
    def of(problem: Problem) -> "Response[dict[str, Any]]":
        headers = {**problem.headers, "Content-Type": "application/problem+json"}
        return Response(problem.status, problem.document(), headers)

    def to_event(self) -> dict[str, Any]:
        """Returns the response in the format of the proxy integration."""
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **self.headers}
        if self.body is not None:
            headers.setdefault("Content-Type", "application/json")
        return {
            "statusCode": int(self.status),
            "headers": headers,
            "body": "" if self.body is None else msgspec.json.encode(self.body).decode(),
            "isBase64Encoded": False,
        }


def _is_json(content_type: str | None) -> bool:
    message = Message()
    message["Content-Type"] = content_type or ""
    charset = message.get_param("charset", "utf-8")
    return message.get_content_type() == "application/json" and str(charset).lower() in {
        "utf-8",
        "utf8",
    }
