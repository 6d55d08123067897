"""Tests TLS of the site, the REST API, the WebSocket API and the embedded AWS."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, Page
from playwright.sync_api import Error as BrowserError
from websockets.sync.client import connect

from ops.embedded import EmbeddedCloud
from ops.embedded.certificates import Certificates
from ops.embedded.services import ACCESS_KEY, SECRET_KEY
from ops.root import Root, read_json
from tests.browser import open_browser
from tests.e2e.edge.test_websocket_tickets import issue_ticket
from tests.e2e.services.test_profile import create_png
from tests.e2e.support.api_client import Api
from tests.e2e.support.files import read_files
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person

OPEN_SOCKET = """(url) => new Promise((resolve, reject) => {
  const socket = new WebSocket(url);
  socket.onopen = () => socket.send(JSON.stringify({action: "ping", requestId: "r"}));
  socket.onmessage = (event) => resolve(JSON.parse(event.data).action);
  socket.onerror = () => reject(new Error("the WebSocket failed"));
})"""


@pytest.fixture
def certificates(platform: Platform) -> Certificates:
    return Certificates(Root(platform.root))


@pytest.fixture
def other_authority(tmp_path: Path) -> Path:
    other = Certificates(Root(tmp_path))
    other.renew()
    return other.authority


@pytest.fixture
def plain_address(platform: Platform) -> str:
    addresses = EmbeddedCloud(Root(platform.root)).addresses()
    assert addresses
    return addresses.plain_aws


@contextmanager
def browser_with(authority: Path) -> Iterator[Browser]:
    """Starts a Chromium that trusts `authority`, even if the operating system does not."""
    certificate = x509.load_pem_x509_certificate(authority.read_bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode()
    with open_browser(f"--ignore-certificate-errors-spki-list={digest}") as browser:
        yield browser


def open_site(browser: Browser, url: str) -> tuple[Page, list[str]]:
    """Opens the status page and waits until it shows the state of the platform.

    Returns the page, and a list of its console messages and JavaScript errors.
    """
    page = browser.new_page()
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(url)
    page.wait_for_selector("#summary[data-state]", timeout=60_000)
    return page, messages


def test_a_browser_that_trusts_the_authority_opens_the_site_and_both_apis(
    platform: Platform, person: Person, certificates: Certificates
) -> None:
    with browser_with(certificates.authority) as browser:
        page, messages = open_site(browser, platform.site_url)
        assert page.inner_text("#summary") == "All checks passed."
        assert page.locator("#health-link").get_attribute("href") == f"{platform.api_url}/health"
        url = f"{platform.ws_url}?ticket={issue_ticket(platform, person)}"
        assert url.startswith("wss://")
        assert page.evaluate(OPEN_SOCKET, url) == "ping"
        assert messages == []


def test_a_browser_that_does_not_trust_the_authority_refuses_the_site(
    platform: Platform, other_authority: Path
) -> None:
    with (
        browser_with(other_authority) as browser,
        pytest.raises(BrowserError, match="ERR_CERT_AUTHORITY_INVALID"),
    ):
        browser.new_page().goto(platform.site_url)


def test_a_browser_that_does_not_trust_the_authority_opens_the_site_over_plain_http(
    platform: Platform, plain_address: str
) -> None:
    description: Any = read_json(platform.root / "platform.json")
    with open_browser() as browser:
        page, messages = open_site(browser, description["plainSiteUrl"])
        assert page.inner_text("#summary") == "All checks passed."
        address = page.locator("#health-link").get_attribute("href")
        assert (address or "").startswith(plain_address)
        assert messages == []


def test_cloudfront_redirects_plain_requests_to_tls(platform: Platform, plain_address: str) -> None:
    site = urlsplit(platform.site_url)
    host = f"{site.hostname}:{urlsplit(plain_address).port}"
    for method, status in (("GET", 301), ("HEAD", 301)):
        response = urllib3.request(
            method, f"{plain_address}/a?b=c", headers={"Host": host}, redirect=False
        )
        assert response.status == status
        assert response.headers["Location"] == f"{platform.site_url}/a?b=c"


def test_clients_that_trust_another_authority_refuse_the_apis(
    platform: Platform, other_authority: Path
) -> None:
    with (
        urllib3.PoolManager(ca_certs=str(other_authority), retries=False) as pool,
        pytest.raises(urllib3.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        pool.request("GET", platform.outputs["health_url"])
    tls = ssl.create_default_context(cafile=str(other_authority))
    with pytest.raises(ssl.SSLCertVerificationError), connect(platform.ws_url, ssl=tls, proxy=None):
        pass


def test_clients_that_trust_the_authority_can_use_the_apis(
    platform: Platform, person: Person
) -> None:
    authority = str(platform.cloud.authority)
    with urllib3.PoolManager(ca_certs=authority) as pool:
        assert pool.request("GET", platform.outputs["health_url"]).status == 200
    tls = ssl.create_default_context(cafile=authority)
    url = f"{platform.ws_url}?ticket={issue_ticket(platform, person)}"
    with connect(url, ssl=tls, proxy=None, open_timeout=30) as socket:
        socket.send(json.dumps({"action": "ping", "requestId": "r"}))
        assert json.loads(socket.recv(timeout=30))["action"] == "ping"


def test_a_signed_upload_works_over_tls_only(
    platform: Platform, api: Api, person: Person, plain_address: str
) -> None:
    picture = create_png(4)
    request = {"contentType": "image/png", "contentLength": len(picture)}
    response = api.call("POST", "/v1/profile/avatar", request, token=person.access_token)
    form = response.expect(201)["upload"]
    fields = {**form["fields"], "file": ("picture", picture, "image/png")}
    assert form["url"].startswith(platform.outputs["api_url"].partition("/restapis")[0])
    plain = plain_address + form["url"].removeprefix(str(platform.cloud.endpoint))
    assert urllib3.request("POST", plain, fields=fields).status == 403
    assert urllib3.request("POST", form["url"], fields=fields).status == 204


def test_the_deployed_queues_refuse_plain_http(platform: Platform, plain_address: str) -> None:
    sqs = platform.aws("sqs")
    url = sqs.get_queue_url(QueueName=platform.outputs["queues"]["profile-events"])["QueueUrl"]
    assert sqs.get_queue_attributes(QueueUrl=url)
    plain = boto3.client(
        "sqs",
        region_name=platform.cloud.environment.region,
        endpoint_url=plain_address,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    with pytest.raises(plain.exceptions.ClientError, match="AccessDenied"):
        plain.get_queue_attributes(QueueUrl=url)


def test_private_keys_are_in_no_log_state_or_plan(
    platform: Platform, certificates: Certificates
) -> None:
    directory = certificates.authority.parent
    keys = {
        line
        for file in (directory / "server.pem", directory / "authority-key.pem")
        for line in private_key(file.read_bytes()).splitlines()
    }
    assert keys
    for file, content in read_files(platform.root):
        if file.parent != directory:
            assert not any(line in content for line in keys), file


def private_key(content: bytes) -> bytes:
    """Returns the base64 lines of the private key in a PEM file."""
    begin, end = b"-----BEGIN PRIVATE KEY-----\n", b"-----END PRIVATE KEY-----"
    return content.partition(begin)[2].partition(end)[0]
