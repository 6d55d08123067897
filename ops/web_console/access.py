"""Admits only browsers on this machine that know the console's token, and sets security headers."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ops.embedded.ports import LOOPBACK

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
"""The Content-Security-Policy of the console. It allows no inline code and no other host."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
PARAMETER = "token"
"""The query parameter with the token, in the URL that `ops status` and `ops console` print."""
READ_METHODS = {"GET", "HEAD"}

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """ASGI middleware that rejects every request that is not from the console's own pages.

    The check of the Host header prevents DNS rebinding, and the check of Origin rejects requests
    from other sites. The token excludes other users of this machine. The first request contains the
    token in its URL, and later requests contain it in a cookie that scripts cannot read.

    Args:
        port: The port of the console, which is part of Host and Origin.
        token: The console's secret.
    """

    def __init__(self, app: ASGIApp, *, port: int, token: str) -> None:
        self._app, self._token = app, token
        self._hosts = {f"{LOOPBACK}:{port}", f"localhost:{port}"}
        # Browsers send cookies to all ports of a host, so each console has a separate cookie.
        self._cookie = f"console-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes admitted requests to the application. Adds security headers to all responses."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        query_token = QueryParams(scope["query_string"]).get(PARAMETER)
        rejection = self._rejection(scope, query_token)

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if query_token and not rejection:
                    headers.append(
                        "Set-Cookie",
                        f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/",
                    )
            await send(message)

        await (rejection or self._app)(scope, receive, send_protected)

    def _rejection(self, scope: Scope, query_token: str | None) -> Response | None:
        """Returns an error response if the request is not admitted, otherwise None."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self._hosts:
            return _reject(
                f"The console does not accept the host {host!r}: use {LOOPBACK} in the address"
            )
        origin = headers.get("origin")
        if origin not in {None, f"http://{host}"} or headers.get("sec-fetch-site") == "cross-site":
            # A link on another site may open the console's start page, but no other address of the
            # console.
            is_navigation = headers.get("sec-fetch-mode") == "navigate" and scope["path"] == "/"
            if scope["method"] not in READ_METHODS or not is_navigation:
                return _reject("Another site sent this request: use the pages of the console")
        if scope["method"] not in READ_METHODS:
            if origin is None:
                return _reject(
                    f"A {scope['method']} request needs the header Origin: http://{host}"
                )
            if headers.get("content-type") != "application/json":
                return _reject(
                    f"A {scope['method']} request needs the header Content-Type: application/json"
                )
        cookie = cookie_parser(headers.get("cookie", "")).get(self._cookie, "")
        if not self._is_token(query_token or cookie):
            return _reject(
                "The token is missing or wrong: open the address that `ops status` or `ops console`"
                " prints",
                HTTPStatus.UNAUTHORIZED,
            )
        return None

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())


def _reject(text: str, status: HTTPStatus = HTTPStatus.FORBIDDEN) -> Response:
    return PlainTextResponse(f"{text}\n", status)
