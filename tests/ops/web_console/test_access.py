"""Tests which requests the console admits, and the headers of its responses."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from ops.local.console_process import local_token
from ops.root import Root
from tests.ops.web_console.client import COOKIE, HOST, ORIGIN, PORT, TOKEN, ConsoleClient
from tests.ops.web_console.conftest import open_unconnected_console

STATUS = "/api/status"


@pytest.fixture
def console(root: Root) -> ConsoleClient:
    return open_unconnected_console(root)


@pytest.fixture
def writing_console(root: Root) -> ConsoleClient:
    return open_unconnected_console(root, write=True)


def test_the_address_with_the_token_sets_a_cookie_that_later_requests_use(
    console: ConsoleClient,
) -> None:
    first = console.get(f"/?token={TOKEN}", cookie=None)
    assert first.status == 200
    cookie = first.headers["set-cookie"]
    assert cookie == f"{COOKIE}; HttpOnly; SameSite=Strict; Path=/"
    assert console.get(STATUS, cookie=cookie.partition(";")[0]).status == 200


@pytest.mark.parametrize("path", ["/", "/app.js", STATUS, "/api/tables", "/api/live/requests"])
@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], f"{TOKEN}x", "ü"])
def test_requests_without_the_token_are_rejected(
    console: ConsoleClient, path: str, token: str
) -> None:
    cookie = f"console-{PORT}={token}" if token else None
    assert console.get(path, cookie=cookie).status == 401
    response = console.get(f"{path}?token=wrong", cookie=None)
    assert response.status == 401
    assert "set-cookie" not in response.headers


def test_a_wrong_token_in_the_address_is_rejected_even_with_a_valid_cookie(
    console: ConsoleClient,
) -> None:
    assert console.get("/?token=wrong").status == 401


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        "127.0.0.1",
        "127.0.0.1:1",
        f"127.0.0.1.nip.io:{PORT}",
    ],
)
def test_other_host_names_are_rejected_even_with_the_token(
    console: ConsoleClient, host: str
) -> None:
    assert console.get(STATUS, host=host).status == 403


@pytest.mark.parametrize("host", [HOST, f"localhost:{PORT}"])
def test_the_consoles_own_host_names_are_admitted(console: ConsoleClient, host: str) -> None:
    assert console.get(STATUS, host=host).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", None])
def test_a_post_request_from_another_site_is_rejected(
    writing_console: ConsoleClient, origin: str | None
) -> None:
    response = writing_console.post("/api/redrive", {"queue": "relay-retries"}, origin=origin)
    assert response.status == 403


def test_a_post_request_that_is_not_json_is_rejected(
    writing_console: ConsoleClient,
) -> None:
    for content_type in ("application/x-www-form-urlencoded", "text/plain", None):
        response = writing_console.post("/api/redrive", {}, content_type=content_type)
        assert response.status == 403


def test_another_site_can_link_to_the_start_page_but_cannot_read_data(
    console: ConsoleClient,
) -> None:
    foreign = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert console.get("/", **foreign).status == 200
    assert console.get(STATUS, **foreign).status == 403
    assert console.get(STATUS, sec_fetch_site="cross-site", sec_fetch_mode="no-cors").status == 403
    assert console.get(STATUS, origin="https://evil.example").status == 403
    assert console.get(STATUS, origin=ORIGIN).status == 200


@pytest.mark.parametrize("path", ["/", "/app.js", STATUS, "/api/nothing", "/?token=wrong"])
def test_every_response_has_the_security_headers(console: ConsoleClient, path: str) -> None:
    headers = console.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def test_paths_that_change_something_reject_get_requests(writing_console: ConsoleClient) -> None:
    for action in ("invoke", "redrive", "event", "rollback", "reports"):
        assert writing_console.get(f"/api/{action}").status in {404, 405}


def test_the_token_is_readable_only_by_its_owner_and_stays_the_same(root: Root) -> None:
    token = local_token(root)
    assert len(token) >= 43
    assert (root.path / "console-token").stat().st_mode & 0o077 == 0
    assert local_token(root) == token


def test_static_files_contain_no_inline_code_and_no_external_addresses() -> None:
    static = Path("ops/web_console/static")
    page = (static / "index.html").read_text()
    assert "<style" not in page
    assert " style=" not in page
    assert " on" not in page.replace(" one", "")
    assert page.count("<script") == page.count('<script type="module" src="/')
    for file in static.rglob("*.js"):
        if file.parent.name != "vendor":
            text = file.read_text()
            assert "dangerouslySetInnerHTML" not in text
            assert "innerHTML" not in text
            assert "https://" not in text
            assert "eval(" not in text


def test_the_server_listens_on_loopback_only(console_server: psutil.Process) -> None:
    listening = [
        connection.laddr.ip
        for connection in console_server.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == ["127.0.0.1"]
