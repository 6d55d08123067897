"""Tests a front end built by Vite, published with `ops publish-site`, in Chromium.

Its pages call the APIs with the generated types, from the site's own origin.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from ops.deployment.site.operations import publish_under_lock
from tests.browser import check_accessibility
from tests.e2e.support.chat_users import ChatUser
from tests.e2e.support.commands import run_ops
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person
from tests.watched_page import OpenPage

PHONE_WIDTH = 360
"""The narrowest width of a phone, in pixels."""
MESSAGE_TIMEOUT = 30_000
"""Milliseconds that a message may take to arrive, or a connection to be restored."""
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
STATUSES = {
    "GET /health": (200, ""),
    "GET /v1/auth/me": (200, ""),
    "GET /v1/profile": (200, ""),
    "PATCH /v1/profile": (412, "stale_version"),
    "GET /v1/chat/rooms": (200, ""),
    "POST /v1/posts": (201, ""),
    "PUT /v1/posts/{postId}/like": (204, ""),
    "DELETE /v1/posts/{postId}": (204, ""),
    "GET /v1/catalog/listings": (200, ""),
    "GET /v1/ai/conversations": (200, ""),
    "GET /v1/profile of the gateway": (401, "unauthorized"),
    "GET /nothing of the gateway": (404, "not_found"),
}


@pytest.fixture(scope="module", autouse=True)
def published(platform: Platform, front_end: Path) -> Iterator[None]:
    """Publishes the front end with `ops publish-site`. Restores the project's site at the end."""
    result = json.loads(run_ops(platform.root, "publish-site", "local", str(front_end), "--json"))
    assert "index.html" in result["published"]
    yield
    publish_under_lock(platform.cloud, platform.outputs)


def create_png(width: int) -> bytes:
    """Returns a black PNG image that is `width` pixels wide and 1 pixel high."""

    def chunk(type_: bytes, content: bytes) -> bytes:
        body = type_ + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * (1 + 3 * width))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    )


def sign_in(page: Page, person: Person) -> None:
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("status")).to_have_text(f"Signed in as {person.display_name}")


def follow(page: Page, path: str) -> None:
    """Opens a page with the client-side router of the front end, without reloading the document."""
    page.evaluate(
        """(path) => {
            history.pushState(null, "", path);
            dispatchEvent(new PopStateEvent("popstate"));
        }""",
        path,
    )


def test_the_built_files_are_served_unchanged(platform: Platform, front_end: Path) -> None:
    for file in (file for file in front_end.rglob("*") if file.is_file()):
        name = file.relative_to(front_end).as_posix()
        if name == "config.json":
            continue
        response = platform.fetch_from_cdn(f"{platform.site_url}/{name}")
        assert (response.status, response.body) == (200, file.read_bytes()), name
        is_immutable = name.startswith("assets/") and not name.endswith(".map")
        assert ("immutable" in response.headers["Cache-Control"]) is is_immutable, name
    configuration = platform.fetch_from_cdn(f"{platform.site_url}/config.json").json
    assert configuration["apiUrl"] == platform.api_url
    missing = platform.fetch_from_cdn(f"{platform.site_url}/assets/missing.js")
    assert missing.status in {403, 404}, (
        "a missing file must return 404 (S3, because FindSite allows s3:ListBucket) or 403"
        " (ministack)"
    )


def test_fonts_and_pictures_of_the_stylesheets_are_loaded(open_page: OpenPage) -> None:
    page = open_page("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("local")
    page.evaluate("document.fonts.ready")
    loaded = "() => [...document.fonts].filter((font) => font.status === 'loaded').length"
    assert page.evaluate(loaded) == 1
    image = page.evaluate("getComputedStyle(document.querySelector('.banner')).backgroundImage")
    address = image.removeprefix('url("').partition('"')[0]
    width = """async (address) => {
        const image = new Image();
        image.src = address;
        await image.decode();
        return image.naturalWidth;
    }"""
    assert page.evaluate(width, address) == 96


def test_deep_links_load_their_lazy_chunk(open_page: OpenPage) -> None:
    page = open_page("/rooms/some-room")
    expect(page.get_by_role("heading", level=1)).to_have_text("Room some-room")
    scripts = page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert any("/assets/chat-" in name for name in scripts)
    assert not any("/assets/pictures-" in name for name in scripts)
    page.get_by_role("link", name="pictures").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Pictures")


def test_pages_can_call_every_service_and_read_errors_of_the_gateway(
    open_page: OpenPage, person: Person
) -> None:
    page = open_page("/")
    sign_in(page, person)
    page.get_by_role("link", name="services").click()
    page.get_by_role("button", name="Call every service").click()
    calls = page.locator("#calls li")
    expect(calls).to_have_count(len(STATUSES), timeout=MESSAGE_TIMEOUT)
    rows = [json.loads(item.get_attribute("data-row") or "") for item in calls.all()]
    assert {row["call"]: (row["status"], row["code"]) for row in rows} == STATUSES
    of_functions = [row for row in rows if not row["call"].endswith("of the gateway")]
    assert all(row["correlationId"] for row in of_functions)
    by_call = {row["call"]: row for row in rows}
    assert by_call["GET /v1/profile"]["etag"]
    assert by_call["POST /v1/posts"]["correlationId"] == "from-a-page"


def test_a_page_uploads_a_picture_to_s3_and_shows_it_from_the_cdn(
    open_page: OpenPage, platform: Platform, person: Person
) -> None:
    page = open_page("/")
    sign_in(page, person)
    page.get_by_role("link", name="pictures").click()
    picture = {"name": "a.png", "mimeType": "image/png", "buffer": create_png(48)}
    page.get_by_label("Picture").set_input_files(picture)  # type: ignore[arg-type]
    expect(page.get_by_role("status")).to_have_text("Shown, 48 px wide", timeout=MESSAGE_TIMEOUT)
    address = page.get_by_role("img").get_attribute("src") or ""
    assert urlsplit(address).netloc == urlsplit(platform.outputs["cdn_url"]).netloc


def test_a_page_reconnects_after_a_cut_network_and_shows_missed_messages_once(
    open_page: OpenPage, platform: Platform, person: Person, other: Person
) -> None:
    sender = ChatUser(platform, other)
    room = sender.create_room("public")
    sender.send_message(room, "before")
    page = open_page("/")
    sign_in(page, person)
    ChatUser(platform, person).call("POST", f"/rooms/{room}/join", {}).expect(200)
    tickets: list[str] = []
    page.on("websocket", lambda socket: tickets.append(socket.url))
    follow(page, f"/rooms/{room}")
    state, messages = page.get_by_role("status"), page.locator("#messages li")
    expect(state).to_have_text("joined", timeout=MESSAGE_TIMEOUT)
    page.get_by_label("Message").fill("from the page")
    page.get_by_role("button", name="Send").click()
    expect(messages).to_have_text(["before", "from the page"], timeout=MESSAGE_TIMEOUT)
    page.context.set_offline(True)
    expect(state).to_have_text("offline")
    sender.send_message(room, "during the cut")
    page.context.set_offline(False)
    expect(state).to_have_text("joined", timeout=MESSAGE_TIMEOUT)
    sender.send_message(room, "after the cut")
    expected = ["before", "from the page", "during the cut", "after the cut"]
    expect(messages).to_have_text(expected, timeout=MESSAGE_TIMEOUT)
    assert len(set(tickets)) == len(tickets) > 1, "each connection must have its own ticket"
    assert person.access_token not in "".join(tickets)


def test_pages_are_accessible_in_both_color_schemes_and_fit_a_phone(open_page: OpenPage) -> None:
    page = open_page("/", width=PHONE_WIDTH)
    for path in ("/", "/services", "/pictures", "/rooms/some-room"):
        follow(page, path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            check_accessibility(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH, path
