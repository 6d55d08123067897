"""The log groups of an environment on moto, with the lines that functions and APIs write."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import boto3

from ops.cloud import Cloud
from tests.ops.clouds import store_state

SERVICES = ("auth", "authorizer", "post", "relay", "statistics", "chat", "delivery")
NOW = int(time.time()) * 1000
"""Milliseconds since the epoch."""


class LoggedEnvironment:
    """Stores log lines. Times are in milliseconds after NOW."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._logs = boto3.client("logs", region_name="us-east-1")
        groups = {service: f"/aws/lambda/{service}-lambda-dev" for service in SERVICES}
        store_state(cloud, {"log_groups": groups})
        self._groups = {
            **groups,
            "api": "/aws/apigateway/platform-api-dev",
            "websocket": "/aws/apigateway/platform-websocket-dev",
        }
        for group in self._groups.values():
            self._logs.create_log_group(logGroupName=group)
            self._logs.create_log_stream(logGroupName=group, logStreamName="a")

    def write(self, service: str, at: int, text: str) -> None:
        self._logs.put_log_events(
            logGroupName=self._groups[service],
            logStreamName="a",
            logEvents=[{"timestamp": NOW + at, "message": text}],
        )

    def log(self, service: str, at: int, message: str, level: str = "INFO", **fields: Any) -> None:
        """Writes a line as the logger of the functions does."""
        at_time = datetime.fromtimestamp((NOW + at) / 1000, UTC)
        timestamp = at_time.isoformat(timespec="milliseconds")
        line = {"level": level, "message": message, "timestamp": timestamp, **fields}
        # Like the embedded AWS, uses the time at which the invocation ends as the event's time.
        self.write(service, at + 40, json.dumps(line))

    def access(self, api: str, at: int, **fields: Any) -> None:
        """Writes a line of an access log. API Gateway writes `-` for a value that is missing."""
        defaults = {"integrationLatency": "-", "integrationError": "-", "error": "-"}
        line = {"timeEpoch": str(NOW + at), **defaults, **fields}
        self.write(api, at + 50, json.dumps(line))
