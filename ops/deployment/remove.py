"""Destroys an environment if its removal policy allows that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from environments.resource_names import topic_name
from ops.cloud import EMBEDDED, Cloud
from ops.console import Progress, report
from ops.errors import OperatorError
from ops.root import Root
from ops.terraform.preparation import prepare_stack
from ops.terraform.runner import PlanFile, Terraform, describe_counts
from ops.terraform.state import attributes, resource_count
from ops.traffic.ledger import Ledger
from ops.traffic.notify import News, Notifier

TOPIC_NOTE = (
    "The removal also deletes the SNS topic of this notification. You therefore receive no"
    " notification if the removal succeeds, and may receive none if it fails"
)
BATCH = 1000
"""Maximum number of objects in one DeleteObjects request of S3."""


def destroy_environment(
    cloud: Cloud,
    root: Root,
    out: Path,
    confirm: Callable[[PlanFile], None],
    *,
    prepare_stack: Callable[[Cloud, Root, Path], Terraform] = prepare_stack,
) -> dict[str, Any]:
    """Empties the environment's buckets and destroys all its resources. Safe to repeat.

    Args:
        out: The output directory of synthesis.
        confirm: Receives the plan, and raises an exception to stop the removal.

    Returns:
        `environment`; `removed`, the number of resources; and `kept`, descriptions of what remains.

    Raises:
        OperatorError: The removal policy is retain, or another command changes the environment.
    """
    environment = cloud.environment
    if environment.retains_data:
        raise OperatorError(
            f"{environment.name} was not removed, because its removal_policy is retain. To remove"
            " it, set `removal_policy: destroy`, deploy that change, and run the command again"
        )
    if not resource_count(cloud):
        report(f"{environment.name} has no resources to remove")
        _forget_platform(cloud, root)
        return {"environment": environment.name, "removed": 0, "kept": list_kept(cloud, [])}
    # Reads the topics from the state's resources, because an earlier failed removal may have
    # deleted the outputs.
    topics = {topic["name"]: topic["arn"] for topic in attributes(cloud, "aws_sns_topic")}
    topic = topics.get(topic_name("alerts", environment.name))
    notifier = Notifier(cloud, topic, cloud.operator)
    with Ledger(cloud).locked("remove", cloud.operator) as lock:
        stack = prepare_stack(cloud, root, out)
        with stack.temporary_plan("remove", ["-destroy"]) as plan:
            confirm(plan)
            lock.check()
            keys = attributes(cloud, "aws_kms_key")
            buckets = [bucket["bucket"] for bucket in attributes(cloud, "aws_s3_bucket")]
            with _announced(notifier, describe_counts(plan.counts)):
                empty_buckets(cloud, buckets)
                applied = stack.apply(plan)
    _forget_platform(cloud, root)
    return {
        "environment": environment.name,
        "removed": applied.counts.get("remove", 0),
        "kept": list_kept(cloud, keys),
    }


def _forget_platform(cloud: Cloud, root: Root) -> None:
    """Deletes platform.json, the file with the addresses of the local platform that was removed."""
    if cloud.environment.name == EMBEDDED:
        root.platform_file.unlink(missing_ok=True)


@contextmanager
def _announced(notifier: Notifier, counts: str) -> Iterator[None]:
    """Publishes the start of a removal, and its failure, to the alerts topic.

    Cannot publish a success, because the removal deletes the topic.
    """
    notifier.publish("started", News("removal", [counts, TOPIC_NOTE]))
    try:
        yield
    except BaseException as error:
        # If the topic is already deleted, the notifier only prints an error to the terminal.
        notifier.publish(
            "failed", News("removal", [counts, str(error)[:2000] or "stopped by the operator"])
        )
        raise


def list_kept(cloud: Cloud, keys: list[dict[str, Any]]) -> list[str]:
    """Returns descriptions of the resources that a removal keeps.

    Args:
        keys: The attributes of each KMS key in the environment's Terraform state.
    """
    environment = cloud.environment
    lines = [
        f"the empty state and its old versions:"
        f" s3://{environment.state.bucket}/{environment.state.key}",
        "the state bucket and the account settings, which all environments of the account share",
    ]
    lines += [
        f"the customer key {key['key_id']}: KMS deletes it"
        f" {key.get('deletion_window_in_days') or 30} days from now"
        for key in keys
    ]
    if environment.hosted_zone_id:
        lines.append(
            f"the hosted zone {environment.hosted_zone_id}, which the stack does not manage"
        )
    return lines


def empty_buckets(cloud: Cloud, buckets: list[str]) -> None:
    """Deletes all object versions of the buckets in batches.

    Terraform would take longer, because it deletes one version at a time.
    """
    s3 = cloud.client("s3")
    with Progress() as progress:
        for bucket in buckets:
            deleted = 0
            try:
                for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                    versions = [
                        {"Key": item["Key"], "VersionId": item["VersionId"]}
                        for kind in ("Versions", "DeleteMarkers")
                        for item in page.get(kind, [])
                    ]
                    for start in range(0, len(versions), BATCH):
                        response = s3.delete_objects(
                            Bucket=bucket,
                            Delete={"Objects": versions[start : start + BATCH], "Quiet": True},
                        )
                        if response.get("Errors"):
                            first = response["Errors"][0]
                            raise OperatorError(
                                f"Cannot delete {first['Key']} from {bucket}: {first['Message']}"
                            )
                    deleted += len(versions)
                    progress.show(f"emptying {bucket}: {deleted} deleted")
            except s3.exceptions.NoSuchBucket:  # an earlier removal deleted the bucket
                continue
            if deleted:
                report(f"Emptied {bucket} ({deleted} versions)")
