"""Sends cases to the running platform, remembers its responses, and checks them."""

from __future__ import annotations

import json
import re
import shlex
import tempfile
import time
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from hypothesis import assume

from ops.errors import OperatorError
from tests.api_description import ApiDescription, DescribedOperation
from tests.e2e.fuzz.cases import Case
from tests.e2e.fuzz.values import EarlierValue, Json, resolve
from tests.e2e.support.api_client import Api
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person, User

SLOW = 5.0
"""Seconds within which the platform must respond to every request."""

BUSY = 1.0
"""Seconds. If even a request without a token takes longer, other programs delay all requests."""

HEAD_LIMIT = 10_000
"""Maximum number of characters in the path and headers of a request.

API Gateway itself rejects requests whose request line and headers exceed 10,240 bytes.
"""

RENEWAL = 100
"""Number of requests after which rate limits and quotas are reset.

A reached limit would hide later defects.
"""

UNKNOWN = "0" * 32
"""An id that no response contains."""

_FILES = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "application/pdf": b"%PDF-1.7\n",
    "application/zip": b"PK\x03\x04",
}
"""The first bytes of uploaded files, by content type."""


_STATUSES_WITHOUT_OPERATION = frozenset({400, 401, 403, 404, 405, 413, 422, 429})
"""The accepted statuses of requests that match no operation.

The embedded API Gateway replaces bytes that are not UTF-8, so it returns 422 (invalid text) where
AWS returns 400 (invalid body).
"""

_ORIGIN = ("caller", "service")


def _origin(operation: DescribedOperation, caller: str) -> dict[str, str]:
    """Returns the caller and the service of a request.

    The values in the response may be valid only for this caller and service. For example, an
    uploaded file can be used only by the caller who uploaded it, and in the same service.
    """
    return dict(zip(_ORIGIN, (caller, operation.service), strict=True))


class Memory:
    """String values of earlier responses. The values of one JSON object form a group."""

    def __init__(self) -> None:
        self._groups: dict[tuple[frozenset[str], str], deque[dict[str, str]]] = defaultdict(
            lambda: deque(maxlen=64)
        )
        """The latest groups. The key contains the names of a group's values, and its service."""

    def learn(self, value: Json, context: Mapping[str, str]) -> None:
        """Remembers the short string values of all objects in `value`, together with `context`."""
        if isinstance(value, list):
            for item in value[:20]:
                self.learn(item, context)
        elif isinstance(value, dict):
            texts = {k: v for k, v in value.items() if isinstance(v, str) and 0 < len(v) < 2000}
            group = {**context, **texts}
            self._groups[frozenset(group), group.get("service", "")].append(group)
            for item in value.values():
                if isinstance(item, dict | list):
                    self.learn(item, context)

    def choose(self, wanted: EarlierValue, context: dict[str, str]) -> str:
        """Returns a value of an earlier response. Adds the other values of its group to `context`.

        Returns UNKNOWN if no earlier response had a value with this name.
        """
        candidates = [
            group
            for (names, _), groups in self._groups.items()
            if wanted.name in names
            for group in groups
        ]
        if wanted.related:
            agreeing = [g for g in candidates if all(g.get(n, v) == v for n, v in context.items())]
            closest = [g for g in agreeing if context.keys() & g.keys()]
            candidates = closest or agreeing or candidates
        if not candidates:
            return UNKNOWN
        # The objects in the latest responses are the most likely to still exist.
        group = candidates[-1 - wanted.index % len(candidates)]
        context.update({name: text for name, text in group.items() if name not in context})
        return group[wanted.name]


class World:
    """The platform, the callers of its API, and the values of earlier responses."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.memory = Memory()
        self.statuses: dict[str, Counter[int]] = defaultdict(Counter)
        """The number of responses with each status, by operation."""
        self.slowest = 0.0
        self._http = urllib3.PoolManager(retries=False, timeout=60.0)
        self._description = ApiDescription.load()
        self._api = Api(platform.api_url)
        self._sent = 0
        platform.reset_rate_limits()
        self._people = {
            name: Person.sign_up(platform, self._api) for name in ("user", "other", "moderator")
        }
        self._tokens = {name: self._sign_in(name) for name in (*self._people, "anonymous")}
        self._tokens["forger"] = "e30.e30.e30"
        for name, person in self._people.items():
            self.memory.learn({"userId": person.user_id}, {})
            self.memory.learn({"email": person.email, "password": person.password}, {})
            # The list routes return values for later requests, such as the ids of categories. The
            # first read of a profile also creates it, and only users with a profile can be invited.
            for operation in self._description.operations:
                if operation.method == "GET" and "{" not in operation.path:
                    response = self._api.get(operation.path, token=self._tokens[name])
                    self.memory.learn(response.json, _origin(operation, name))

    def _sign_in(self, name: str) -> str:
        """Returns a token of a new session, because requests may have ended the previous one."""
        if name == "anonymous":
            return str(self._api.post("/v1/auth/anonymous", {}).expect(201)["accessToken"])
        person = self._people[name]
        roles = ("moderator",) if name == "moderator" else ()
        return User.create(self.platform, person.display_name, *roles, user_id=person.user_id).token

    def _renew(self) -> None:
        self.platform.reset_rate_limits()
        dynamodb = self.platform.aws("dynamodb")
        for item in dynamodb.scan(TableName="ai-usage-local")["Items"]:
            key = {name: item[name] for name in ("user_id", "day")}
            dynamodb.delete_item(TableName="ai-usage-local", Key=key)

    def call(self, caller: str, method: str, path: str, body: object) -> Any:
        """Sends a valid request and returns the body of its response."""
        return self._api.call(method, path, body, token=self._sign_in(caller)).json

    def check(self, case: Case) -> None:
        """Sends the request of a case.

        If the response has a defect, fails with a command that repeats the request.
        """
        if self._sent % RENEWAL == 0:
            self._renew()
        self._sent += 1
        operation = case.operation
        context = _origin(operation, case.caller)
        path = self._path(case, context)
        body = _encode(self._resolved(case.body, context))
        headers = self._headers(case, body)
        url = f"{self.platform.api_url}{path}"
        head = len(path) + sum(len(name) + len(value) for name, value in headers.iteritems())
        assume(head < HEAD_LIMIT)
        response, seconds = self._send(operation.method, url, headers, body)
        if seconds > SLOW and not self.is_busy():
            # Sends the request again, because it may have been slow by chance.
            response, seconds = self._send(operation.method, url, headers, body)
        self.slowest = max(self.slowest, seconds)
        defects = [*self._defects(operation.method, path, response, seconds)]
        if defects:
            command = _curl(operation.method, url, headers, body)
            raise AssertionError(
                f"{'; '.join(defects)}\n{command}\nresponse: {response.status}"
                f" {dict(response.headers)}\n{response.data[:2000]!r}"
            )
        self.statuses[operation.name][response.status] += 1
        if response.status == 401 and case.caller in {*self._people, "anonymous"}:
            self._tokens[case.caller] = self._sign_in(case.caller)
        if response.status < 300 and response.data:
            self._learn(json.loads(response.data), context, body)
        if response.status in {201, 202} and operation.service == "auth":
            self._learn_code(json.loads(body or b"{}"))

    def is_busy(self) -> bool:
        """Returns True if other programs on the machine slow down all requests."""
        _, seconds = self._send("GET", f"{self.platform.api_url}/v1/auth/me", {}, None)
        return seconds > BUSY

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[urllib3.BaseHTTPResponse, float]:
        """Returns the response and the seconds that it took."""
        started = time.monotonic()
        response = self._http.request(method, url, headers=headers, body=body, redirect=False)
        return response, time.monotonic() - started

    def _path(self, case: Case, context: dict[str, str]) -> str:
        """Returns the path with its query. Adds the ids chosen for the path to `context`."""
        parameters = {}
        # Chooses the last path parameter first, because it is the most specific. The object from
        # which its value comes usually contains the ids for the other parameters too.
        for name, value in reversed(case.path.items()):
            if isinstance(value, EarlierValue):
                context[name] = self.memory.choose(value, context)
                parameters[name] = quote(context[name], safe="")
            else:
                parameters[name] = value
        path = re.sub(r"\{(\w+)\}", lambda match: parameters[match[1]], case.operation.path)
        query = [
            (name.encode(errors="surrogatepass"), _query_text(self._resolved(value, context)))
            for name, value in case.query
        ]
        return path + (f"?{urlencode(query)}" if query else "")

    def _resolved(self, value: Json, context: dict[str, str]) -> Json:
        return resolve(value, lambda wanted: self.memory.choose(wanted, context))

    def _headers(self, case: Case, body: bytes | None) -> urllib3.HTTPHeaderDict:
        headers = urllib3.HTTPHeaderDict()
        if case.caller in self._tokens:
            headers["Authorization"] = f"Bearer {self._tokens[case.caller]}"
        for name, value in case.headers:
            headers.add(name, value.encode().decode("latin-1"))
        if body is not None and "Content-Type" not in headers:
            headers["Content-Type"] = "application/json"
        return headers

    def _learn(self, document: Json, context: Mapping[str, str], body: bytes | None) -> None:
        ids = {n: text for n, text in context.items() if n.endswith("Id") or n in _ORIGIN}
        self.memory.learn(document, ids)
        if isinstance(document, dict) and "upload" in document and body:
            self._upload(document["upload"], json.loads(body))

    def _learn_code(self, request: Mapping[str, Any]) -> None:
        """If the request caused a mail with a code, remembers the code."""
        email = request.get("email")
        # read_mailed_code raises OperatorError if the request caused no mail with a code.
        with suppress(OperatorError):
            if email is not None:
                code = self.platform.read_mailed_code(email)
                self.memory.learn({"email": email, "code": code}, {})

    def _upload(self, form: Any, request: Mapping[str, Any]) -> None:
        """Uploads a file of the requested type and size, so that its key can be used."""
        first = _FILES.get(request["contentType"], b"")
        size = request["contentLength"]
        if size < 100_000:
            content = (first + b" " * size)[:size]
            fields = {**form["fields"], "file": ("file", content)}
            self._http.request("POST", form["url"], fields=fields, redirect=False)

    def _defects(
        self, method: str, path: str, response: urllib3.BaseHTTPResponse, seconds: float
    ) -> Iterator[str]:
        status, content = response.status, response.data
        # A malformed id can turn the path into that of another operation, or of no operation.
        if (
            self._description.find(method, path) is None
            and status not in _STATUSES_WITHOUT_OPERATION
        ):
            yield f"the request matches no operation, so its status must not be {status}"
        yield from self._description.find_defects(method, path, status, response.headers, content)
        if status >= 500:
            yield f"the status is {status}"
        if seconds > SLOW and not self.is_busy():
            yield f"the response took {seconds:.1f} s"
        if b"Traceback" in content or b"botocore" in content:
            yield "the response contains a stack trace or names botocore"


def _encode(body: Json) -> bytes | None:
    return body if body is None or isinstance(body, bytes) else json.dumps(body).encode()


def _query_text(value: Json) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode(errors="surrogatepass")


def _curl(method: str, url: str, headers: urllib3.HTTPHeaderDict, body: bytes | None) -> str:
    """Returns a command line that sends the request."""
    parts = ["curl", "--path-as-is", "-i", "-X", method, url]
    for name, value in headers.iteritems():
        # curl removes a header whose value is empty, unless it ends with a semicolon.
        parts += ["-H", f"{name}: {value}" if value else f"{name};"]
    if body is not None:
        if len(body) < 4000 and body.isascii() and b"\0" not in body:
            parts += ["--data-binary", body.decode()]
        else:
            file = Path(tempfile.gettempdir()) / f"body-{uuid.uuid4().hex}"
            file.write_bytes(body)
            parts += ["--data-binary", f"@{file}"]
    return shlex.join(parts)
