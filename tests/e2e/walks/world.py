"""Helpers for the walks through a function's routes and events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import psutil
import urllib3

from ops.embedded import EmbeddedCloud
from ops.root import Root
from tests.e2e.support import Api, Person, Platform, User

T = TypeVar("T")

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
"""A picture that passes the check of uploads, which reads only the first bytes."""


class Walk(Protocol):
    """Calls every route of a service, or sends every event of a function.

    Yields each route (`GET /v1/posts/{postId}`) or event (`UserRegistered`) that succeeded. Raises
    AssertionError for one that failed. The walk also covers rare cases of a route (a second page, a
    retry, a rejected body), because a permission that no walk needs counts as unnecessary.
    """

    def __call__(self, world: World) -> Iterator[str]: ...


class World:
    """The platform for the walks of one function.

    Args:
        platform: the applied platform.
        function: the function. `eventually` stops waiting if its log reports a missing permission.
    """

    def __init__(self, platform: Platform, function: str) -> None:
        self.platform = platform
        self.function = function
        self.api = Api(platform.api_url)
        self._made: dict[str, User] = {}
        self._since = 0
        self.begin()

    def begin(self) -> None:
        """Makes `refusals` ignore the log lines until now."""
        self._since = int(time.time() * 1000)

    def user(self, name: str) -> User:
        """Returns a registered user, the same one for the same name."""
        return self._made.setdefault(name, User.made(self.platform, name))

    def person(self) -> Person:
        """Returns a person who has not registered yet, and resets the rate limits."""
        self.platform.forget_attempts()
        return Person(self.platform, self.api)

    def client(self, service: str) -> Any:
        """Returns a boto3 client of the embedded AWS with the root key."""
        return self.platform.aws(service)

    def upload(self, signed: Any, content: bytes = PNG) -> str:
        """Uploads with a signed form, as a browser does, and returns the key."""
        form = signed["upload"]
        fields = {**form["fields"], "file": ("picture", content, "application/octet-stream")}
        status = urllib3.request("POST", form["url"], fields=fields, retries=False).status
        assert status == 204, f"the upload returned {status}"
        return str(signed["key"])

    def refusals(self) -> list[str]:
        """Returns the function's log lines since `begin` that report a missing permission."""
        pages = self.client("logs").get_paginator("filter_log_events")
        group = f"/aws/lambda/{self.function}-lambda-local"
        lines = [
            str(event["message"])
            for page in pages.paginate(logGroupName=group, startTime=self._since)
            for event in page["events"]
        ]
        return [
            line for line in lines if "AccessDenied" in line or "not authorized to perform" in line
        ]

    def eventually(self, find: Callable[[], T | None], seconds: float = 30.0) -> T:
        """Calls `find` until it returns a true value, and returns the value.

        Raises:
            AssertionError: `find` stayed false for `seconds`, or a permission is missing.
        """
        deadline = time.monotonic() + seconds
        while not (found := find()):
            assert time.monotonic() < deadline, f"nothing within {seconds:.0f} s"
            assert not self.refusals(), "a permission is missing"
            time.sleep(0.1)
        return found

    def forget(self) -> None:
        """Kills the function's processes, so that the next call uses no cached values."""
        cloud = EmbeddedCloud(Root(self.platform.root)).running()["aws"].find()
        assert cloud
        for process in cloud.children(recursive=True):
            try:
                if (
                    process.environ().get("AWS_LAMBDA_FUNCTION_NAME")
                    == f"{self.function}-lambda-local"
                ):
                    process.kill()
            except psutil.Error:
                continue
        # The embedded AWS notices each dead process only when a call to it fails.
        call = {
            "FunctionName": f"{self.function}-lambda-local",
            "Qualifier": "live",
            "Payload": b"{}",
        }
        while b"Worker process died" in self.client("lambda").invoke(**call)["Payload"].read():
            continue
