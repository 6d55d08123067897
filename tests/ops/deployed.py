"""A deployed environment: a Terraform state with outputs, in moto's S3."""

from __future__ import annotations

import json
from typing import Any

from ops.cloud import Cloud


def store_outputs(cloud: Cloud, **outputs: Any) -> None:
    """Stores a state that has the outputs and no resources."""
    state = cloud.environment.state
    s3 = cloud.client("s3", state.region)
    s3.create_bucket(Bucket=state.bucket)
    document = {"outputs": {name: {"value": value} for name, value in outputs.items()}}
    s3.put_object(
        Bucket=state.bucket, Key=state.key, Body=json.dumps({**document, "resources": []})
    )
