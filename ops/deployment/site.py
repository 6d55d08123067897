"""Publishes the static site to the frontend bucket, and rolls it back.

The name of an asset contains a hash of its content, so browsers may cache it for a year. index.html
refers to the assets and is uploaded after them. Browsers revalidate index.html on each request.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from ops.checkout import checkout
from ops.cloud import Cloud
from ops.console import report
from ops.errors import OperatorError
from ops.root import PROJECT
from ops.traffic.ledger import Ledger

WEB = PROJECT / "web"
INDEX = "index.html"
CONFIG = "config.json"
ASSETS = "assets/"
PAGES = "sites/"
"""Key prefix for a copy of each published site's index.html, named by the site's digest."""
IMMUTABLE = "public, max-age=31536000, immutable"
"""Cache-Control of assets. One year is the conventional maximum of max-age."""
REVALIDATE = "no-cache"
SITES = 5
"""Number of published sites to keep for rollbacks. Files of older sites are deleted."""
LEDGER_KEY = "#site"
_REFERENCE = re.compile(r'(?P<attribute>\b(?:href|src)=")(?P<file>[^":?#]+)(?=")')


@dataclass(frozen=True)
class Site:
    """The files of a site."""

    page: bytes
    """The content of index.html, which refers to the hashed asset names."""
    assets: Mapping[str, bytes]
    """Content by object key."""
    config: bytes
    """The content of config.json, which has the URLs of the platform."""

    @property
    def digest(self) -> str:
        """ID of the site. It changes if index.html or any asset changes."""
        return hashlib.sha256(self.page).hexdigest()[:16]


def build(environment: str, outputs: Mapping[str, Any], directory: Path = WEB) -> Site:
    """Builds the site of an environment.

    Raises:
        OperatorError: The page refers to a missing file.
    """
    config = {
        "environment": environment,
        "apiUrl": outputs["api_url"],
        "wsUrl": outputs["ws_url"],
        "healthUrl": outputs["health_url"],
    }
    files = {
        file.relative_to(directory).as_posix(): file
        for file in directory.rglob("*")
        if file.is_file()
    }
    page = files.pop(INDEX).read_text()
    keys = {name: _key(name, file.read_bytes()) for name, file in files.items()}

    def hashed(match: re.Match[str]) -> str:
        if match["file"] not in keys:
            raise OperatorError(f"{directory / INDEX} refers to {match['file']}, which is missing")
        return match["attribute"] + keys[match["file"]]

    return Site(
        page=_REFERENCE.sub(hashed, page).encode(),
        assets={keys[name]: file.read_bytes() for name, file in files.items()},
        config=(json.dumps(config, indent=2, sort_keys=True) + "\n").encode(),
    )


def _key(name: str, content: bytes) -> str:
    path = PurePosixPath(name)
    digest = hashlib.sha256(content).hexdigest()[:12]
    return f"{ASSETS}{path.with_name(f'{path.stem}.{digest}{path.suffix}')}"


class Publisher:
    """Publishes and rolls back the site of one environment.

    Args:
        outputs: The Terraform outputs.
        ledger: Records the published sites.
    """

    def __init__(self, cloud: Cloud, outputs: Mapping[str, Any], ledger: Ledger) -> None:
        self._cloud, self._outputs, self._ledger = cloud, outputs, ledger
        self._s3 = cloud.client("s3")
        self._bucket: str = outputs["frontend_bucket"]

    def publish(self, site: Site) -> list[str]:
        """Uploads the changed files, with index.html last. Returns the uploaded keys."""
        changed = [
            key
            for key, content in sorted(site.assets.items())
            if self._upload(key, content, IMMUTABLE)
        ]
        self._upload(f"{PAGES}{site.digest}.html", site.page, REVALIDATE)
        entries = [
            key
            for key, body in ((CONFIG, site.config), (INDEX, site.page))
            if self._upload(key, body, REVALIDATE)
        ]
        self._invalidate(entries)
        known = self._ledger.latest(LEDGER_KEY, 1)
        if not known or known[0]["digest"] != site.digest:
            self._record(site.digest, sorted(site.assets))
        self._prune()
        return changed + entries

    def roll_back(self) -> str:
        """Restores index.html of the previous site. Returns that site's digest.

        Raises:
            OperatorError: There is no earlier site.
        """
        history = self._ledger.latest(LEDGER_KEY)
        current = history[0]["digest"] if history else None
        # Skip sites that were already rolled back.
        rolled_back = {item["instead_of"] for item in history if "instead_of" in item}
        skipped = {current, *rolled_back}
        before = next((item for item in history if item["digest"] not in skipped), None)
        if before is None:
            raise OperatorError(f"{self._cloud.environment.name} has no earlier site to restore")
        page = self._s3.get_object(Bucket=self._bucket, Key=f"{PAGES}{before['digest']}.html")
        self._upload(INDEX, page["Body"].read(), REVALIDATE)
        self._invalidate([INDEX])
        self._record(before["digest"], before["assets"], current)
        return str(before["digest"])

    def _upload(self, key: str, content: bytes, cache: str) -> bool:
        """Uploads the object if its content changed. Returns True if it was uploaded."""
        digest = hashlib.sha256(content).hexdigest()
        try:
            stored = self._s3.head_object(Bucket=self._bucket, Key=key)
            if stored["Metadata"].get("sha256") == digest:
                return False
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"404", "NoSuchKey"}:
                raise
        self._s3.put_object(
            Bucket=self._bucket,
            Key=key,
            Body=content,
            ContentType=mimetypes.guess_type(key)[0] or "application/octet-stream",
            CacheControl=cache,
            Metadata={"sha256": digest},
        )
        return True

    def _invalidate(self, keys: Iterable[str]) -> None:
        """Invalidates the keys in the distribution's cache."""
        paths = [f"/{key}" for key in keys]
        distribution = self._outputs.get("site_distribution_id")
        if not paths or not distribution:
            return
        if f"/{INDEX}" in paths:
            paths.append("/")
        self._cloud.client("cloudfront").create_invalidation(
            DistributionId=distribution,
            InvalidationBatch={
                "Paths": {"Quantity": len(paths), "Items": paths},
                "CallerReference": str(time.time_ns()),
            },
        )

    def _record(self, digest: str, assets: list[str], instead_of: str | None = None) -> None:
        values: dict[str, Any] = {
            "digest": digest,
            "assets": assets,
            "who": self._cloud.operator,
            "commit": str(checkout()),
        }
        if instead_of:
            values["instead_of"] = instead_of
        self._ledger.store(LEDGER_KEY, self._ledger.now(), values)

    def _prune(self) -> None:
        """Deletes saved pages and assets that do not belong to the latest SITES sites."""
        recent: dict[str, list[str]] = {}
        for item in self._ledger.latest(LEDGER_KEY):
            if len(recent) < SITES:
                recent.setdefault(item["digest"], item["assets"])
        needed = {f"{PAGES}{digest}.html" for digest in recent} | {
            key for keys in recent.values() for key in keys
        }
        for prefix in (ASSETS, PAGES):
            for page in self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix
            ):
                for item in page.get("Contents", []):
                    if item["Key"] not in needed:
                        self._s3.delete_object(Bucket=self._bucket, Key=item["Key"])


def publish(cloud: Cloud, outputs: Mapping[str, Any]) -> list[str]:
    """Publishes the checkout's site and returns the uploaded keys."""
    return Publisher(cloud, outputs, Ledger(cloud)).publish(build(cloud.environment.name, outputs))


def publish_under_lock(
    cloud: Cloud, outputs: Mapping[str, Any], *, roll_back: bool = False
) -> dict[str, Any]:
    """Publishes the checkout's site, or rolls back, while holding the environment's lock.

    Raises:
        OperatorError: Another command holds the lock, or there is no earlier site.
    """
    ledger = Ledger(cloud)
    with ledger.locked("publish-site", cloud.operator):
        if roll_back:
            digest = Publisher(cloud, outputs, ledger).roll_back()
            report(f"Restored the previous site: {digest}")
            return {"digest": digest, "published": [INDEX]}
        site = build(cloud.environment.name, outputs)
        return {"digest": site.digest, "published": Publisher(cloud, outputs, ledger).publish(site)}
