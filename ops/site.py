"""Publishes the static status page to the frontend bucket."""

from __future__ import annotations

import hashlib
import json
import mimetypes
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from ops.cloud import Cloud
from ops.root import PROJECT

WEB = PROJECT / "web"


def files(environment: str, outputs: Mapping[str, Any], directory: Path = WEB) -> dict[str, bytes]:
    """What is published: the page's files and the config.json that tells it where the platform is."""
    config = {
        "environment": environment,
        "apiUrl": outputs["api_url"],
        "wsUrl": outputs["ws_url"],
        "healthUrl": outputs["health_url"],
    }
    page = {
        file.relative_to(directory).as_posix(): file.read_bytes() for file in directory.rglob("*") if file.is_file()
    }
    return {**page, "config.json": (json.dumps(config, indent=2, sort_keys=True) + "\n").encode()}


def publish(cloud: Cloud, outputs: Mapping[str, Any]) -> list[str]:
    """Uploads what differs from the bucket and has the distribution forget it; returns the keys uploaded."""
    s3 = cloud.client("s3")
    bucket = outputs["frontend_bucket"]
    changed = []
    for key, content in sorted(files(cloud.environment.name, outputs).items()):
        digest = hashlib.sha256(content).hexdigest()
        try:
            if s3.head_object(Bucket=bucket, Key=key)["Metadata"].get("sha256") == digest:
                continue
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"404", "NoSuchKey"}:
                raise
        s3.put_object(
            Bucket=bucket,
            Key=key,
            Body=content,
            ContentType=mimetypes.guess_type(key)[0] or "application/octet-stream",
            # The page is small and names no versions: browsers ask each time whether it changed.
            CacheControl="no-cache",
            Metadata={"sha256": digest},
        )
        changed.append(key)
    distribution = outputs.get("site_distribution_id")
    if changed and distribution:
        paths = [f"/{key}" for key in changed] + ["/"]
        cloud.client("cloudfront").create_invalidation(
            DistributionId=distribution,
            InvalidationBatch={
                "Paths": {"Quantity": len(paths), "Items": paths},
                "CallerReference": str(time.time_ns()),
            },
        )
    return changed
