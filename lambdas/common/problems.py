"""Error responses as RFC 9457 problem documents, raised by services as `Problem`."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from msgspec import Struct


class FieldError(Struct, frozen=True):
    """One validation error of one field.

    `field` is the field's path in the request (`price.amount`, `tags.0`). `message` completes a
    sentence that starts with the field's name.
    """

    field: str
    message: str


class Problem(Exception):  # noqa: N818 (RFC 9457's term)
    """An error response. API clients see every field, so no field may contain internal details.

    `code` identifies the error for programs. `detail` is for people. `headers` are added to the
    response, and `members` to the document, as RFC 9457 extension members.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def document(self) -> dict[str, Any]:
        """Returns the response body, `application/problem+json`."""
        return {
            **self.members,
            "type": "about:blank",  # no meaning beyond the HTTP status (RFC 9457, 4.2.1)
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
            "code": self.code,
            "errors": [{"field": e.field, "message": e.message} for e in self.errors],
        }

    @classmethod
    def bad_request(cls, detail: str, code: str = "bad_request") -> "Problem":
        return cls(HTTPStatus.BAD_REQUEST, code, detail)

    @classmethod
    def unauthorized(
        cls, detail: str = "Sign in and send a valid access token.", code: str = "unauthorized"
    ) -> "Problem":
        return cls(HTTPStatus.UNAUTHORIZED, code, detail, headers={"WWW-Authenticate": "Bearer"})

    @classmethod
    def forbidden(cls, detail: str, code: str = "forbidden") -> "Problem":
        return cls(HTTPStatus.FORBIDDEN, code, detail)

    @classmethod
    def not_found(
        cls, detail: str = "There is nothing at this address.", code: str = "not_found"
    ) -> "Problem":
        return cls(HTTPStatus.NOT_FOUND, code, detail)

    @classmethod
    def method_not_allowed(cls, allowed: Sequence[str]) -> "Problem":
        methods = ", ".join(allowed)
        return cls(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "method_not_allowed",
            f"This address accepts only {methods}.",
            headers={"Allow": methods},
        )

    @classmethod
    def conflict(cls, detail: str, code: str, retry_after: int | None = None) -> "Problem":
        return cls(HTTPStatus.CONFLICT, code, detail, headers=_retry_after(retry_after))

    @classmethod
    def stale(cls) -> "Problem":
        detail = (
            "The resource has changed since you read it. Read it again and repeat the change "
            "with its new version."
        )
        return cls(HTTPStatus.PRECONDITION_FAILED, "stale_version", detail)

    @classmethod
    def too_large(cls, limit: int) -> "Problem":
        return cls(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "body_too_large",
            f"The body is too large: send at most {limit} bytes.",
        )

    @classmethod
    def unsupported_media_type(cls) -> "Problem":
        detail = "Send the body as application/json in UTF-8."
        return cls(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)

    @classmethod
    def invalid(cls, errors: Sequence[FieldError]) -> "Problem":
        return cls(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_fields",
            "Some fields are not valid.",
            errors=errors,
        )

    @classmethod
    def too_many_requests(cls, retry_after: int) -> "Problem":
        """Creates a 429 problem. `retry_after` is in seconds."""
        detail = f"Too many attempts. Try again in {retry_after} seconds."
        return cls(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too_many_requests",
            detail,
            headers=_retry_after(retry_after),
        )

    @classmethod
    def internal(cls) -> "Problem":
        detail = (
            "Something went wrong on our side. "
            "The correlation id of this response helps us to find the cause."
        )
        return cls(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", detail)

    @classmethod
    def unavailable(
        cls,
        detail: str = "A service we depend on does not respond. Try again shortly.",
        code: str = "dependency_unavailable",
    ) -> "Problem":
        return cls(HTTPStatus.SERVICE_UNAVAILABLE, code, detail, headers=_retry_after(1))


def _retry_after(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(seconds)}
