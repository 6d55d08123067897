"""What a walk through a function's routes and events is made with."""

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
"""As much of a picture as an upload is checked for."""


class Walk(Protocol):
    """Calls every route of one service, or brings a function every event it takes.

    It yields the name of each (`GET /v1/posts/{postId}`, `UserRegistered`) once it has seen it succeed, and raises AssertionError
    where one did not. What a route needs only now and then (a second page, a repeat, a refused body) belongs to the walk too: a
    permission that no walk misses is one that nobody needs.
    """

    def __call__(self, world: World) -> Iterator[str]: ...


class World:
    """The platform as the walks of one function see it.

    Args:
        platform: the applied platform.
        function: whose walks they are; waiting ends when its log tells of a refusal.
    """

    def __init__(self, platform: Platform, function: str) -> None:
        self.platform = platform
        self.function = function
        self.api = Api(platform.api_url)
        self._made: dict[str, User] = {}
        self._since = 0
        self.begin()

    def begin(self) -> None:
        """Forgets what happened before."""
        self._since = int(time.time() * 1000)

    def user(self, name: str) -> User:
        """Somebody registered; the same one for the same name."""
        return self._made.setdefault(name, User.made(self.platform, name))

    def person(self) -> Person:
        """Somebody who is about to register; attempts to register are not limited."""
        self.platform.forget_attempts()
        return Person(self.platform, self.api)

    def client(self, service: str) -> Any:
        """A client of the embedded AWS with the root key's rights."""
        return self.platform.aws(service)

    def upload(self, signed: Any, content: bytes = PNG) -> str:
        """Uploads by a signed form, as a browser does; gives the key."""
        form = signed["upload"]
        fields = {**form["fields"], "file": ("picture", content, "application/octet-stream")}
        status = urllib3.request("POST", form["url"], fields=fields, retries=False).status
        assert status == 204, f"the upload was answered {status}"
        return str(signed["key"])

    def refusals(self) -> list[str]:
        """Lines of the function's log since the beginning that tell of a permission it lacks."""
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
        """What `find` gives once it gives something.

        Raises:
            AssertionError: it gives nothing within so many seconds, or the function was refused something.
        """
        deadline = time.monotonic() + seconds
        while not (found := find()):
            assert time.monotonic() < deadline, f"nothing within {seconds:.0f} s"
            assert not self.refusals(), "a permission is missing"
            time.sleep(0.1)
        return found

    def forget(self) -> None:
        """Ends the function's processes: the next call meets one that remembers no secret and no earlier result."""
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
        # The embedded AWS learns of each dead process by a call that fails.
        call = {
            "FunctionName": f"{self.function}-lambda-local",
            "Qualifier": "live",
            "Payload": b"{}",
        }
        while b"Worker process died" in self.client("lambda").invoke(**call)["Payload"].read():
            continue
