"""Computes the limits of API Gateway, Lambda and Cognito."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ops.capacity.limits import AFTER_OUTAGE, Change, Inputs, Limit, Point, design, request, setting
from ops.capacity.load import Load
from ops.capacity.traffic import TICKET, is_route

COGNITO = {
    "UserAuthentication": ("AdminInitiateAuth",),
    "UserCreation": ("SignUp", "ConfirmSignUp"),
    "UserAccountRecovery": ("ForgotPassword", "ConfirmForgotPassword", "ChangePassword"),
    "UserRead": ("AdminGetUser",),
    "UserResourceRead": ("AdminListGroupsForUser",),
}
"""Cognito operations that functions call, by category. Operations of a category share a quota."""
LOADS = (("peak", ""), ("storm", AFTER_OUTAGE))
"""Each load that is compared with limits, and the suffix of the names of these limits."""
MAILED = ("register", "resend-confirmation", "forgot-password")
"""Requests of the auth service for which Cognito sends an email."""


def limits(inputs: Inputs) -> Iterator[Limit]:
    yield from _apis(inputs)
    yield from _functions(inputs)
    yield from _cognito(inputs)


def _apis(inputs: Inputs) -> Iterator[Limit]:
    throttles = "lambdas.reserved_concurrency (which determines the throttles of both APIs)"
    yield inputs.by_quota(
        "requests and frames (received and sent) of all APIs",
        "apigateway.requests",
        lambda point: point.peak.traffic.rest + point.peak.traffic.frames + point.peak.posts,
    )
    yield inputs.by_quota(
        "requests and frames (received and sent) of all APIs after an outage",
        "apigateway.requests",
        lambda point: point.storm.traffic.rest + point.storm.traffic.frames + point.storm.posts,
    )
    yield inputs.by_quota(
        "new WebSocket connections",
        "apigateway.connections",
        lambda point: point.peak.traffic.rates["frame connect"],
    )
    yield inputs.by_quota(
        "new WebSocket connections after an outage",
        "apigateway.connections",
        lambda point: point.storm.traffic.rates["frame connect"],
        change=setting("chat.reconnect_seconds"),
    )
    change = setting(throttles)
    for method in sorted({_method(name) for name in (*inputs.model.requests, TICKET)}):
        for load, ending in LOADS:
            yield Limit(
                f"throttle of ANY {method}{ending}",
                inputs.stack.rest.rate,
                "requests/s",
                "stack rest-api/settings throttling_rate_limit",
                partial(_method_rate, method, load),
                change,
            )
    for frame in (*inputs.model.frames, "join_room"):
        for load, ending in LOADS:
            yield Limit(
                f"throttle of the WebSocket route {frame}{ending}",
                inputs.stack.websocket.rate,
                "frames/s",
                "stack websocket-api/stage throttling_rate_limit",
                partial(_frame_rate, frame, load),
                change,
            )


def _method(route: str) -> str:
    """Returns the path of the API Gateway resource that serves a route.

    For example, returns `/v1/posts/{proxy+}` for the route `GET /v1/posts/{postId}`.
    """
    parts = route.split(" ")[1].split("/")
    base = "/".join(parts[:3])
    return base if len(parts) == 3 else f"{base}/{{proxy+}}"


def _method_rate(method: str, load: str, point: Point) -> float:
    return sum(
        rate
        for name, rate in _load(point, load).traffic.rates.items()
        if is_route(name) and _method(name) == method
    )


def _frame_rate(frame: str, load: str, point: Point) -> float:
    return _load(point, load).traffic.rates.get(f"frame {frame}", 0.0)


def _functions(inputs: Inputs) -> Iterator[Limit]:
    functions = inputs.stack.functions
    reserved = {name: f.reserved for name, f in functions.items() if f.reserved is not None}
    account = inputs.quota("lambda.concurrency")
    shared = [name for name in functions if name not in reserved]
    per_environment = inputs.quota("lambda.requests_per_environment").value
    key = "lambdas.reserved_concurrency"
    for name, count in reserved.items():
        change = setting(
            f"lambdas.functions.{name}.reserved_concurrency" if name == "auth" else key
        )
        source = f"stack {name}/function reserved_concurrent_executions"
        for load, ending in LOADS:
            demand = partial(_concurrency, name, load)
            yield Limit(
                f"concurrent executions of {name}{ending}",
                count,
                "executions",
                source,
                demand,
                change,
            )
        yield Limit(
            f"invocations of {name}",
            count * per_environment,
            "invocations/s",
            f"{source} times quota lambda.requests_per_environment",
            partial(_invocations, name),
            change,
        )
    for load, ending in LOADS:
        yield Limit(
            f"concurrent executions that {', '.join(sorted(shared))} share{ending}",
            max(0.0, account.value - sum(reserved.values())),
            account.unit,
            "quota lambda.concurrency minus the reserved executions",
            partial(_shared_concurrency, shared, load),
            request(account),
        )
    yield inputs.by_quota(
        "execution environments that chat starts in 10 s after an outage",
        "lambda.scaling",
        lambda point: max(
            0.0, point.storm.concurrency.get("chat", 0.0) - functions["chat"].provisioned
        ),
        change=setting("chat.reconnect_seconds"),
    )


def _load(point: Point, name: str) -> Load:
    return point.peak if name == "peak" else point.storm


def _concurrency(function: str, load: str, point: Point) -> float:
    return _load(point, load).concurrency.get(function, 0.0)


def _invocations(function: str, point: Point) -> float:
    return point.peak.invocations.get(function, 0.0)


def _shared_concurrency(functions: list[str], load: str, point: Point) -> float:
    return sum(_load(point, load).concurrency.get(name, 0.0) for name in functions)


def _cognito(inputs: Inputs) -> Iterator[Limit]:
    for category, operations in COGNITO.items():
        quota = inputs.quota(f"cognito.{category}")
        change = (
            setting("auth.account_seconds")
            if set(operations) & {"AdminGetUser", "AdminListGroupsForUser"}
            and not inputs.stack.account_seconds
            else request(quota)
            if quota.adjustable
            else design("spread these requests over a longer time: AWS does not raise this quota")
        )
        for load, ending in LOADS:
            yield inputs.by_quota(
                f"Cognito's {category}{ending}",
                f"cognito.{category}",
                partial(_operations, operations, load),
                change=change,
            )
    own = inputs.stack.sends_mail_without_ses
    yield inputs.by_quota(
        "emails sent by Cognito without SES" if own else "emails sent through SES",
        "cognito.emails" if own else "ses.emails",
        lambda point: point.users * _mails(inputs),
        change=Change(
            "setting", "set mail_identity_arn in the environment file to send emails through SES"
        )
        if own
        else Change("quota", "request production access and a higher daily quota for SES"),
    )


def _operations(operations: tuple[str, ...], load: str, point: Point) -> float:
    calls = _load(point, load).calls
    return sum(calls.get(f"cognito-idp.{operation}", 0.0) for operation in operations)


def _mails(inputs: Inputs) -> float:
    requests = inputs.model.requests
    routes = (f"POST /v1/auth/{name}" for name in MAILED)
    return sum(requests[route].value for route in routes if route in requests)
