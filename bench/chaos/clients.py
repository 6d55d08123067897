"""Clients that write to the platform and record each acknowledged write."""

from __future__ import annotations

import json
import queue
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.e2e.support.api_client import Api, ApiResponse
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person

RETRY_INTERVAL = 0.2
"""Seconds between two attempts of the same write."""
RESPONSE_TIMEOUT = 15.0
"""Seconds to wait for the acknowledgement of a frame. Some faults stop a process for 10 s."""
PATIENCE = 60.0
"""Seconds for which clients retry their unfinished writes after the load has ended."""
LISTING = {
    "description": "A listing",
    "price": {"amount": 100, "currency": "EUR"},
    "category": "other",
}


@dataclass(frozen=True)
class Write:
    """A write that the platform acknowledged."""

    kind: str
    key: str
    """The unique text of the write, for example a post's content.

    Stored items are found by this text.
    """
    begun: float
    """Time at which the acknowledged attempt began, in seconds since the epoch."""
    acknowledged: float


class RefusedError(Exception):
    """The platform did not acknowledge a write: it sent no response, or an error."""


class UnfinishedError(RefusedError):
    """The function that handles an earlier attempt of the write has not finished yet."""


class Crew:
    """Two users, their chat room, and one client for each kind of write (post, like, message...).

    A client repeats a write with the same idempotency key until the platform acknowledges it. If a
    function was killed during the write, the platform rejects further attempts until the
    idempotency lease expires (35 s), so `finish` repeats the write later.

    Args:
        pause: seconds between two writes of a client.
    """

    def __init__(self, platform: Platform, *, pause: float = 0.1) -> None:
        self.platform = platform
        self.api = Api(platform.api_url, is_described=False)
        self.author, self.reader = self._new_person(), self._new_person()
        self.writes: list[Write] = []
        self.failures: dict[str, str] = {}
        """The error of the last attempt of each kind of write, if that attempt failed."""
        self.room = str(
            self.send(
                self.author, "POST", "/v1/chat/rooms", {"name": "Room", "type": "private"}
            ).expect(201)["roomId"]
        )
        self.commented = self._create_post(f"commented-{uuid.uuid4().hex}")
        self._unfinished: list[tuple[str, str]] = []
        """Kind and key of each write whose function was killed."""
        self._unliked: queue.Queue[str] = queue.Queue()
        self._socket: ClientConnection | None = None
        self._pause = pause
        self._stopped = threading.Event()
        self._kinds: dict[str, Callable[[str], object]] = {
            "sign-up": self._sign_up,
            "post": self._post,
            "like": self._like,
            "comment": self._comment,
            "listing": self._list,
            "message": self._say,
        }

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lets the clients write while the `with` block runs, then waits for their last writes."""
        threads = [threading.Thread(target=self._run, args=(kind,)) for kind in self._kinds]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join()
            if self._socket:
                self._socket.close()

    def finish(self) -> list[str]:
        """Repeats the writes during which a function was killed.

        Returns the writes that still fail.
        """
        deadline = time.monotonic() + PATIENCE
        left = self._unfinished
        while left and time.monotonic() < deadline:
            left = [(kind, key) for kind, key in left if not self._finish(kind, key)]
            time.sleep(RETRY_INTERVAL)
        self._unfinished = left
        return [f"{kind} {key}" for kind, key in left]

    def silent_kinds(self, since: float) -> set[str]:
        """Returns the kinds of write without an acknowledged attempt that began after `since`."""
        return self._kinds.keys() - {write.kind for write in self.writes if write.begun > since}

    def all_written_at(self, since: float) -> float:
        """Returns the time by which at least one write of each kind succeeded.

        Only writes that began after `since` count. `since` and the result are in seconds since the
        epoch.
        """
        first: dict[str, float] = {}
        for write in list(self.writes):
            if write.begun > since:
                first.setdefault(write.kind, write.acknowledged)
        return max(first.values())

    def acknowledged(self) -> dict[str, dict[str, Write]]:
        """Returns the acknowledged writes by kind (such as `post`) and key."""
        result: dict[str, dict[str, Write]] = defaultdict(dict)
        for write in list(self.writes):
            result[write.kind][write.key] = write
        return result

    def send(
        self, person: Person, method: str, path: str, body: object = None, key: str = ""
    ) -> ApiResponse:
        """Sends a REST request. Signs the person in again if the access token has expired."""
        headers = {"Idempotency-Key": key} if key else {}
        for _ in range(2):
            response = self.api.call(method, path, body, token=person.access_token, headers=headers)
            if response.status != 401:
                break
            person.log_in()
        return response

    def _run(self, kind: str) -> None:
        while not self._stopped.is_set():
            if kind != "like":
                self._write(kind, f"{kind}-{uuid.uuid4().hex}")
            else:
                try:
                    self._write(kind, self._unliked.get(timeout=0.1))
                except queue.Empty:
                    continue
            self._stopped.wait(self._pause)

    def _write(self, kind: str, key: str) -> None:
        deadline: float | None = None
        try:
            while not self._attempt(kind, key):
                if self._stopped.is_set():
                    deadline = deadline or time.monotonic() + PATIENCE
                    if time.monotonic() > deadline:
                        return
                time.sleep(RETRY_INTERVAL)
        except UnfinishedError:
            self._unfinished.append((kind, key))

    def _attempt(self, kind: str, key: str) -> bool:
        """Writes once, and returns True if the platform acknowledged it.

        Raises:
            UnfinishedError: the function of an earlier attempt has not finished.
        """
        begun = time.time()
        try:
            self._kinds[kind](key)
        except UnfinishedError:
            raise
        except Exception as error:
            self.failures[kind] = f"{type(error).__name__}: {error}"
            return False
        self.failures.pop(kind, None)
        self.writes.append(Write(kind, key, begun, time.time()))
        return True

    def _finish(self, kind: str, key: str) -> bool:
        try:
            return self._attempt(kind, key)
        except UnfinishedError:
            return False

    def _new_person(self) -> Person:
        self.platform.reset_rate_limits()
        person = Person(self.platform, self.api)
        # The password is unique, so that a search of the logs finds only this user's password.
        person.password = f"Aa1!{uuid.uuid4().hex}"
        person.register()
        person.confirm()
        person.log_in()
        return person

    def _sign_up(self, key: str) -> None:
        address = {"email": f"{key}@example.com"}
        person = {**address, "password": self.author.password, "displayName": "Ada Example"}
        self.platform.reset_rate_limits()
        registered = self.api.post("/v1/auth/register", person)
        if registered.status == 409:
            # An earlier attempt may have registered the address, but its mail may be lost.
            registered = self.api.post("/v1/auth/resend-confirmation", address)
            _expect(registered, 202)
        else:
            _expect(registered, 201)
        code = self.platform.read_mailed_code(address["email"])
        confirmed = self.api.post("/v1/auth/confirm", {**address, "code": code})
        if confirmed.status == 400:
            # An earlier attempt may have confirmed the address, but its response was lost.
            login = {**address, "password": self.author.password}
            confirmed = self.api.post("/v1/auth/login", login)
        _expect(confirmed, 200)

    def _create_post(self, content: str) -> str:
        response = self.send(self.author, "POST", "/v1/posts", {"content": content}, content)
        _expect(response, 201)
        return str(response.json["postId"])

    def _post(self, key: str) -> None:
        self._unliked.put(self._create_post(key))

    def _like(self, post: str) -> None:
        _expect(self.send(self.reader, "PUT", f"/v1/posts/{post}/like"), 204)

    def _comment(self, key: str) -> None:
        path = f"/v1/posts/{self.commented}/comments"
        _expect(self.send(self.reader, "POST", path, {"content": key}, key), 201)

    def _list(self, key: str) -> None:
        body = {**LISTING, "title": key}
        _expect(self.send(self.author, "POST", "/v1/catalog/listings", body, key), 201)

    def _say(self, key: str) -> None:
        try:
            if self._socket is None:
                self._socket = self._connect()
            self._request(self._socket, "send_message", content=key, clientMessageId=key)
        except Exception:
            self._socket = None
            raise

    def _connect(self) -> ClientConnection:
        response = self.send(self.author, "POST", "/v1/chat/tickets", {})
        _expect(response, 201)
        address = f"{self.platform.ws_url}?ticket={response.json['ticket']}"
        socket = connect(address, proxy=None, open_timeout=RESPONSE_TIMEOUT, ping_interval=None)
        self._request(socket, "join_room")
        return socket

    def _request(self, socket: ClientConnection, action: str, **members: Any) -> None:
        """Sends a frame for the room and waits for its acknowledgement."""
        request = uuid.uuid4().hex
        frame = {"action": action, "requestId": request, "roomId": self.room, **members}
        socket.send(json.dumps(frame))
        deadline = time.monotonic() + RESPONSE_TIMEOUT
        while True:
            response = json.loads(socket.recv(timeout=max(0.0, deadline - time.monotonic())))
            if response.get("requestId") == request:
                if response["type"] != "ack":
                    raise RefusedError(f"The frame {action} was not acknowledged: {response}")
                return


def _expect(response: ApiResponse, status: int) -> None:
    if response.status == 409 and b"request_in_progress" in response.body:
        raise UnfinishedError(response.body)
    if response.status != status:
        raise RefusedError(f"{response.status} {response.body[:200]!r}")
