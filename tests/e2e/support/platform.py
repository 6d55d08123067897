"""The addresses and the AWS clients of a running platform."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
import urllib3

from ops.cloud import Cloud, connect
from ops.embedded import EmbeddedCloud
from ops.local.mail import verification_code
from ops.root import Root, read_json
from tests.e2e.support.api_client import Api, ApiResponse
from tests.e2e.support.trust import trust


@dataclass(frozen=True)
class Platform:
    """A running platform."""

    root: Path
    is_own: bool
    """True if these tests started the platform and may break it."""
    cloud: Cloud
    api_url: str
    ws_url: str
    site_url: str
    outputs: Mapping[str, Any]
    first_used_at: int
    """The time when the tests first used the platform, in milliseconds since the epoch."""

    @classmethod
    def load(cls, root: Path, *, is_own: bool) -> Platform:
        """Returns the running platform with this working directory (root)."""
        description = read_json(root / "platform.json")
        assert description, f"{root} has no platform.json: no platform runs there"
        trust(description["authority"])
        addresses = {
            "api_url": description["apiUrl"],
            "ws_url": description["wsUrl"],
            "site_url": description["siteUrl"],
        }
        first_used_at = 0 if is_own else int(time.time() * 1000)
        return cls(
            root,
            is_own,
            connect("local", Root(root)),
            **addresses,
            outputs=description["outputs"],
            first_used_at=first_used_at,
        )

    @property
    def stack_directory(self) -> Path:
        """The directory of the stack's Terraform files."""
        return self.root / "cdktf.out" / "stacks" / "local"

    @property
    def server(self) -> dict[str, Any]:
        """The arguments of a boto3 client of the embedded AWS, except its credentials."""
        return {"endpoint_url": self.cloud.endpoint, "verify": self.cloud.authority}

    def aws(self, service: str) -> Any:
        """Returns a boto3 client of the embedded AWS with the root key."""
        return self.cloud.client(service)

    def read_mailed_code(self, email: str) -> str:
        """Returns the code of the newest mail to an address."""
        return verification_code(Root(self.root), email)

    def count_mails(self, email: str) -> int:
        """Returns the number of mails that the embedded AWS stored for an address."""
        response = urllib3.request("GET", f"{self.cloud.endpoint}/_ministack/ses/messages").json()
        return sum(email in mail["To"] for mails in response["messages"].values() for mail in mails)

    def cache(self) -> redis.Redis:
        """Returns a client that connects to the cache directly, without the proxy and its login."""
        port = EmbeddedCloud(Root(self.root)).running()["cache"].port
        return redis.Redis(port=port, decode_responses=True)

    def reset_rate_limits(self) -> None:
        """Deletes the counters of all rate limits."""
        dynamodb, table = self.aws("dynamodb"), "auth-rate-limits-local"
        for page in dynamodb.get_paginator("scan").paginate(
            TableName=table, ProjectionExpression="limit_key"
        ):
            for item in page["Items"]:
                dynamodb.delete_item(TableName=table, Key=item)

    def read_signing_key(self) -> tuple[int, str]:
        """Returns the id and secret of the newest signing key."""
        parameter = self.aws("ssm").get_parameter(
            Name="/multitask/local/jwt-secret", WithDecryption=True
        )["Parameter"]
        return parameter["Version"], parameter["Value"]

    def fetch_from_cdn(self, address: str) -> ApiResponse:
        """Requests a CloudFront address.

        Connects to loopback, because not every resolver knows *.localhost.
        """
        parts = urlsplit(address)
        cdn = Api(self.cloud.endpoint or "", is_described=False)
        return cdn.get(parts.path, headers={"Host": parts.netloc})

    def read_log_lines(self, function: str, since: int | None = None) -> Iterator[str]:
        """Yields the lines that a function has logged.

        The embedded AWS keeps only the newest lines, so the number of lines can also decrease.

        Args:
            since: milliseconds since the epoch. The default is the time when the tests began.
        """
        pages = self.aws("logs").get_paginator("filter_log_events")
        for page in pages.paginate(
            logGroupName=f"/aws/lambda/{function}-lambda-local",
            startTime=self.first_used_at if since is None else since,
        ):
            yield from (event["message"] for event in page["events"])
