"""Destroys an environment, where its removal policy allows that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops.cloud import EMBEDDED, Cloud
from ops.console import Progress, say
from ops.deployment.deploy import prepare_stack
from ops.errors import OperatorError
from ops.root import Root
from ops.terraform.runner import Plan, changes
from ops.terraform.state import attributes, resource_count
from ops.traffic.ledger import Ledger
from ops.traffic.notify import News, Notifier

TOPIC_NOTE = "This topic goes with the environment: nobody is told here that it succeeded, and of a failure only while the topic is there"
BATCH = 1000
"""Objects that S3 deletes at once."""


def destroy_environment(
    cloud: Cloud, root: Root, out: Path, confirm: Callable[[Plan], None]
) -> dict[str, Any]:
    """Empties the environment's buckets and destroys all of it. May be repeated: after a failure it goes on, later it does nothing.

    Args:
        out: where synthesis writes.
        confirm: is shown the plan; raises to stop.

    Returns:
        `removed`: how many resources; `kept`: what is still there, and why.

    Raises:
        OperatorError: the environment keeps its data, or is being changed.
    """
    environment = cloud.environment
    if environment.retains_data:
        raise OperatorError(
            f"{environment.name} keeps its data (removal_policy: retain), so it is not removed. If that is really wanted, set"
            " `removal_policy: destroy`, have that reviewed, deploy it, and come back"
        )
    cloud.check_account()
    if not resource_count(cloud):
        say(f"There is nothing of {environment.name} to remove")
        _forget_platform(cloud, root)
        return {"environment": environment.name, "removed": 0, "kept": list_kept(cloud, [])}
    # Not by the outputs: an earlier removal that failed has taken those already.
    topics = {topic["name"]: topic["arn"] for topic in attributes(cloud, "aws_sns_topic")}
    who = cloud.who()
    notifier = Notifier(cloud, topics.get(f"multitask-alerts-{environment.name}"), who)
    with Ledger(cloud).locked("remove", who) as lock:
        stack = prepare_stack(cloud, root, out)
        file = stack.directory / "remove.tfplan"
        try:
            plan = stack.plan(file, ["-destroy"])
            confirm(plan)
            lock.check()
            keys = attributes(cloud, "aws_kms_key")
            with _announced(notifier, changes(plan.counts)):
                empty_buckets(
                    cloud, [bucket["bucket"] for bucket in attributes(cloud, "aws_s3_bucket")]
                )
                applied = stack.apply(plan)
        finally:
            file.unlink(missing_ok=True)
    _forget_platform(cloud, root)
    return {
        "environment": environment.name,
        "removed": applied.counts.get("remove", 0),
        "kept": list_kept(cloud, keys),
    }


def _forget_platform(cloud: Cloud, root: Root) -> None:
    """Takes the addresses of what is gone from where other commands look for them."""
    if cloud.environment.name == EMBEDDED:
        root.platform_file.unlink(missing_ok=True)


@contextmanager
def _announced(notifier: Notifier, counts: str) -> Iterator[None]:
    """Tells the alerts topic that a removal has started, and that it failed. The topic goes with the rest, so success is silence."""
    notifier.tell("started", News("removal", [counts, TOPIC_NOTE]))
    try:
        yield
    except BaseException as error:
        # Where the topic is gone already, this is said on the terminal alone.
        notifier.tell(
            "failed", News("removal", [counts, str(error)[:2000] or "stopped by the operator"])
        )
        raise


def list_kept(cloud: Cloud, keys: list[dict[str, Any]]) -> list[str]:
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


def empty_buckets(cloud: Cloud, buckets: list[str]) -> None:
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
                            Bucket=bucket,
                            Delete={"Objects": found[start : start + BATCH], "Quiet": True},
                        )
                        if reply.get("Errors"):
                            first = reply["Errors"][0]
                            raise OperatorError(
                                f"{bucket}: {first['Key']} cannot be deleted: {first['Message']}"
                            )
                    deleted += len(found)
                    progress.show(f"emptying {bucket}: {deleted} deleted")
            except s3.exceptions.NoSuchBucket:  # an earlier removal got this far
                continue
            if deleted:
                say(f"Emptied {bucket} ({deleted} versions)")
