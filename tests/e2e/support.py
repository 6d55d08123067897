"""The platform's addresses, an HTTP client, and users for the end-to-end tests."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import jwt
import urllib3

from ops.cloud import Cloud, connect
from ops.local.mail import verification_code
from ops.root import PROJECT, Root, read_json

T = TypeVar("T")

PASSWORD = "Correct-horse-1"
PROBLEM = "application/problem+json"
PROBLEM_MEMBERS = {"type", "title", "status", "detail", "code", "errors"}


def run_ops(root: Path, *arguments: str, given: str = "", variables: Mapping[str, str] = {}) -> str:
    """Runs `python -m ops` with `given` on its standard input, and returns its standard output.

    Args:
        variables: Environment variables in addition to those of this process.

    Raises:
        AssertionError: the command failed; the message is its standard error.
    """
    command = [sys.executable, "-m", "ops", *arguments, "--root", str(root)]
    environment = {**os.environ, **variables}
    result = subprocess.run(
        command,
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        input=given,
    )
    assert result.returncode == 0, (
        f"ops {' '.join(arguments)} ended with {result.returncode}:\n{result.stderr[-5000:]}"
    )
    return result.stdout


def eventually(find: Callable[[], T | None], seconds: float = 20.0, interval: float = 0.3) -> T:
    """Calls `find` until it returns a true value, and returns the value. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"nothing within {seconds:.0f} s: {found!r}"
        time.sleep(interval)
    return found


@dataclass(frozen=True)
class ApiResponse:
    """An HTTP response."""

    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes

    @functools.cached_property
    def json(self) -> Any:
        return json.loads(self.body)

    def expect(self, status: int) -> Any:
        """Checks the status and returns the JSON body, or None if there is no body."""
        assert self.status == status, (self.status, self.body)
        return self.json if self.body else None

    def problem(self, status: int, code: str | None = None) -> Any:
        """Returns the body, which must be a problem document (RFC 9457) with CORS headers."""
        document = self.expect(status)
        assert self.headers["Content-Type"] == PROBLEM
        assert document.keys() >= PROBLEM_MEMBERS
        assert document["status"] == status
        assert self.headers["Access-Control-Allow-Origin"] == "*"
        assert code is None or document["code"] == code, document
        return document

    def wrong_fields(self) -> set[str]:
        """Returns the invalid fields that a 422 response lists."""
        return {error["field"] for error in self.problem(422)["errors"]}


class Api:
    """An HTTP API with a base address."""

    def __init__(self, address: str, *, connections: int = 8) -> None:
        self.address = address
        self._pool = urllib3.PoolManager(retries=False, timeout=30.0, maxsize=connections)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] = {},
    ) -> ApiResponse:
        """Sends a request. A bytes body is sent unchanged, any other as JSON."""
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            sent["Content-Type"] = "application/json"
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        reply = self._pool.request(
            method,
            self.address + path,
            body=content,
            headers={**sent, **headers},
            redirect=False,
            preload_content=True,
        )
        return ApiResponse(reply.status, reply.headers, reply.data)

    def get(self, path: str, **options: Any) -> ApiResponse:
        return self.call("GET", path, **options)

    def post(self, path: str, body: object = None, **options: Any) -> ApiResponse:
        return self.call("POST", path, body, **options)

    def delete(self, path: str, **options: Any) -> ApiResponse:
        return self.call("DELETE", path, **options)

    def form(self, signed: Mapping[str, Any], content: bytes) -> ApiResponse:
        """Posts a file with a form that the platform has signed."""
        fields = {**signed["fields"], "file": ("file", content)}
        reply = self._pool.request("POST", signed["url"], fields=fields, redirect=False)
        return ApiResponse(reply.status, reply.headers, reply.data)

    def upload(
        self, path: str, content: bytes, *, token: str, content_type: str = "image/png"
    ) -> str:
        """Requests a signed form from a service, uploads the content, and returns its key."""
        body = {"contentType": content_type, "contentLength": len(content)}
        signed = self.post(path, body, token=token).expect(201)
        self.form(signed["upload"], content).expect(204)
        return str(signed["key"])


@dataclass(frozen=True)
class Platform:
    """A running platform."""

    root: Path
    own: bool
    """True if these tests started the platform and may break it."""
    cloud: Cloud
    api_url: str
    ws_url: str
    site_url: str
    outputs: Mapping[str, Any]
    since: int
    """The time when the tests first used the platform, in milliseconds since the epoch."""

    @classmethod
    def of(cls, root: Path, *, own: bool) -> Platform:
        """Returns the platform whose working directory is this root."""
        found = read_json(root / "platform.json")
        assert found, f"{root} has no platform.json: no platform runs there"
        addresses = {
            "api_url": found["apiUrl"],
            "ws_url": found["wsUrl"],
            "site_url": found["siteUrl"],
        }
        since = 0 if own else int(time.time() * 1000)
        return cls(
            root,
            own,
            connect("local", Root(root)),
            **addresses,
            outputs=found["outputs"],
            since=since,
        )

    @property
    def directory(self) -> Path:
        """The directory of the stack's Terraform files."""
        return self.root / "cdktf.out" / "stacks" / "local"

    def aws(self, service: str) -> Any:
        """Returns a boto3 client of the embedded AWS with the root key."""
        return self.cloud.client(service)

    def code_mailed_to(self, email: str) -> str:
        """Returns the code that `ops code` prints."""
        return verification_code(Root(self.root), email)

    def mails_to(self, email: str) -> int:
        """Returns the number of mails that the embedded AWS stored for an address."""
        reply = urllib3.request("GET", f"{self.cloud.endpoint}/_ministack/ses/messages").json()
        return sum(email in mail["To"] for mails in reply["messages"].values() for mail in mails)

    def forget_attempts(self) -> None:
        """Empties the table with the rate limits."""
        dynamodb, table = self.aws("dynamodb"), "auth-rate-limits-local"
        for page in dynamodb.get_paginator("scan").paginate(
            TableName=table, ProjectionExpression="limit_key"
        ):
            for item in page["Items"]:
                dynamodb.delete_item(TableName=table, Key=item)

    def signing_key(self) -> tuple[int, str]:
        """Returns the id and secret of the newest signing key."""
        parameter = self.aws("ssm").get_parameter(
            Name="/multitask/local/jwt-secret", WithDecryption=True
        )["Parameter"]
        return parameter["Version"], parameter["Value"]

    def served(self, address: str) -> ApiResponse:
        """Requests a CloudFront address on loopback, since not every resolver knows *.localhost."""
        parts = urlsplit(address)
        return Api(self.cloud.endpoint or "").get(parts.path, headers={"Host": parts.netloc})

    def logged(self, function: str) -> Iterator[str]:
        """Yields the lines that a function has logged since the tests began."""
        pages = self.aws("logs").get_paginator("filter_log_events")
        for page in pages.paginate(
            logGroupName=f"/aws/lambda/{function}-lambda-local", startTime=self.since
        ):
            yield from (event["message"] for event in page["events"])


@dataclass(frozen=True)
class User:
    """A user with a session but without an account. Creating an account takes longer."""

    user_id: str
    display_name: str
    token: str

    @classmethod
    def made(cls, platform: Platform, display_name: str, *roles: str) -> User:
        """Creates a session of a registered user with these roles. It lasts an hour."""
        user_id, session_id, now = str(uuid.uuid4()), uuid.uuid4().hex, int(time.time())
        session = {
            "session_id": {"S": session_id},
            "user_id": {"S": user_id},
            "display_name": {"S": display_name},
            "expires_at": {"N": str(now + 3600)},
        }
        platform.aws("dynamodb").put_item(TableName="auth-sessions-local", Item=session)
        claims = {"sub": user_id, "sid": session_id, "cap": [], "iat": now, "exp": now + 3600}
        kid, secret = platform.signing_key()
        token = jwt.encode(
            {**claims, "roles": ["user", *roles]}, secret, "HS256", headers={"kid": str(kid)}
        )
        return cls(user_id, display_name, token)

    @property
    def session_id(self) -> str:
        claims = jwt.decode(self.token, options={"verify_signature": False})
        return str(claims["sid"])


class Person:
    """A user with an account."""

    def __init__(self, platform: Platform, api: Api) -> None:
        self._platform = platform
        self._api = api
        self.email = f"person-{uuid.uuid4().hex[:12]}@example.com"
        self.password = PASSWORD
        self.display_name = "Ada Example"
        self.user_id = ""
        self.access_token = ""
        self.refresh_token = ""

    @classmethod
    def signed_in(cls, platform: Platform, api: Api) -> Person:
        """Registers, confirms and signs in a new user."""
        person = cls(platform, api)
        person.register()
        person.confirm()
        person.log_in()
        return person

    @property
    def session_id(self) -> str:
        return str(self.claims["sid"])

    @property
    def claims(self) -> dict[str, Any]:
        """The claims of the access token."""
        claims: dict[str, Any] = jwt.decode(self.access_token, options={"verify_signature": False})
        return claims

    def register(self) -> Any:
        body = {"email": self.email, "password": self.password, "displayName": self.display_name}
        response = self._api.post("/v1/auth/register", body).expect(201)
        self.user_id = response["userId"]
        return response

    def code(self) -> str:
        """Returns the last code mailed to the user."""
        return self._platform.code_mailed_to(self.email)

    def confirm(self) -> None:
        self._api.post("/v1/auth/confirm", {"email": self.email, "code": self.code()}).expect(200)

    def try_log_in(self, password: str | None = None, **more: Any) -> ApiResponse:
        body = {"email": self.email, "password": password or self.password, **more}
        return self._api.post("/v1/auth/login", body)

    def log_in(self, **more: Any) -> Any:
        return self._take(self.try_log_in(**more))

    def try_refresh(self, token: str | None = None) -> ApiResponse:
        return self._api.post("/v1/auth/refresh", {"refreshToken": token or self.refresh_token})

    def refresh(self) -> Any:
        return self._take(self.try_refresh())

    def me(self, token: str | None = None) -> ApiResponse:
        return self._api.get("/v1/auth/me", token=token or self.access_token)

    def _take(self, response: ApiResponse) -> Any:
        pair = response.expect(200)
        self.access_token, self.refresh_token = pair["accessToken"], pair["refreshToken"]
        return pair


class Inbox:
    """A queue that receives events."""

    def __init__(self, sqs: Any, url: str) -> None:
        self._sqs = sqs
        self._url = url
        self._events: list[dict[str, Any]] = []

    def of(self, person: Person, event_type: str) -> dict[str, Any]:
        """Returns the first event of this type whose actor is the person."""

        def find() -> dict[str, Any] | None:
            reply = self._sqs.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            for message in reply.get("Messages", []):
                self._events.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
            wanted = (event_type, person.user_id)
            return next(
                (e for e in self._events if (e["detail-type"], e["detail"]["actorId"]) == wanted),
                None,
            )

        return eventually(find, seconds=60)
