"""A cloud whose AWS clients can be replaced one by one; the others reach moto."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.config import Config

from ops.cloud import Cloud


@dataclass(frozen=True)
class FakeCloud(Cloud):
    clients: Mapping[str, Any] = field(default_factory=dict)
    """Clients by service."""

    def client(
        self, service: Any, region: str | None = None, settings: Config | None = None
    ) -> Any:
        if service in self.clients:
            return self.clients[service]
        return super().client(service, region, settings)


def store_state(
    cloud: Cloud, outputs: Mapping[str, Any], resources: Sequence[tuple[str, dict[str, Any]]] = ()
) -> None:
    """Stores a Terraform state with outputs and resources (type and attributes)."""
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
