"""The console's HTTP application: pages, data as JSON, live data as server-sent events."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
import urllib3
from anyio import to_thread
from botocore.exceptions import BotoCoreError, ClientError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ops.errors import OperatorError
from ops.inspection.invocations import invoke_function, list_examples
from ops.inspection.lines import follow_lines
from ops.inspection.masking import mask_secrets
from ops.inspection.queues import peek, read_queues
from ops.inspection.requests import follow_requests
from ops.inspection.waterfall import read_waterfall
from ops.review.report import script_source
from ops.upkeep.redrive import Redrive
from ops.web_console import buckets, cache, changes, database, functions, messages, tables
from ops.web_console.access import Guard
from ops.web_console.confirmations import Confirmations
from ops.web_console.live_map import LiveMap
from ops.web_console.source import Source

STATIC = Path(__file__).parent / "static"
REQUEST_INTERVAL = 3.0
"""Seconds between two searches for new requests in the logs."""
ITEMS_PER_EVENT = 300
"""Maximum number of items (requests or log lines) of each log group in one server-sent event.
Without the limit, the first event of a page could contain many earlier items and need much memory.
"""
HOUR = 3600_000
"""Milliseconds in an hour."""
ERRORS = (OperatorError, ClientError, BotoCoreError, urllib3.exceptions.HTTPError, OSError)
"""Errors of AWS or the platform. The page shows their messages, and keeps the data that it has."""
REPORT_POLICY = (
    f"sandbox allow-scripts; default-src 'none'; script-src {script_source()};"
    " style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
)
"""The Content-Security-Policy of the review's page. It allows inline styles and the page's own
script, which has no access to the console because of the sandbox.
"""

Action = Callable[[dict[str, Any]], Any]
UNCONVERTED_TYPES = (bytes, bytearray)
"""Types that `msgspec.to_builtins` leaves unchanged, because `mask_secrets` converts them."""


class Console:
    """The routes of the console for one environment."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._map = LiveMap(source)
        self._reports = changes.Reports(source)
        self._confirmations = Confirmations()
        self._changes: Mapping[str, tuple[Action, str]] = {
            "invoke": (
                lambda body: invoke_function(
                    source.cloud(), body["service"], body["event"], write=source.may_write
                ),
                "Invoke {service} in {environment}",
            ),
            "redrive": (
                lambda body: Redrive(source.cloud()).run(body["queue"]),
                "Move the messages of {queue} back to their consumers",
            ),
            "event": (
                lambda body: messages.send_event(
                    source, body["source"], body["type"], body["detail"]
                ),
                "Publish the event {type} on the bus of {environment}",
            ),
            "rollback": (
                lambda body: changes.roll_back(source, body["service"], body["to"]),
                "Shift all traffic of {service} to version {to}",
            ),
        }
        """Maps the name of a change to the function that executes it, and to the question that the
        user must confirm.
        """

    def routes(self) -> list[Route | Mount]:
        """Returns all routes of the console. GET requests change nothing."""
        source = self._source
        reads: dict[str, Callable[..., Any]] = {
            "status": self._status,
            "map": self._map.values,
            "map.svg": lambda: Response(self._map.picture(), media_type="image/svg+xml"),
            "functions": partial(functions.list_functions, source),
            "functions/{service}": partial(functions.describe_function, source),
            "functions/{service}/examples": list_examples,
            "trace/{correlation_id}": lambda correlation_id, since="": read_waterfall(
                source.cloud(), correlation_id, _milliseconds(since, 24 * HOUR)
            ),
            "tables": partial(tables.list_tables, source),
            "tables/{key}": partial(tables.read_items, source),
            "buckets": partial(buckets.list_buckets, source),
            "buckets/{bucket}": partial(buckets.list_objects, source),
            "buckets/{bucket}/preview": partial(buckets.preview, source),
            "buckets/{bucket}/download": partial(buckets.download, source),
            "sql": partial(database.list_relations, source),
            "cache": partial(cache.list_keys, source),
            "connections": partial(cache.list_connections, source),
            "queues": lambda: read_queues(source.cloud(), source.outputs()["queues"]),
            "queues/{queue}": lambda queue: peek(source.cloud(), queue),
            "events": partial(messages.list_events, source),
            "mails": partial(messages.list_mails, source),
            "releases": partial(changes.list_releases, source),
            "reports/{name}": self._reports.get,
            "review.html": self._review,
        }
        posts: dict[str, Action] = {
            "sql": lambda body: database.query(source, str(body["sql"])),
            "reports": lambda body: self._reports.run(body["name"], time.time()),
            **{name: partial(self._change, name) for name in self._changes},
        }
        return [
            Route("/", _index),
            *(Route(f"/api/{path}", _read(read)) for path, read in reads.items()),
            *(Route(f"/api/{path}", _post(act), methods=["POST"]) for path, act in posts.items()),
            Route("/api/live/requests", self._live_requests),
            Route("/api/live/lines", self._live_lines),
            Mount("/", StaticFiles(directory=STATIC)),
        ]

    def _status(self) -> dict[str, Any]:
        source, parts, problem = self._source, self._source.parts(), None
        status = {"environment": source.environment, "parts": parts, "mayWrite": False}
        try:
            cloud = source.cloud()
            status |= {"mayWrite": source.may_write, "region": cloud.environment.region}
        except ERRORS as error:
            problem = str(error)
        ended = [part["name"] for part in parts if not part["running"]]
        if ended:
            problem = f"Not running: {', '.join(ended)}. `make up` starts them again"
        return {**status, "isLocal": source.is_local, "problem": problem}

    def _review(self) -> Response:
        page = self._reports.page("review")
        headers = {"Content-Security-Policy": REPORT_POLICY}
        return Response(page or b"", media_type="text/html", headers=headers)

    def _change(self, action: str, body: dict[str, Any]) -> Any:
        """Executes a change if the request contains a valid confirmation. Otherwise returns the
        question for the user, with a new confirmation.
        """
        if not self._source.may_write:
            raise OperatorError(
                f"The console may only read {self._source.environment}: start it with `ops console"
                f" {self._source.environment} --write`"
            )
        key = body.pop("confirmation", None)
        execute, text = self._changes[action]
        if self._confirmations.use(key, action, body):
            return {"result": execute(body)}
        question = text.format(**body, environment=self._source.environment)
        return {"question": question, "confirmation": self._confirmations.issue(action, body)}

    async def _live_requests(self, request: Request) -> Response:
        start = _milliseconds(request.query_params.get("since", ""), HOUR)
        return _stream(
            lambda: follow_requests(
                self._source.cloud(), start, interval=REQUEST_INTERVAL, limit=ITEMS_PER_EVENT
            )
        )

    async def _live_lines(self, request: Request) -> Response:
        start = _milliseconds(request.query_params.get("since", ""), HOUR)
        services = [name for name in request.query_params.get("services", "").split(",") if name]
        return _stream(
            lambda: follow_lines(self._source.cloud(), services, start, limit=ITEMS_PER_EVENT)
        )


def create_app(source: Source, *, port: int, token: str) -> Starlette:
    """Returns the ASGI application. Only requests with the token reach its routes."""
    return Starlette(
        routes=Console(source).routes(),
        middleware=[Middleware(Guard, port=port, token=token)],
    )


async def _index(_: Request) -> Response:
    return FileResponse(STATIC / "index.html")


def _milliseconds(since: str, default: int) -> int:
    """Returns `since` as a number of milliseconds since the epoch.

    If `since` is not a number, returns the time `default` milliseconds ago.
    """
    return int(since) if since.isdecimal() else int(time.time() * 1000) - default


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(
        mask_secrets(msgspec.to_builtins(value, builtin_types=UNCONVERTED_TYPES, enc_hook=str))
    )


async def _respond(work: Callable[[], Any]) -> Response:
    """Returns the result of a function as JSON. An error becomes a problem for the page to show."""
    try:
        value = await to_thread.run_sync(work)
    except (KeyError, TypeError, ValueError) as error:
        return _problem(f"The request is not valid: {error}", HTTPStatus.BAD_REQUEST)
    except ERRORS as error:
        return _problem(str(error), HTTPStatus.BAD_GATEWAY)
    if isinstance(value, Response):
        return value
    return Response(_encode(value), media_type="application/json")


def _problem(text: str, status: HTTPStatus) -> Response:
    return Response(_encode({"problem": text}), status, media_type="application/json")


def _read(read: Callable[..., Any]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        arguments = {**request.query_params, **request.path_params}
        return await _respond(partial(read, **arguments))

    return endpoint


def _post(act: Action) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        content = await request.body()
        return await _respond(lambda: act(msgspec.json.decode(content, type=dict[str, Any])))

    return endpoint


def _stream(follow: Callable[[], Iterator[list[Any]]]) -> Response:
    """Returns a stream of server-sent events. Each event contains the next list of an iterator,
    which waits for new data.

    An error is sent as the event `problem` and ends the stream. The page then connects again.
    """

    async def events() -> AsyncIterator[bytes]:
        yield b"retry: 3000\n\n"
        try:
            iterator = await to_thread.run_sync(follow)
            while True:
                items = await to_thread.run_sync(
                    partial(next, iterator, None), abandon_on_cancel=True
                )
                if items is None:
                    return
                # Encoding all items at once would take several times the memory of the items.
                yield b"data: [" + b",".join(map(_encode, items)) + b"]\n\n"
        except ERRORS as error:
            yield b"event: problem\ndata: " + _encode({"problem": str(error)}) + b"\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")
