"""Destroys an environment, where its removal policy allows that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ops.cloud import EMBEDDED, Cloud
from ops.console import Progress, say
from ops.deploy import stack_of
from ops.errors import OperatorError
from ops.ledger import Ledger
from ops.notify import News, Notifier, topic_of
from ops.root import Root
from ops.state import attributes, outputs
from ops.terraform import Plan, changes

BATCH = 1000
"""Objects that S3 deletes at once."""


def remove(cloud: Cloud, root: Root, out: Path, confirm: Callable[[Plan], None]) -> dict[str, Any]:
    """Empties the environment's buckets and destroys all of it. May be repeated after a failure.

    Args:
        out: where synthesis writes.
        confirm: is shown the plan; raises to stop.

    Returns:
        `removed`: how many resources; `kept`: what is still there, and why.

    Raises:
        OperatorError: the environment keeps its data, has not been deployed, or is being changed.
    """
    environment = cloud.environment
    if environment.retains_data:
        raise OperatorError(
            f"{environment.name} keeps its data (removal_policy: retain), so it is not removed. If that is really wanted, set"
            " `removal_policy: destroy`, have that reviewed, deploy it, and come back"
        )
    cloud.check_account()
    found = outputs(cloud)
    who = cloud.who()
    with Ledger(cloud).locked("remove", who) as lock:
        stack = stack_of(cloud, root, out)
        file = stack.directory / "remove.tfplan"
        try:
            plan = stack.plan(file, ["-destroy"])
            confirm(plan)
            lock.check()
            # Its topic goes with it: there will be nobody to tell how it ended.
            Notifier(cloud, topic_of(found), who).tell("started", News("removal", [changes(plan.counts)]))
            keys = attributes(cloud, "aws_kms_key")
            empty(cloud, [bucket["bucket"] for bucket in attributes(cloud, "aws_s3_bucket")])
            applied = stack.apply(plan)
        finally:
            file.unlink(missing_ok=True)
    if environment.name == EMBEDDED:
        root.platform_file.unlink(missing_ok=True)
    return {"environment": environment.name, "removed": applied.counts.get("remove", 0), "kept": kept(cloud, keys)}


def kept(cloud: Cloud, keys: list[dict[str, Any]]) -> list[str]:
    """What a removal leaves, one line each.

    Args:
        keys: the customer keys that the environment had.
    """
    environment = cloud.environment
    lines = [
        f"the state, now empty: s3://{environment.state.bucket}/{environment.state.key}, with its old versions",
        "what `ops bootstrap` made: the state bucket and the account's settings, which other environments share",
    ]
    lines += [
        f"the customer key {key['key_id']}: KMS deletes it {key.get('deletion_window_in_days') or 30} days from now"
        for key in keys
    ]
    if environment.hosted_zone_id:
        lines.append(f"the hosted zone {environment.hosted_zone_id}, which was never the stack's")
    return lines


def empty(cloud: Cloud, buckets: list[str]) -> None:
    """Deletes every version of every object: Terraform itself does that one by one, and stops at some keys."""
    s3 = cloud.client("s3")
    with Progress() as progress:
        for bucket in buckets:
            deleted = 0
            try:
                for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                    found = [
                        {"Key": item["Key"], "VersionId": item["VersionId"]}
                        for kind in ("Versions", "DeleteMarkers")
                        for item in page.get(kind, [])
                    ]
                    for start in range(0, len(found), BATCH):
                        reply = s3.delete_objects(
                            Bucket=bucket, Delete={"Objects": found[start : start + BATCH], "Quiet": True}
                        )
                        if reply.get("Errors"):
                            first = reply["Errors"][0]
                            raise OperatorError(f"{bucket}: {first['Key']} cannot be deleted: {first['Message']}")
                    deleted += len(found)
                    progress.show(f"emptying {bucket}: {deleted} deleted")
            except s3.exceptions.NoSuchBucket:  # an earlier removal got this far
                continue
            if deleted:
                say(f"Emptied {bucket} ({deleted} versions)")
