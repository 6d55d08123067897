"""Tests the errors of the client that creates the demo data."""

from __future__ import annotations

import json
from typing import Any

import pytest
import urllib3

from ops.errors import OperatorError
from ops.seed.client import Client

API = "https://api.example.com"
FORM = json.dumps({"key": "k", "upload": {"url": "https://bucket.example.com/?s=x", "fields": {}}})


class Pool(urllib3.PoolManager):
    """Returns or raises the given results, one per request."""

    def __init__(self, *results: tuple[int, str] | Exception) -> None:
        super().__init__()
        self._results = list(results)

    def request(self, *_: Any, **__: Any) -> Any:
        result = self._results.pop(0)
        if isinstance(result, Exception):
            raise result
        return urllib3.HTTPResponse(result[1].encode(), status=result[0])


@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", "", "[]", "{}"])
def test_an_error_without_problem_details_is_reported_with_its_status(body: str) -> None:
    with pytest.raises(OperatorError, match=r"^GET /v1/rooms returned 502\. Run"):
        Client(API, Pool((502, body))).call("GET", "/v1/rooms")


def test_an_error_is_reported_with_its_code_and_detail() -> None:
    body = json.dumps({"code": "not_found", "detail": "The room does not exist"})
    with pytest.raises(OperatorError, match="returned 404 not_found: The room does not exist"):
        Client(API, Pool((404, body))).call("GET", "/v1/rooms/1")


def test_a_lost_connection_during_an_upload_is_reported_without_the_signed_url() -> None:
    lost = urllib3.exceptions.ProtocolError("connection reset")
    client = Client(API, Pool((201, FORM), lost))
    with pytest.raises(OperatorError, match="upload to S3 got no response") as raised:
        client.upload("/v1/pictures", b"png")
    assert "bucket.example.com" not in str(raised.value)
