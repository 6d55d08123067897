"""Executes an AWS call only once, even if the client repeats it after a lost response."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

REMEMBERED_CALLS = 500
"""Number of calls whose responses are kept. Clients retry within seconds of a lost response."""
REMEMBERED_BYTES = 64 * 1024
"""Maximum size in bytes of a kept response. Responses of calls that create a resource are
smaller.
"""

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


def deduplicate_calls(application: Application) -> Application:
    """Wraps the application so that a retry of a successful call receives the first response.

    If a connection breaks, the client does not know whether its call was executed. The AWS SDKs
    and Go's HTTP client retry with the same invocation id, even while the first call is running.
    A call that failed is executed again, because the failure may be temporary.
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
            succeeded = bool(sent) and sent[0]["status"] < 300
            size = sum(len(message.get("body", b"")) for message in sent)
            response.set_result(sent if succeeded and size <= REMEMBERED_BYTES else [])

    return respond
