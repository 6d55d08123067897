"""Runs the embedded AWS, put right where ministack would lose something: a program of its own, started by path from `services`."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import ministack.app
from hypercorn.config import Config
from ministack.core import lambda_runtime, persistence
from ministack.services import lambda_svc

KEEP_ALIVE = 3600.0
"""Seconds: longer than any client keeps an idle connection, so that it is always the client who closes."""

SAVE = os.environ.get("SAVE_PATH", "")
"""The path that saves the state."""
REMEMBERED = 500
"""Answers: a client that lost one asks again within seconds."""

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


def keep_connections() -> None:
    """Never closes a connection first.

    ministack closes one that was idle for 75 s, Terraform's provider (Go's HTTP client) keeps one for 90 s. A request that comes as the
    server closes is carried out and gets no answer; the provider sends it again and is told that what it makes exists already.
    """
    # ministack sets it on each configuration that it makes: a property that takes no other value outlives that.
    Config.keep_alive_timeout = property(lambda _: KEEP_ALIVE, lambda *_: None)  # type: ignore[assignment]
    Config.keep_alive_max_requests = 2**63


def answer_repeats(application: Application) -> Application:
    """Gives a call that is made again the answer of the first time: a client whose connection broke does not know that it was carried out.

    The AWS SDKs and Go's HTTP client send such a call again by themselves, with the same invocation id, be the first under way or done. Only
    success counts: a failure may be one that they are to try again.
    """
    answers: OrderedDict[bytes, asyncio.Future[list[Message]]] = OrderedDict()

    async def answer(scope: Message, receive: Any, send: Any) -> None:
        call = dict(scope.get("headers", ())).get(b"amz-sdk-invocation-id")
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"} or not call:
            await application(scope, receive, send)
            return
        if call in answers and (earlier := await answers[call]):
            for message in earlier:
                await send(message)
            return
        said: list[Message] = []

        async def keep(message: Message) -> None:
            said.append(message)
            await send(message)

        answers[call] = own = asyncio.get_running_loop().create_future()
        if len(answers) > REMEMBERED:
            answers.popitem(last=False)
        try:
            await application(scope, receive, keep)
        finally:
            own.set_result(said if said and said[0]["status"] < 300 else [])

    return answer


def save_when_asked(application: Application) -> Application:
    """Saves the state at a PUT to SAVE, as ministack does when it stops: what is killed later keeps that."""

    async def save(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("PUT", SAVE):
            await application(scope, receive, send)
            return
        persistence.save_all(ministack.app._build_persistence_save_dict())
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return save


def read_streams_from_their_beginning() -> None:
    """Forgets at a start how far functions had read the tables' streams.

    ministack saves those positions and not the records: after a start as many new records would be skipped as had been read before.
    """
    restore = lambda_svc._restore_esm_positions

    def restore_others(store: Any, positions: Any) -> None:
        if store is not lambda_svc._dynamodb_stream_positions:
            restore(store, positions)

    lambda_svc._restore_esm_positions = restore_others


def serve_frames_by_the_alias() -> None:
    """Gives a WebSocket's frames to the version that the alias names now; ministack keeps to the one of the first frame."""
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


keep_connections()
ministack.app.app = save_when_asked(answer_repeats(ministack.app.app))
read_streams_from_their_beginning()
serve_frames_by_the_alias()

if __name__ == "__main__":
    ministack.app.main()
