"""Serves the embedded AWS over TLS and, on a second port, over plain HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import hypercorn.asyncio
from hypercorn.config import Config
from ministack.core import iam_evaluator
from ministack.services import cloudfront

from .calls import Application, Message

INTERNAL_ORIGIN = ("127.0.0.1", True)
"""Source address and `aws:SecureTransport` of calls that services make outside of a request."""
PLAIN_DOMAIN = ".plain.localhost"
"""Domain of the sites without TLS, for browsers that do not trust the certificate authority."""
CLOSING_SECONDS = 1.0
"""Seconds that the server waits until the client confirms the end of a TLS connection."""
OWN_HEADERS = {b"host", b"if-none-match", b"accept-encoding"}
"""Request headers that are not forwarded, because the host and the content are rewritten."""


def serve_with_tls(host: str, tls_port: int, plain_port: int | None) -> None:
    """Serves TLS on one port and, if `plain_port` is set, plain HTTP on another one.

    `aws:SecureTransport` is true only for requests with TLS, and for calls between services.
    CloudFront redirects to the port with TLS.
    """
    serve: Callable[..., Awaitable[None]] = hypercorn.asyncio.serve

    async def serve_both(application: Application, config: Config) -> None:
        # ministack would also listen on port 443 if it is free.
        config.bind = config.bind[:1]
        config.insecure_bind = [f"{host}:{plain_port}"] if plain_port else []
        # hypercorn's HTTP/2 is slower, and most of AWS's servers do not support HTTP/2 either.
        config.alpn_protocols = ["http/1.1"]
        application = ignore_claimed_transport(application)
        if plain_port:
            application = show_sites_without_tls(application, tls_port, plain_port)
        await serve(application, config)

    hypercorn.asyncio.serve = serve_both  # type: ignore[assignment]
    adapt_tls()
    treat_internal_calls_as_secure()
    redirect_to_port(tls_port)


def adapt_tls() -> None:
    """Closes TLS connections faster, and sends no session tickets.

    By default, asyncio waits 30 seconds for the client when the server closes a connection, so an
    idle client would delay each stop by that time.

    Before Python 3.13, `ssl` is not safe if one thread reads from a connection while another
    thread writes, as in WebSocket clients. If a session ticket arrived while such a client sent its
    first request, the request was lost. This happened in 1 of 700 connections on a busy machine.
    """
    start_server: Callable[..., Awaitable[asyncio.Server]] = asyncio.start_server

    async def start(*arguments: Any, **options: Any) -> asyncio.Server:
        if options.get("ssl"):
            options["ssl_shutdown_timeout"] = CLOSING_SECONDS
            options["ssl"].num_tickets = 0
        return await start_server(*arguments, **options)

    asyncio.start_server = start


def ignore_claimed_transport(application: Application) -> Application:
    """Removes the header X-Forwarded-Proto, which any client can send but ministack would trust."""

    async def respond(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [item for item in scope["headers"] if item[0] != b"x-forwarded-proto"]
            scope = {**scope, "headers": headers}
        await application(scope, receive, send)

    return respond


def treat_internal_calls_as_secure() -> None:
    """Treats calls between services as if they used TLS, because policies may require TLS."""
    iam_evaluator._request_origin = ContextVar("request_origin", default=INTERNAL_ORIGIN)
    base: Any = iam_evaluator.EvalContext

    class Context(base):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            if self.principal_type == "Service":
                self.secure_transport = True

    iam_evaluator.EvalContext = Context


def redirect_to_port(port: int) -> None:
    """Makes CloudFront redirect viewers without TLS to this port."""
    check: Callable[..., Any] = cloudfront._check_viewer_protocol_policy

    def check_and_set_port(*arguments: Any) -> Any:
        response = check(*arguments)
        if response and (location := response[1].get("Location")):
            scheme, _, rest = location.partition("://")
            authority, slash, path = rest.partition("/")
            host = authority.partition(":")[0]
            response[1]["Location"] = f"{scheme}://{host}:{port}{slash}{path}"
        return response

    cloudfront._check_viewer_protocol_policy = check_and_set_port


def show_sites_without_tls(application: Application, tls_port: int, plain_port: int) -> Application:
    """Serves each site also without TLS, for browsers that do not trust the authority.

    `http://LABEL.plain.localhost:PORT` returns the files of `LABEL.cloudfront.localhost` and
    replaces the platform's addresses in these files with addresses without TLS.
    """
    addresses = [
        (
            f"{scheme}s://127.0.0.1:{tls_port}".encode(),
            f"{scheme}://127.0.0.1:{plain_port}".encode(),
        )
        for scheme in ("http", "ws")
    ]

    def rewrite(content: bytes) -> bytes:
        for address, plain_address in addresses:
            content = content.replace(address, plain_address)
        return content

    async def respond(scope: Message, receive: Any, send: Any) -> None:
        host = dict(scope.get("headers", ())).get(b"host", b"").decode("latin-1")
        label, domain, _ = host.partition(PLAIN_DOMAIN)
        if not domain or scope["type"] != "http" or scope["scheme"] != "http":
            await application(scope, receive, send)
            return
        site = f"{label}.cloudfront.localhost:{tls_port}".encode()
        kept = [item for item in scope["headers"] if item[0] not in OWN_HEADERS]
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        scope = {**scope, "scheme": "https", "headers": [*kept, (b"host", site)]}
        await application(scope, receive, keep)
        start, *parts = messages
        body = rewrite(b"".join(part.get("body", b"") for part in parts))
        headers = [
            (name, rewrite(value))
            for name, value in start["headers"]
            if name.lower() != b"content-length"
        ]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return respond
