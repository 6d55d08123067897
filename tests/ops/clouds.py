"""A fake of ops.cloud.Cloud. Tests replace some of its AWS clients. The other clients use moto."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.stub import Stubber

from ops.cloud import Cloud


@dataclass(frozen=True)
class FakeCloud(Cloud):
    clients: Mapping[str, Any] = field(default_factory=dict)
    """The fake clients by service. For other services, `client` returns clients of boto3."""

    def client(
        self, service: Any, region: str | None = None, settings: Config | None = None
    ) -> Any:
        if service in self.clients:
            return self.clients[service]
        return super().client(service, region, settings)


def store_state(
    cloud: Cloud, outputs: Mapping[str, Any], resources: Sequence[tuple[str, dict[str, Any]]] = ()
) -> None:
    """Stores a Terraform state with these outputs and resources (pairs of type and attributes)."""
    state = cloud.environment.state
    s3 = cloud.client("s3", state.region)
    s3.create_bucket(Bucket=state.bucket)
    document = {
        "outputs": {name: {"value": value} for name, value in outputs.items()},
        "resources": [
            {"mode": "managed", "type": type_, "instances": [{"attributes": attributes}]}
            for type_, attributes in resources
        ],
    }
    s3.put_object(Bucket=state.bucket, Key=state.key, Body=json.dumps(document))


def stubbed_client(
    service: Any, *calls: tuple[str, Mapping[str, Any] | tuple[str, str, int]]
) -> Any:
    """Returns a client for operations that moto lacks.

    It returns fixed responses, which botocore validates.

    Args:
        calls: Each operation in order, with its response or the code, message and HTTP status of
            its error.
    """
    client = boto3.client(service, region_name="us-east-1")
    stubber = Stubber(client)
    for operation, response in calls:
        if isinstance(response, tuple):
            stubber.add_client_error(operation, *response)
        else:
            stubber.add_response(operation, dict(response))
    stubber.activate()
    return client
