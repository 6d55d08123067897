"""Publishes a site to the frontend bucket, and restores an earlier site.

Uploads immutable assets under their own names, and all other files below `.sites/contents/`, where
a rollback finds them later. Then copies these files to their own names, with index.html last. An
interrupted command leaves a complete site, and the next command continues.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from hashlib import md5
from typing import Any, TypeVar
from urllib.parse import quote

from botocore.config import Config
from botocore.exceptions import ClientError

from ops.checkout import checkout
from ops.cloud import Cloud
from ops.console import Progress, report
from ops.deployment.site.files import (
    CONFIG,
    INDEX,
    REVALIDATE,
    Site,
    SiteFile,
    content_type,
    format_manifest,
    parse_manifest,
)
from ops.errors import OperatorError
from ops.traffic.ledger import Ledger

SAVED = ".sites/"
"""Key prefix of the files for rollbacks. No name of a published file starts with it."""
CONTENTS = f"{SAVED}contents/"
"""Key prefix of saved files whose names do not change when their content changes. A key is this
prefix and the MD5 digest of the content.
"""
SITES = 5
"""Number of published sites to keep for rollbacks. Files of older sites are deleted."""
LEDGER_KEY = "#site"
PRINTED_NAMES = 10
"""Maximum number of file names to print."""
WORKERS = 16
"""Number of simultaneous requests to S3."""
DELETED_AT_ONCE = 1000
"""Maximum number of keys in one DeleteObjects request of S3."""

Item = TypeVar("Item")
Files = Mapping[str, SiteFile]
"""Files of a site by name."""


@dataclass(frozen=True)
class Published:
    """The result of a publication or a rollback."""

    digest: str
    """ID of the site."""
    published: list[str]
    """Names of the new and changed files."""
    removed: list[str]
    """Names of the deleted files."""
    unchanged: int
    """Number of files that did not change."""

    def __str__(self) -> str:
        names = ", ".join(self.published[:PRINTED_NAMES]) or "nothing to upload"
        more = (
            f" and {len(self.published) - PRINTED_NAMES} more"
            if len(self.published) > PRINTED_NAMES
            else ""
        )
        return (
            f"Site {self.digest}: {names}{more} ({self.unchanged} files unchanged,"
            f" {len(self.removed)} deleted)"
        )


class Publisher:
    """Publishes and rolls back the site of one environment.

    Args:
        outputs: The Terraform outputs.
        ledger: Records the published sites.
        check_lock: Raises an error if the command has lost the environment's lock.
    """

    def __init__(
        self,
        cloud: Cloud,
        outputs: Mapping[str, Any],
        ledger: Ledger,
        check_lock: Callable[[], None] = lambda: None,
    ) -> None:
        self._cloud, self._outputs, self._ledger = cloud, outputs, ledger
        self._check_lock = check_lock
        self._s3 = cloud.client("s3", settings=Config(max_pool_connections=WORKERS))
        self._bucket: str = outputs["frontend_bucket"]

    @property
    def source(self) -> str:
        """The directory from which an operator published the served site.

        An empty string if the served site is the one that comes with the project.
        """
        last = self._last_record()
        return str(last.get("source", "")) if last else ""

    def publish(self, site: Site, source: str = "") -> Published:
        """Uploads the new and changed files of a site, and serves the site.

        Args:
            source: The directory of the site. An empty string for the site that comes with the
                project.
        """
        stored, last = self._list(), self._last_record()
        before = self._manifest(last)
        files = self._revalidate_replaced(site.files, before, stored)
        assets = self._find_missing(
            {name: file for name, file in files.items() if file.is_immutable},
            stored,
            before if _is_finished(last) else {},
        )
        contents = {
            CONTENTS + file.md5: name
            for name, file in files.items()
            if not file.is_immutable and CONTENTS + file.md5 not in stored
        }

        def upload(item: tuple[str, str]) -> None:
            key, name = item
            with (site.directory / name).open("rb") as content:
                self._s3.put_object(Key=key, Body=content, **self._headers(files[name]))

        self._in_parallel(
            "Uploaded", upload, [*zip(assets, assets, strict=True), *contents.items()]
        )
        stored |= {name: files[name].md5 for name in assets}
        stored |= {key: files[name].md5 for key, name in contents.items()}
        digest = replace(site, files=files).digest
        self._store(_manifest_key(digest), format_manifest(files).encode(), stored)
        # The site is recorded before the first change that users see, so that `--rollback` restores
        # the previous site even if this command is interrupted.
        if last is None or (last["digest"], last.get("source", "")) != (digest, source):
            record = self._record({"digest": digest, "source": source, "files": len(files)})
        else:
            record = last
        config = self.publish_config(stored)
        served = self._serve(files, before if _is_finished(last) else {}, stored)
        published = sorted({*assets, *served, *config})
        removed = self._finish(record, files, stored)
        return Published(digest, published, removed, len(files) - len({*published} - {CONFIG}))

    def publish_config(self, stored: dict[str, str] | None = None) -> list[str]:
        """Uploads config.json if it changed. Returns the names of the uploaded files."""
        config = {
            "environment": self._cloud.environment.name,
            "apiUrl": self._outputs["api_url"],
            "wsUrl": self._outputs["ws_url"],
            "healthUrl": self._outputs["health_url"],
        }
        content = (json.dumps(config, indent=2, sort_keys=True) + "\n").encode()
        return self._store(CONFIG, content, self._list(CONFIG) if stored is None else stored)

    def roll_back(self) -> Published:
        """Serves the previous site again. config.json does not change.

        Raises:
            OperatorError: There is no earlier site.
        """
        history = self._history()
        last = history[0] if history else {"digest": ""}
        # Sites that were rolled back, and not published again later, are skipped.
        rolled_back: set[str] = set()
        for item in reversed(history):
            rolled_back.discard(item["digest"])
            rolled_back.add(item.get("instead_of", ""))
        stored = self._list()
        target = next(
            (
                item
                for item in history
                if item["digest"] not in {last["digest"], *rolled_back}
                and _manifest_key(item["digest"]) in stored
            ),
            None,
        )
        if target is None:
            raise OperatorError(f"{self._cloud.environment.name} has no earlier site to restore")
        before = self._manifest(last)
        files = self._revalidate_replaced(self._manifest(target), before, stored)
        values = {name: target[name] for name in ("digest", "source", "files")}
        record = self._record({**values, "instead_of": last["digest"]})
        served = self._serve(files, before if _is_finished(last) else {}, stored)
        removed = self._finish(record, files, stored)
        return Published(target["digest"], sorted(served), removed, len(files) - len(served))

    def _revalidate_replaced(
        self, files: Files, before: Files, stored: dict[str, str]
    ) -> dict[str, SiteFile]:
        """Returns the files, with changed headers for immutable files that replace a different
        file of the same name, so that browsers revalidate them.

        Copies the old content of an immutable asset to CONTENTS first, so that a rollback can
        restore it.
        """
        result = dict(files)
        for name, old in before.items():
            new = files.get(name)
            if new is None or not new.is_immutable or new == old:
                continue
            result[name] = replace(new, cache_control=REVALIDATE)
            if not old.is_immutable:
                continue
            report(
                f"{name} has new content but the same immutable name, so browsers may show the old"
                " content: give the file a new name when its content changes"
            )
            if stored.get(name) == old.md5 and CONTENTS + old.md5 not in stored:
                self._copy(name, CONTENTS + old.md5, old)
                stored[CONTENTS + old.md5] = old.md5
        return result

    def _find_missing(self, assets: Files, stored: Mapping[str, str], trusted: Files) -> list[str]:
        """Returns the names of assets that the bucket does not have, or has with other headers."""
        missing = [name for name, file in assets.items() if stored.get(name) != file.md5]
        unclear = [
            name
            for name, file in assets.items()
            if stored.get(name) == file.md5 and trusted.get(name) != file
        ]

        def compare(name: str) -> None:
            head = self._s3.head_object(Bucket=self._bucket, Key=name)
            file = assets[name]
            if (head["ContentType"], head.get("CacheControl")) != (
                file.content_type,
                file.cache_control,
            ):
                missing.append(name)

        self._in_parallel("Compared", compare, unclear)
        return missing

    def _serve(self, files: Files, trusted: Files, stored: dict[str, str]) -> list[str]:
        """Copies saved content to the names of the files, if the objects there have other content
        or other headers.

        Returns the names of the copied files.
        """
        changed = [
            name
            for name, file in files.items()
            if stored.get(name) != file.md5 or not (file.is_immutable or trusted.get(name) == file)
        ]

        def copy(name: str) -> None:
            self._copy(CONTENTS + files[name].md5, name, files[name])

        lost = [name for name in changed if CONTENTS + files[name].md5 not in stored]
        if lost:
            raise OperatorError(
                f"The bucket {self._bucket} lacks the saved content of"
                f" {', '.join(lost[:PRINTED_NAMES])}:"
                " publish the site from its directory instead"
            )
        self._check_lock()
        pages = [name for name in changed if name.endswith(".html") and name != INDEX]
        others = [name for name in changed if not name.endswith(".html")]
        for names in (others, pages, [INDEX] if INDEX in changed else []):
            self._in_parallel("Replaced", copy, names)
        # Files that were not immutable need no invalidation: CloudFront keeps them for a second,
        # the minimum of its policy CachingOptimized.
        self._invalidate(name for name in changed if name in trusted and trusted[name].is_immutable)
        stored |= {name: files[name].md5 for name in changed}
        return changed

    def _finish(
        self, record: Mapping[str, Any], files: Files, stored: Mapping[str, str]
    ) -> list[str]:
        """Records that the publication is complete, and deletes files that no recent site needs.

        Returns the names of the deleted files.
        """
        finished = {**record, "finished_at": self._ledger.now()}
        del finished["service"], finished["released_at"]
        self._ledger.store(LEDGER_KEY, record["released_at"], finished)
        needed = {CONFIG, *files}
        recent = list(dict.fromkeys(item["digest"] for item in self._history()))[:SITES]
        for digest in recent:
            needed.add(_manifest_key(digest))
            for name, file in self._manifest({"digest": digest}).items():
                needed.add(CONTENTS + file.md5)
                if file.is_immutable:
                    needed.add(name)
        unneeded = sorted(stored.keys() - needed)
        self._check_lock()
        for start in range(0, len(unneeded), DELETED_AT_ONCE):
            keys = [{"Key": key} for key in unneeded[start : start + DELETED_AT_ONCE]]
            response = self._s3.delete_objects(
                Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True}
            )
            for error in response.get("Errors", []):
                report(f"Cannot delete {error['Key']}: {error.get('Message', error['Code'])}")
        return [key for key in unneeded if not key.startswith(SAVED)]

    def _record(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Records the site in the ledger, and returns the record."""
        now = self._ledger.now()
        values = {**values, "who": self._cloud.operator, "commit": str(checkout())}
        self._ledger.store(LEDGER_KEY, now, values)
        return {"service": LEDGER_KEY, "released_at": now, **values}

    def _history(self) -> list[dict[str, Any]]:
        """Returns the records of sites that can be restored, newest first."""
        # Records that an earlier version of `ops` wrote have no number of files and no manifest.
        return [item for item in self._ledger.latest(LEDGER_KEY) if "files" in item]

    def _last_record(self) -> dict[str, Any] | None:
        return next(iter(self._history()), None)

    def _manifest(self, record: Mapping[str, Any] | None) -> dict[str, SiteFile]:
        """Returns the files of a published site, or {} if its manifest is missing."""
        if record is None:
            return {}
        try:
            stored = self._s3.get_object(Bucket=self._bucket, Key=_manifest_key(record["digest"]))
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return {}
            raise
        return parse_manifest(stored["Body"].read())

    def _list(self, prefix: str = "") -> dict[str, str]:
        """Returns the MD5 digest of each object by key."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        return {
            item["Key"]: item["ETag"].strip('"')
            for page in pages
            for item in page.get("Contents", [])
        }

    def _headers(self, file: SiteFile) -> dict[str, str]:
        return {
            "Bucket": self._bucket,
            "ContentType": file.content_type,
            "CacheControl": file.cache_control,
        }

    def _store(self, key: str, content: bytes, stored: dict[str, str]) -> list[str]:
        """Uploads the content if it differs from the stored content. Returns the uploaded keys."""
        digest = md5(content, usedforsecurity=False).hexdigest()
        if stored.get(key) == digest:
            return []
        headers = self._headers(SiteFile(digest, content_type(key), REVALIDATE))
        self._s3.put_object(Key=key, Body=content, **headers)
        stored[key] = digest
        return [key]

    def _copy(self, source: str, key: str, file: SiteFile) -> None:
        self._s3.copy_object(
            CopySource={"Bucket": self._bucket, "Key": source},
            Key=key,
            MetadataDirective="REPLACE",
            **self._headers(file),
        )

    def _invalidate(self, names: Iterable[str]) -> None:
        """Deletes the files from the caches of the CloudFront distribution."""
        paths = [f"/{quote(name)}" for name in names]
        distribution = self._outputs.get("site_distribution_id")
        if not paths or not distribution:
            return
        self._cloud.client("cloudfront").create_invalidation(
            DistributionId=distribution,
            InvalidationBatch={
                "Paths": {"Quantity": len(paths), "Items": paths},
                "CallerReference": str(time.time_ns()),
            },
        )

    @staticmethod
    def _in_parallel(verb: str, action: Callable[[Item], None], items: Sequence[Item]) -> None:
        """Performs the action on each item, and shows the progress."""
        with ThreadPoolExecutor(WORKERS) as pool, Progress() as progress:
            futures = [pool.submit(action, item) for item in items]
            try:
                for number, future in enumerate(as_completed(futures), 1):
                    future.result()
                    progress.show(f"{verb} {number} of {len(futures)} files")
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _is_finished(record: Mapping[str, Any] | None) -> bool:
    """Returns True if the publication was completed, so all files have the manifest's headers."""
    return record is not None and "finished_at" in record


def _manifest_key(digest: str) -> str:
    return f"{SAVED}{digest}.json"
