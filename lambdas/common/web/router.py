"""Route tables, and the router that turns every event into a response and never raises."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from http import HTTPStatus
from time import perf_counter
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from lambdas.common.caller import Caller
from lambdas.common.ids import is_id
from lambdas.common.logs import Logger
from lambdas.common.problems import Problem
from lambdas.common.web.access import Access
from lambdas.common.web.http import Event, Request, Response

Operation = Callable[[Request], Response[Any]]
"""A function that handles a request after the access check and returns the response."""

ALLOWED_HEADERS = "Authorization, Content-Type, If-Match, Idempotency-Key, X-Correlation-Id"
EXPOSED_HEADERS = "Retry-After, ETag, X-Correlation-Id"
PREFLIGHT_MAX_AGE = 7200
"""Seconds for which browsers may cache a preflight response, the maximum of Chromium."""

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
"""The methods whose requests have a body."""

COMMON_ERRORS: Mapping[str, int] = {
    "bad_request": 400,
    "forbidden": 403,
    "body_too_large": 413,
    "too_many_requests": 429,
    "dependency_unavailable": 503,
}
"""The errors of all routes: a malformed request, a request that WAF blocks, a large
request, throttling, and the outage of a dependency."""

_THROTTLING = {
    "ThrottlingException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
}


class Route(Struct, frozen=True):
    """One row of a service's route table. A literal segment takes precedence over a `{parameter}`.

    `operation` is the name of the operation. An `idempotent` route accepts Idempotency-Key. An
    `anonymous` route may be called by an anonymous author: the log omits the caller unless the
    operation sets `Request.anonymous` to False. `text_parameters` names the path parameters that
    are not ids. The operation validates them.

    The other attributes describe the route for tests and documents: `status` of a success, models
    of the `body` and the `query`, `conditional` (whether requests may have If-Match), and
    `error_codes`, the codes and statuses of the errors that the other attributes do not imply.
    """

    method: str
    path: str
    access: Access
    operation: str
    status: int = 200
    body: type[Struct] | None = None
    query: type[Struct] | None = None
    idempotent: bool = False
    conditional: bool = False
    anonymous: bool = False
    text_parameters: tuple[str, ...] = ()
    error_codes: Mapping[str, int] = {}

    @property
    def errors(self) -> dict[str, int]:
        """The documented error codes and statuses, including those of API Gateway and WAF."""
        implied = [
            (400, "malformed_json", self.method in WITH_BODY),
            (400, "invalid_cursor", bool(self.query and "cursor" in self.query.__struct_fields__)),
            (400, "invalid_idempotency_key", self.idempotent),
            (401, "unauthorized", not self.access.public),
            (401, "token_expired", not self.access.public),
            (401, "session_ended", not self.access.public),
            (403, "anonymous_not_allowed", self.access.role is not None),
            (403, "capability_required", self.access.capability is not None),
            (404, "not_found", "{" in self.path),
            (409, "idempotency_key_reused", self.idempotent),
            (409, "request_in_progress", self.idempotent),
            (412, "stale_version", self.conditional),
            (415, "unsupported_media_type", self.method in WITH_BODY),
            (422, "invalid_fields", bool(self.body or self.query or self.text_parameters)),
        ]
        applicable = {code: status for status, code, applies in implied if applies}
        return {**COMMON_ERRORS, **applicable, **self.error_codes}

    @property
    def statuses(self) -> frozenset[int]:
        """All statuses of responses on this route, including those of API Gateway and WAF."""
        return frozenset({self.status, *self.errors.values()})


class Authenticate(Protocol):
    def authenticate(self, request: Request, access: Access) -> Caller | None: ...


class RunOnce(Protocol):
    def run(self, request: Request, work: Operation) -> Response[Any]: ...


class RouteTable:
    def __init__(self, routes: Iterable[Route]) -> None:
        self._templates: dict[tuple[str, ...], dict[str, Route]] = {}
        for route in routes:
            methods = self._templates.setdefault(tuple(route.path.strip("/").split("/")), {})
            assert route.method not in methods, f"{route.method} {route.path} is defined twice"
            methods[route.method] = route
        # False sorts before True, so a template with a literal segment precedes one with a
        # parameter.
        self._ordered = sorted(
            self._templates, key=lambda template: [_is_parameter(s) for s in template]
        )

    def match(self, segments: Sequence[str]) -> tuple[Mapping[str, Route], dict[str, str]]:
        """Returns the path's routes by method, and its parameters. Raises Problem 404."""
        for template in self._ordered:
            parameters = _match(template, segments)
            if parameters is not None:
                return self._templates[template], parameters
        raise Problem.not_found()


class Router:
    """A service's handler: routes the event, authenticates the caller and runs the operation."""

    def __init__(
        self,
        routes: Sequence[Route],
        operations: Mapping[str, Operation],
        *,
        authenticator: Authenticate,
        logger: Logger,
        cors_origins: Sequence[str],
        idempotency: RunOnce | None = None,
    ) -> None:
        """Creates the router.

        `operations` must have exactly the operations that `routes` name. `idempotency` is required
        if a route is idempotent.
        """
        named = {route.operation for route in routes}
        assert named == operations.keys(), (
            f"define both a route and a method for {sorted(named ^ operations.keys())}"
        )
        assert idempotency or not any(route.idempotent for route in routes), (
            "idempotent routes require `idempotency`"
        )
        self._table = RouteTable(routes)
        self._operations = operations
        self._authenticator = authenticator
        self._logger = logger
        self._cors_origins = frozenset(cors_origins)
        self._idempotency = idempotency

    def __call__(self, event: Event, _context: object) -> dict[str, Any]:
        started = perf_counter()
        try:
            request = Request(event)
        except Exception:
            return failure(
                event,
                self._logger,
                self._cors_origins,
                "the event is not from a REST proxy integration",
            )
        self._logger.set_correlation_id(request.correlation_id)
        result = self._respond(request)
        result["headers"].update(_common_headers(request, self._cors_origins))
        self._logger.info(
            "request",
            method=request.method,
            route=request.route,
            status=result["statusCode"],
            code=request.problem,
            duration_ms=round((perf_counter() - started) * 1000, 1),
            user_id=None
            if request.anonymous or not request.authenticated
            else request.authenticated.user_id,
            caller=_caller_kind(request, result["statusCode"]),
            api_request_id=request.id,
        )
        return result

    def _respond(self, request: Request) -> dict[str, Any]:
        try:
            return self._dispatch(request).to_event()
        except Problem as error:
            problem = error
        except Exception as error:
            self._logger.exception("the request failed")
            problem = problem_of(error)
        request.problem = problem.code
        return Response.of(problem).to_event()

    def _dispatch(self, request: Request) -> Response[Any]:
        methods, request.path_parameters = self._table.match(request.segments)
        if request.method == "OPTIONS":
            return _preflight(methods)
        route = methods.get(request.method)
        if route is None:
            raise Problem.method_not_allowed([*sorted(methods), "OPTIONS"])
        request.route, request.anonymous = route.path, route.anonymous
        request.authenticated = self._authenticator.authenticate(request, route.access)
        for name, value in request.path_parameters.items():
            if name not in route.text_parameters and not is_id(value):
                raise Problem.not_found()
        if request.method in WITH_BODY:
            # Reading the JSON rejects a malformed body, even if the operation ignores the body.
            _ = request.json
        operation = self._operations[route.operation]
        if route.idempotent and self._idempotency:
            return self._idempotency.run(request, operation)
        return operation(request)


def failure(
    event: Event, logger: Logger, cors_origins: Collection[str], reason: str
) -> dict[str, Any]:
    """Logs the current exception and returns a 500 problem.

    Handles failures before the event reaches a route. The event may be malformed.
    """
    try:
        request = Request(event)
    except Exception:  # the headers may be malformed too
        request = Request({"httpMethod": ""})
    logger.set_correlation_id(request.correlation_id)
    logger.exception(reason)
    result = Response.of(Problem.internal()).to_event()
    result["headers"].update(_common_headers(request, cors_origins))
    return result


def _caller_kind(request: Request, status: int) -> str | None:
    """Returns the kind of the caller for the log, or `nobody` if no caller was authenticated.

    For status 403, returns None instead of `nobody`: the access rule may have rejected a caller
    with a valid token.
    """
    if request.authenticated:
        return request.authenticated.kind
    return None if status == HTTPStatus.FORBIDDEN else "nobody"


def _common_headers(request: Request, cors_origins: Collection[str]) -> dict[str, str]:
    headers = {
        "X-Correlation-Id": request.correlation_id,
        "Vary": "Origin",
        "Access-Control-Expose-Headers": EXPOSED_HEADERS,
    }
    origin = request.first_header("Origin")
    if "*" in cors_origins:
        headers["Access-Control-Allow-Origin"] = "*"
    elif origin in cors_origins:
        headers["Access-Control-Allow-Origin"] = origin
    return headers


def _preflight(methods: Iterable[str]) -> Response[None]:
    headers = {
        "Access-Control-Allow-Methods": ", ".join([*sorted(methods), "OPTIONS"]),
        "Access-Control-Allow-Headers": ALLOWED_HEADERS,
        "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE),
    }
    return Response(HTTPStatus.NO_CONTENT, headers=headers)


def _match(template: Sequence[str], segments: Sequence[str]) -> dict[str, str] | None:
    if len(template) != len(segments):
        return None
    parameters = {}
    for expected, given in zip(template, segments, strict=True):
        if _is_parameter(expected) and given:
            parameters[expected[1:-1]] = given
        elif expected != given:
            return None
    return parameters


def _is_parameter(segment: str) -> bool:
    return segment.startswith("{")


def problem_of(error: Exception) -> Problem:
    """Returns the problem for an unexpected error: 503 for an AWS outage, otherwise 500."""
    return Problem.unavailable() if _is_outage(error) else Problem.internal()


def _is_outage(error: Exception) -> bool:
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or error.response["Error"]["Code"] in _THROTTLING
    return isinstance(error, BotoCoreError)
