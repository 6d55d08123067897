"""The users, AWS clients and log lines that the scenario of a function uses."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import psutil
import urllib3

from tests.e2e.support.api_client import Api
from tests.e2e.support.function_processes import find_processes
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person, User

T = TypeVar("T")

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
"""A picture that passes the check of uploads, which reads only the first bytes."""


class Scenario(Protocol):
    """Calls every route of a service, or sends every event of a function.

    Yields each route (`GET /v1/posts/{postId}`) or event (`UserRegistered`) that succeeded. Raises
    AssertionError for one that failed. A scenario also covers rare cases of a route (a second
    page, a retry, a rejected body), because a permission that no scenario needs counts as
    unnecessary.
    """

    def __call__(self, context: ScenarioContext) -> Iterator[str]: ...


class ScenarioContext:
    """The platform for the scenarios of one function.

    Args:
        platform: the running platform.
        function: the function's name, for example `chat`. `wait_for` fails if the log of this
            function reports a missing permission.
    """

    def __init__(self, platform: Platform, function: str) -> None:
        self.platform = platform
        self.function = function
        self.api = Api(platform.api_url)
        self._users: dict[str, User] = {}
        self._since = 0
        self.ignore_earlier_lines()

    def ignore_earlier_lines(self) -> None:
        """Makes `find_refusals` ignore all log lines written before this call."""
        self._since = int(time.time() * 1000)

    def get_user(self, name: str) -> User:
        """Returns the user with this name. Creates the user at the first call."""
        return self._users.setdefault(name, User.create(self.platform, name))

    def create_person(self) -> Person:
        """Resets the rate limits, and returns a person who has not registered yet."""
        self.platform.reset_rate_limits()
        return Person(self.platform, self.api)

    def call(
        self,
        user: User,
        method: str,
        path: str,
        body: object = None,
        *,
        status: int = 200,
        key: str = "",
    ) -> Any:
        """Sends a request as a user, and returns the JSON body of the response.

        Args:
            status: the expected status.
            key: the Idempotency-Key. By default, the request has none.
        """
        headers = {"Idempotency-Key": key} if key else {}
        return self.api.call(method, path, body, token=user.token, headers=headers).expect(status)

    def client(self, service: str) -> Any:
        """Returns a boto3 client of the embedded AWS with the root key."""
        return self.platform.aws(service)

    def upload(self, signed: Any, content: bytes = PNG) -> str:
        """Uploads a file with a signed form, as a browser does, and returns its S3 key."""
        form = signed["upload"]
        fields = {**form["fields"], "file": ("picture", content, "application/octet-stream")}
        status = urllib3.request("POST", form["url"], fields=fields, retries=False).status
        assert status == 204, f"the upload returned {status}"
        return str(signed["key"])

    def find_refusals(self) -> list[str]:
        """Returns the log lines since `ignore_earlier_lines` that report a missing permission."""
        return [
            line
            for line in self.platform.read_log_lines(self.function, since=self._since)
            if "AccessDenied" in line or "not authorized to perform" in line
        ]

    def wait_for(self, find: Callable[[], T | None], seconds: float = 30.0) -> T:
        """Calls `find` until it returns a true value, and returns the value.

        Raises:
            AssertionError: `find` stayed false for `seconds`, or a permission is missing.
        """
        deadline = time.monotonic() + seconds
        while not (result := find()):
            assert time.monotonic() < deadline, f"no result within {seconds:.0f} s"
            refusals = self.find_refusals()
            assert not refusals, f"{self.function} lacks a permission: {refusals[0]}"
            time.sleep(0.1)
        return result

    def restart_function(self) -> None:
        """Kills the function's processes, so that the next call uses no cached values."""
        for process in find_processes(self.platform, self.function):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        # The embedded AWS detects a dead process only when a call to this process fails.
        call = {
            "FunctionName": f"{self.function}-lambda-local",
            "Qualifier": "live",
            "Payload": b"{}",
        }
        while b"Worker process died" in self.client("lambda").invoke(**call)["Payload"].read():
            continue
