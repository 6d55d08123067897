"""Calls the REST API as one person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import urllib3

from ops.errors import OperatorError

SECONDS = 30.0
"""Seconds to wait for a response. API Gateway itself returns an error after 29."""


class Client:
    """Sends requests with a person's access token.

    Args:
        api: URL of the REST API.
        pool: Connections, which several clients can share.
        token: The access token, or None for public routes.
    """

    def __init__(self, api: str, pool: urllib3.PoolManager, token: str | None = None) -> None:
        self._api, self._pool = api, pool
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def call(self, method: str, path: str, body: Any = None, *, allow: int | None = None) -> Any:
        """Sends a request and returns the body of the response, or None if the body is empty.

        Args:
            body: Sent as JSON.
            allow: An HTTP status that is not an error here. The result is then None.

        Raises:
            OperatorError: The API rejected the request. The message contains no token and no body.
        """
        headers = self._headers | ({} if body is None else {"Content-Type": "application/json"})
        content = None if body is None else json.dumps(body).encode()
        response = self._send(method, self._api + path, path, headers=headers, body=content)
        if response.status == allow:
            return None
        if response.status >= 400:
            raise OperatorError(
                f"{method} {path} returned {response.status}{_problem(response.data)}."
                " Run the command again"
            )
        return json.loads(response.data) if response.data else None

    def list_items(self, path: str, **parameters: str) -> Iterator[dict[str, Any]]:
        """Yields the items of all pages of a list."""
        cursor: str | None = ""
        while cursor is not None:
            query = {"limit": "100", **parameters, **({"cursor": cursor} if cursor else {})}
            page = self.call("GET", f"{path}?{urlencode(query)}")
            yield from page["items"]
            cursor = page["nextCursor"]

    def upload(self, path: str, content: bytes) -> str:
        """Uploads a PNG to S3. Returns the key of the S3 object.

        Args:
            path: The route that returns the signed form for the upload.
            content: The content of the PNG file.
        """
        form = self.call("POST", path, {"contentType": "image/png", "contentLength": len(content)})
        fields = {**form["upload"]["fields"], "file": ("picture.png", content, "image/png")}
        response = self._send("POST", form["upload"]["url"], "the upload to S3", fields=fields)
        if response.status >= 400:
            raise OperatorError(
                f"Uploading a picture returned {response.status}. Run the command again"
            )
        return str(form["key"])

    def _send(self, method: str, url: str, target: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """Sends a request. An error message contains `target` instead of the URL."""
        try:
            return self._pool.request(method, url, timeout=SECONDS, **options)
        except urllib3.exceptions.HTTPError as error:
            raise OperatorError(
                f"{method} {target} got no response ({type(error).__name__}): check `ops status`"
            ) from error


def _problem(body: bytes) -> str:
    """Returns code and detail of an error response, or "" if its body is not problem details."""
    try:
        problem = json.loads(body)
        return f" {problem['code']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return ""
