"""Writes the access logs of APIs, and the logs of functions that handle WebSocket frames.

Assigns one trace id to each request.
"""

from __future__ import annotations

import json
import re
import secrets
import time
import uuid
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import apigateway, apigateway_v1, cloudwatch_logs, lambda_svc

STREAM = "requests"
"""The log stream of the access logs."""
VARIABLE = re.compile(r"\$context\.([\w.]+)")

_request: ContextVar[dict[str, Any] | None] = ContextVar("request", default=None)
"""The variables of the current request (`$context`), for its access log."""


def log_requests() -> None:
    """Adds the logs that ministack does not write for REST requests and WebSocket frames."""
    write_to_stream_of_version()
    log_rest_requests()
    log_frames()
    share_trace()


def write_to_stream_of_version() -> None:
    """Writes the logs of a function to one stream per version and day.

    ministack would create a stream for each invocation. Searches would become slower with each
    invocation, and `limits` would keep only the logs of the last 50 invocations.
    """

    def write(
        function: dict[str, Any],
        request_id: str,
        text: str,
        error: bool,  # noqa: ARG001 - ministack's signature
        duration_ms: int,
        *,
        log_source: str | None = None,  # noqa: ARG001
    ) -> None:
        config = function.get("config") or function
        settings = config.get("LoggingConfig") or {}
        version = config.get("Version", "$LATEST")
        memory = lambda_svc._probe_peak_memory_mb(function)
        append_lines(
            settings.get("LogGroup") or f"/aws/lambda/{config['FunctionName']}",
            time.strftime(f"%Y/%m/%d/[{version}]all", time.gmtime()),
            [
                f"START RequestId: {request_id} Version: {version}",
                *text.splitlines(),
                f"END RequestId: {request_id}",
                f"REPORT RequestId: {request_id}\tDuration: {duration_ms} ms\tBilled Duration:"
                f" {duration_ms} ms\tMemory Size: {config.get('MemorySize', 128)} MB\tMax Memory"
                f" Used: {memory} MB",
            ],
        )

    lambda_svc._emit_lambda_logs = write


def append_lines(group: str, stream: str, lines: Iterable[str]) -> None:
    """Adds lines with the current time to a log stream. Creates the group and the stream."""
    names = {"logGroupName": group, "logStreamName": stream}
    if group not in cloudwatch_logs._log_groups:
        cloudwatch_logs._create_log_group(names)
    if stream not in cloudwatch_logs._log_groups[group]["streams"]:
        cloudwatch_logs._create_log_stream(names)
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": line} for line in lines]
    cloudwatch_logs._put_log_events({**names, "logEvents": events})


def log_rest_requests() -> None:
    """Writes the access log of REST APIs.

    The access log, the event of the function, and error responses of API Gateway contain the same
    request id.
    """
    execute, build_event = (
        apigateway_v1._handle_execute_in_scope,
        apigateway_v1._build_lambda_event_v1,
    )
    call, report_error = apigateway_v1._call_lambda_raw, apigateway_v1._gateway_error_response

    async def execute_and_log(api: str, stage: str, method: str, path: str, *rest: Any) -> Any:
        request = new_request(httpMethod=method, path=f"/{stage}{path}")
        request["xrayTraceId"] = f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
        token, started = _request.set(request), time.perf_counter()
        try:
            response = await execute(api, stage, method, path, *rest)
        finally:
            _request.reset(token)
        request |= {"status": response[0], "responseLatency": elapsed(started)}
        write_access_log(apigateway_v1._stages_v1.get(api, {}).get(stage), request)
        return response

    def build_event_of_request(*arguments: Any, **options: Any) -> Any:
        event = build_event(*arguments, **options)
        if request := _request.get():
            event["requestContext"]["requestId"] = request["requestId"]
            identity = event["requestContext"]["identity"]
            request |= {f"identity.{name}": value for name, value in identity.items()}
            request["resourcePath"] = event["resource"]
        return event

    async def call_and_measure(*arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        result, error = await call(*arguments, **options)
        if request := _request.get():
            request["integrationLatency"] = elapsed(started)
            if error or result.get("error"):
                request["integrationErrorMessage"] = error or error_message(result.get("body"))
        return result, error

    def report_error_of_request(error: Any, details: dict[str, Any]) -> Any:
        if request := _request.get():
            details["request_id"] = request["requestId"]
            request |= {"error.message": error.message, "resourcePath": details["resource_path"]}
        return report_error(error, details)

    apigateway_v1._handle_execute_in_scope = execute_and_log
    apigateway_v1._build_lambda_event_v1 = build_event_of_request
    apigateway_v1._call_lambda_raw = call_and_measure
    apigateway_v1._gateway_error_response = report_error_of_request


def log_frames() -> None:
    """Writes the access log of WebSocket APIs, and the logs and metrics of their functions."""
    invoke, authorize = apigateway._invoke_ws_lambda, apigateway._authorize_ws_connect
    get_worker = lambda_runtime.get_or_create_worker

    async def invoke_and_log(*arguments: Any, **options: Any) -> Any:
        api, _, _, route, stage, connection, event_type, request_id = arguments[:8]
        request = new_request(requestId=request_id, eventType=event_type, connectionId=connection)
        request |= {"routeKey": route.get("routeKey"), "messageId": request_id}
        started = time.perf_counter()
        response = await invoke(*arguments, **options)
        status = int((response or {}).get("statusCode", 200))
        request |= {"status": status, "integration.status": status}
        request["integrationLatency"] = elapsed(started)
        if status >= 500:
            request["integrationErrorMessage"] = error_message((response or {}).get("body"))
        write_access_log(apigateway._stages.get(api, {}).get(stage), request)
        return response

    async def authorize_and_log(api: str, route: Any, context: dict[str, Any], *rest: Any) -> Any:
        refusal, result = await authorize(api, route, context, *rest)
        if refusal:
            request = new_request(**context)
            request |= {"status": refusal[0], "error.message": refusal[1]}
            write_access_log(apigateway._stages.get(api, {}).get(context["stage"]), request)
        return refusal, result

    def get_logged_worker(
        name: str, config: dict[str, Any], code: bytes, qualifier: str = "$LATEST"
    ) -> LoggedWorker:
        return LoggedWorker(get_worker(name, config, code, qualifier), config)

    apigateway._invoke_ws_lambda = invoke_and_log
    apigateway._authorize_ws_connect = authorize_and_log
    lambda_runtime.get_or_create_worker = get_logged_worker


class LoggedWorker:
    """A worker that writes logs and metrics of its invocations.

    ministack omits both if it invokes a Lambda function for a WebSocket frame.
    """

    def __init__(self, worker: Any, config: dict[str, Any]) -> None:
        self._worker, self.config = worker, config

    def invoke(self, event: Any, request_id: str) -> Any:
        started = time.perf_counter()
        trace = lambda_svc._xray_trace_id_for_invocation(self.config)
        result = self._worker.invoke(event, request_id, trace_id=trace)
        failed = result.get("status") != "ok"
        log = [
            result.get("log", ""),
            result.get("trace", result.get("error", "")) if failed else "",
        ]
        duration = elapsed(started)
        lambda_svc._emit_lambda_logs(
            {"config": self.config}, request_id, "\n".join(filter(None, log)), failed, duration
        )
        lambda_svc._emit_lambda_metrics(
            self.config["FunctionName"], duration_ms=duration, error=failed, throttle=False
        )
        return result


def share_trace() -> None:
    """Passes the trace id of a REST request to the request's authorizer and function.

    The access log contains the same trace id.
    """
    create = lambda_svc._xray_trace_id_for_invocation

    def find_or_create(config: dict[str, Any], inbound: str | None = None) -> str | None:
        request = _request.get()
        if request is None:
            header: str | None = create(config, inbound)
            return header
        return f"Root={request['xrayTraceId']};Parent={secrets.token_hex(8)};Sampled=1"

    lambda_svc._xray_trace_id_for_invocation = find_or_create


def current_id() -> str:
    """Returns the id of the current request of a REST API."""
    request = _request.get()
    return str(request["requestId"] if request else uuid.uuid4())


def new_request(**variables: Any) -> dict[str, Any]:
    """Returns the variables (`$context`) of a request that has just arrived."""
    return {
        "requestId": str(uuid.uuid4()),
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime()),
        "requestTimeEpoch": int(time.time() * 1000),
        **variables,
    }


def write_access_log(stage: dict[str, Any] | None, request: dict[str, Any]) -> None:
    """Writes a request's line in the stage's format, if the stage has an access log."""
    settings = (stage or {}).get("accessLogSettings") or {}
    if "destinationArn" not in settings:
        return
    group = settings["destinationArn"].partition(":log-group:")[2].removesuffix(":*")

    def render(variable: re.Match[str]) -> str:
        value = request.get(variable[1])
        return json.dumps("-" if value in {None, ""} else str(value))[1:-1]

    append_lines(group, STREAM, [VARIABLE.sub(render, settings["format"])])


def error_message(body: Any) -> str:
    """Returns the error of a function as API Gateway reports it."""
    return str(body.get("errorMessage", body) if isinstance(body, dict) else body)


def elapsed(started: float) -> int:
    """Returns the milliseconds since `started`, a value of `time.perf_counter`."""
    return round((time.perf_counter() - started) * 1000)
