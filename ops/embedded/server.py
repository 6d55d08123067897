"""Runs ministack, the embedded AWS, with patches for data that it would lose or report wrongly.

`services.Aws` starts this file as a program, so it imports nothing from the project.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from xml.etree.ElementTree import Element

import hypercorn.asyncio.run
import ministack.app
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config
from ministack.core import lambda_runtime, persistence
from ministack.services import apigateway, apigateway_v1, cloudfront, lambda_svc

KEEP_ALIVE = 120.0
"""Seconds. Longer than Terraform's provider (90 s) keeps an idle connection, so that it closes."""
DESCRIPTORS = 10240
"""Wanted limit of open files: the most that macOS allows a process by default."""
SAVE_PATH = os.environ.get("SAVE_PATH", "")
"""The URL path that saves the state."""
REMEMBERED_CALLS = 500
"""Calls whose responses are kept. A client that lost a response retries within seconds."""

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


class ClosingServer(TCPServer):
    """Closes a connection as soon as its client does.

    hypercorn would keep the connection until the idle timeout.
    """

    _has_client_closed = False

    async def _read_data(self) -> None:
        await super()._read_data()
        self._has_client_closed = True
        await self.idle_task.stop()

    async def _idle_timeout(self) -> None:
        # A response that is sent after the client has closed starts another idle timeout.
        if not self._has_client_closed:
            await super()._idle_timeout()


def manage_connections() -> None:
    """Keeps idle connections longer than clients do, and closes those that clients closed.

    ministack closes a connection that was idle for 75 s, but Terraform's provider (Go's HTTP
    client) reuses one for 90 s. A request that arrives while the server closes the connection is
    executed, but its response is lost. The provider retries, and the retry fails because the
    resource already exists.
    """
    # ministack assigns 75 to each configuration that it creates. The property's setter ignores it.
    timeout: Any = property(lambda _: KEEP_ALIVE, lambda *_: None)
    Config.keep_alive_timeout = timeout
    Config.keep_alive_max_requests = 2**63
    hypercorn.asyncio.run.TCPServer = ClosingServer  # type: ignore[attr-defined]


def raise_descriptor_limit() -> None:
    """Allows as many open files as the system permits, up to DESCRIPTORS.

    ministack asks for the hard limit, which macOS refuses if it is unlimited.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def deduplicate_calls(application: Application) -> Application:
    """Wraps the application so that a retry of a successful call receives the first response.

    A client whose connection broke does not know that its call was executed. The AWS SDKs and Go's
    HTTP client retry with the same invocation id, even while the first call is still running. A
    call that failed is executed again, because the failure may be temporary.
    """
    responses: OrderedDict[bytes, asyncio.Future[list[Message]]] = OrderedDict()

    async def respond(scope: Message, receive: Any, send: Any) -> None:
        call = dict(scope.get("headers", ())).get(b"amz-sdk-invocation-id")
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"} or not call:
            await application(scope, receive, send)
            return
        if call in responses and (earlier := await responses[call]):
            for message in earlier:
                await send(message)
            return
        sent: list[Message] = []

        async def send_and_keep(message: Message) -> None:
            sent.append(message)
            await send(message)

        responses[call] = response = asyncio.get_running_loop().create_future()
        if len(responses) > REMEMBERED_CALLS:
            responses.popitem(last=False)
        try:
            await application(scope, receive, send_and_keep)
        finally:
            response.set_result(sent if sent and sent[0]["status"] < 300 else [])

    return respond


def add_save_request(application: Application) -> Application:
    """Wraps the application so that `PUT SAVE_PATH` saves the state, as ministack does on stop.

    The saved state survives if the process is killed later.
    """

    async def respond(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("PUT", SAVE_PATH):
            await application(scope, receive, send)
            return
        persistence.save_all(ministack.app._build_persistence_save_dict())
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return respond


def reset_stream_positions() -> None:
    """Discards at start how far functions had read the DynamoDB streams.

    ministack saves these positions but not the records. After a restart, a function would skip as
    many new records as it had read before.
    """
    restore = lambda_svc._restore_esm_positions

    def restore_other_positions(store: Any, positions: Any) -> None:
        if store is not lambda_svc._dynamodb_stream_positions:
            restore(store, positions)

    lambda_svc._restore_esm_positions = restore_other_positions


def follow_alias_of_websockets() -> None:
    """Sends each WebSocket frame to the version that the alias currently names.

    ministack would send all frames to the version that received the first one.
    """
    get_worker = lambda_runtime.get_or_create_worker

    def get_current_worker(
        name: str, config: dict[str, Any], code: bytes, qualifier: str = "$LATEST"
    ) -> Any:
        worker = get_worker(name, config, code, qualifier)
        if worker.config.get("Version") != config.get("Version"):
            lambda_runtime.invalidate_worker(name, qualifier)
            worker = get_worker(name, config, code, qualifier)
        return worker

    lambda_runtime.get_or_create_worker = get_current_worker


def omit_what_aws_omits() -> None:
    """Removes parts of responses that AWS does not return.

    Each part would make Terraform change or replace its resource at every apply.
    """
    put_integration = apigateway_v1._put_integration
    add_headers_policy = cloudfront._build_rhp_config_xml

    def put_integration_without_method(api: str, resource: str, method: str, data: Any) -> Any:
        if data.get("type") == "MOCK":
            data = {**data, "httpMethod": None}
        return put_integration(api, resource, method, data)

    def add_headers_policy_without_empty_parts(parent: Element, policy: Any) -> None:
        add_headers_policy(parent, policy)
        for name in ("CustomHeadersConfig", "RemoveHeadersConfig"):
            part = parent.find(name)
            if part is not None and part.find("Items") is None:
                parent.remove(part)

    apigateway_v1._put_integration = put_integration_without_method
    cloudfront._build_rhp_config_xml = add_headers_policy_without_empty_parts


def keep_websockets_after_deep_frames() -> None:
    """Sends frames whose JSON is nested too deeply for Python to the route `$default`, as AWS does.

    ministack would close the connection.
    """
    evaluate: Callable[[str, str], str] = apigateway._evaluate_route_selection

    def evaluate_any(expression: str, payload: str) -> str:
        try:
            return evaluate(expression, payload)
        except RecursionError:
            return "$default"

    apigateway._evaluate_route_selection = evaluate_any


manage_connections()
ministack.app.app = add_save_request(deduplicate_calls(ministack.app.app))
reset_stream_positions()
follow_alias_of_websockets()
omit_what_aws_omits()
keep_websockets_after_deep_frames()


if __name__ == "__main__":
    raise_descriptor_limit()
    ministack.app.main()
