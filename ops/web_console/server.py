"""Runs the console's HTTP server."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from anyio import to_thread
from hypercorn.asyncio import serve
from hypercorn.config import Config

from ops.embedded.ports import LOOPBACK
from ops.web_console.app import create_app
from ops.web_console.source import Source

THREADS = 8
"""Maximum number of threads that read data for requests. Each thread takes memory."""


def run_console(
    source: Source, *, port: int, token: str, ready: Callable[[], None] = lambda: None
) -> None:
    """Serves the console on loopback until the process receives SIGINT or SIGTERM."""
    config = Config()
    config.bind = [f"{LOOPBACK}:{port}"]
    config.graceful_timeout = 0.2
    config.loglevel = "WARNING"
    config.include_server_header = False
    asyncio.run(_serve(source, config, port, token, ready))


async def _serve(
    source: Source, config: Config, port: int, token: str, ready: Callable[[], None]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    to_thread.current_default_thread_limiter().total_tokens = THREADS
    ready()

    async def wait_for_stop() -> None:
        await stop.wait()
        # When hypercorn stops, it cancels open streams. asyncio would log each one as an error.
        loop.set_exception_handler(lambda *_: None)

    app: Any = create_app(source, port=port, token=token)
    await serve(app, config, shutdown_trigger=wait_for_stop)
