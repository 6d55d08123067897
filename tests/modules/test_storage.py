from __future__ import annotations

from typing import Any

import pytest

from modules.storage import Storage
from tests.modules.synthesis import Block, Synthesized, environment, synthesize

SERVED = ("profile-avatars", "chat-attachments")
ARCHIVED = ("platform-backups", "platform-access-logs")
REBUILDABLE = ("platform-frontend", "platform-artifacts")


def storage(name: str = "dev", **changes: Any) -> Synthesized:
    return synthesize(
        lambda stack, _env, names: Storage(stack, "storage", names=names),
        environment(name, **changes),
    )


@pytest.fixture(scope="module")
def dev() -> Synthesized:
    return storage()


@pytest.fixture(scope="module")
def prod() -> Synthesized:
    return storage("prod")


def resource_of(synthesized: Synthesized, type_: str, bucket: str) -> Block:
    """Returns the resource of a type for the bucket `<bucket>-bucket-<environment>`."""
    labels = {
        item["bucket"]: f"${{aws_s3_bucket.{label}.bucket}}"
        for label, item in synthesized.document["resource"]["aws_s3_bucket"].items()
    }
    [name] = [name for name in labels if name.startswith(f"{bucket}-bucket-")]
    return synthesized.find_only(type_, bucket=labels[name])


def rules(synthesized: Synthesized, bucket: str) -> dict[str, Block]:
    return {
        rule["id"]: rule
        for rule in resource_of(synthesized, "aws_s3_bucket_lifecycle_configuration", bucket)[
            "rule"
        ]
    }


def test_the_buckets_have_the_documented_names(dev: Synthesized) -> None:
    expected = {f"{bucket}-bucket-dev" for bucket in (*SERVED, *ARCHIVED, *REBUILDABLE)}
    assert {bucket["bucket"] for bucket in dev.all("aws_s3_bucket")} == expected


def test_bucket_names_end_with_the_environments_suffix() -> None:
    assert all(
        item["bucket"].endswith("-dev-acme")
        for item in storage(bucket_suffix="acme").all("aws_s3_bucket")
    )


@pytest.mark.parametrize("bucket", SERVED)
def test_served_objects_move_to_cheaper_classes_with_instant_reads_and_never_expire(
    dev: Synthesized, bucket: str
) -> None:
    age = rules(dev, bucket)["age"]
    assert age["transition"] == [
        {"days": 30, "storage_class": "STANDARD_IA"},
        {"days": 90, "storage_class": "GLACIER_IR"},
    ]
    assert "expiration" not in age
    for rule in rules(dev, bucket).values():
        if rule["filter"] == [{"prefix": ""}]:
            assert "days" not in rule.get("expiration", [{}])[0]


@pytest.mark.parametrize("bucket", SERVED)
def test_old_versions_of_served_objects_are_archived_for_seven_years(
    dev: Synthesized, bucket: str
) -> None:
    old = rules(dev, bucket)["old-versions"]
    assert old["noncurrent_version_transition"] == [
        {"noncurrent_days": 90, "storage_class": "GLACIER"}
    ]
    assert old["noncurrent_version_expiration"] == [{"noncurrent_days": 2555}]


@pytest.mark.parametrize("bucket", SERVED)
def test_unused_uploads_expire_after_a_day(dev: Synthesized, bucket: str) -> None:
    uploads = rules(dev, bucket)["expire-uploads"]
    assert uploads["filter"] == [{"prefix": "uploads/"}]
    assert uploads["expiration"] == [{"days": 1}]
    assert uploads["noncurrent_version_expiration"] == [{"noncurrent_days": 1}]


@pytest.mark.parametrize("bucket", ARCHIVED)
def test_backups_and_logs_have_the_documented_lifecycle(dev: Synthesized, bucket: str) -> None:
    age = rules(dev, bucket)["age"]
    assert age["transition"] == [
        {"days": 30, "storage_class": "STANDARD_IA"},
        {"days": 90, "storage_class": "GLACIER"},
    ]
    assert age["expiration"] == [{"days": 2555}]


@pytest.mark.parametrize("bucket", [*ARCHIVED, *REBUILDABLE])
def test_old_versions_and_delete_markers_in_other_buckets_expire(
    dev: Synthesized, bucket: str
) -> None:
    old = rules(dev, bucket)["old-versions"]
    assert old["noncurrent_version_expiration"] == [{"noncurrent_days": 30}]
    assert old["expiration"] == [{"expired_object_delete_marker": True}]


def test_browsers_can_upload_only_from_the_site(prod: Synthesized) -> None:
    assert len(prod.all("aws_s3_bucket_cors_configuration")) == len(SERVED)
    for bucket in SERVED:
        [rule] = resource_of(prod, "aws_s3_bucket_cors_configuration", bucket)["cors_rule"]
        assert rule["allowed_origins"] == ["https://multitask.com", "https://www.multitask.com"]
        assert set(rule["allowed_methods"]) == {"POST", "GET", "HEAD"}
        assert rule["expose_headers"] == ["ETag"]


def test_every_bucket_except_the_log_bucket_has_an_access_log(dev: Synthesized) -> None:
    logs = resource_of(dev, "aws_s3_bucket_versioning", "platform-access-logs")["bucket"]
    logging = dev.all("aws_s3_bucket_logging")
    assert {item["target_bucket"] for item in logging} == {logs}
    policies = dev.document["resource"]["aws_s3_bucket_policy"]
    [policy] = [label for label, item in policies.items() if item["bucket"] == logs]
    assert all(item["depends_on"] == [f"aws_s3_bucket_policy.{policy}"] for item in logging)
    assert {item["target_prefix"] for item in logging} == {
        f"s3/{bucket}-bucket-dev/" for bucket in (*SERVED, "platform-backups", *REBUILDABLE)
    }


def test_only_s3_log_delivery_of_this_account_can_write_logs(dev: Synthesized) -> None:
    label = resource_of(dev, "aws_s3_bucket_versioning", "platform-access-logs")["bucket"]
    statements = dev.policy("aws_s3_bucket_policy", bucket=label)
    [delivery] = [item for item in statements if item["Effect"] == "Allow"]
    assert delivery["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    assert delivery["Action"] == "s3:PutObject"
    assert delivery["Resource"].endswith(".arn}/s3/*")
    assert delivery["Condition"] == {"StringEquals": {"aws:SourceAccount": "111122223333"}}


def test_only_the_log_bucket_accepts_access_control_lists(dev: Synthesized) -> None:
    for bucket in (*SERVED, *ARCHIVED, *REBUILDABLE):
        expected = (
            "BucketOwnerPreferred" if bucket == "platform-access-logs" else "BucketOwnerEnforced"
        )
        assert (
            resource_of(dev, "aws_s3_bucket_ownership_controls", bucket)["rule"]["object_ownership"]
            == expected
        )


def test_buckets_are_protected_where_data_is_retained(dev: Synthesized, prod: Synthesized) -> None:
    for bucket in prod.all("aws_s3_bucket"):
        assert bucket["lifecycle"]["prevent_destroy"] is True
        assert bucket["force_destroy"] is False
    assert all(bucket["force_destroy"] for bucket in dev.all("aws_s3_bucket"))


def test_plain_http_is_denied(dev: Synthesized) -> None:
    assert len(dev.all("aws_s3_bucket_policy")) == len(dev.all("aws_s3_bucket"))
    assert all('"TlsOnly"' in policy["policy"] for policy in dev.all("aws_s3_bucket_policy"))
