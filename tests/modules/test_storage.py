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


def of(synthesized: Synthesized, type_: str, bucket: str) -> Block:
    """The resource of a type that belongs to the bucket `<bucket>-bucket-<environment>`."""
    labels = {
        item["bucket"]: f"${{aws_s3_bucket.{label}.bucket}}"
        for label, item in synthesized.document["resource"]["aws_s3_bucket"].items()
    }
    [name] = [name for name in labels if name.startswith(f"{bucket}-bucket-")]
    return synthesized.one(type_, bucket=labels[name])


def rules(synthesized: Synthesized, bucket: str) -> dict[str, Block]:
    return {
        rule["id"]: rule
        for rule in of(synthesized, "aws_s3_bucket_lifecycle_configuration", bucket)["rule"]
    }


def test_the_buckets_have_their_names(dev: Synthesized) -> None:
    expected = {f"{bucket}-bucket-dev" for bucket in (*SERVED, *ARCHIVED, *REBUILDABLE)}
    assert {bucket["bucket"] for bucket in dev.all("aws_s3_bucket")} == expected


def test_names_carry_the_suffix_that_makes_them_unique() -> None:
    assert all(
        item["bucket"].endswith("-dev-acme")
        for item in storage(bucket_suffix="acme").all("aws_s3_bucket")
    )


@pytest.mark.parametrize("bucket", SERVED)
def test_pictures_get_cheaper_but_stay_readable_and_never_expire(
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
def test_their_old_versions_are_archived_for_seven_years(dev: Synthesized, bucket: str) -> None:
    old = rules(dev, bucket)["old-versions"]
    assert old["noncurrent_version_transition"] == [
        {"noncurrent_days": 90, "storage_class": "GLACIER"}
    ]
    assert old["noncurrent_version_expiration"] == [{"noncurrent_days": 2555}]


@pytest.mark.parametrize("bucket", SERVED)
def test_uploads_nobody_used_are_gone_after_a_day(dev: Synthesized, bucket: str) -> None:
    uploads = rules(dev, bucket)["expire-uploads"]
    assert uploads["filter"] == [{"prefix": "uploads/"}]
    assert uploads["expiration"] == [{"days": 1}]
    assert uploads["noncurrent_version_expiration"] == [{"noncurrent_days": 1}]


@pytest.mark.parametrize("bucket", ARCHIVED)
def test_backups_and_logs_age_as_documented(dev: Synthesized, bucket: str) -> None:
    age = rules(dev, bucket)["age"]
    assert age["transition"] == [
        {"days": 30, "storage_class": "STANDARD_IA"},
        {"days": 90, "storage_class": "GLACIER"},
    ]
    assert age["expiration"] == [{"days": 2555}]


@pytest.mark.parametrize("bucket", [*ARCHIVED, *REBUILDABLE])
def test_other_old_versions_go_and_leave_no_marker(dev: Synthesized, bucket: str) -> None:
    old = rules(dev, bucket)["old-versions"]
    assert old["noncurrent_version_expiration"] == [{"noncurrent_days": 30}]
    assert old["expiration"] == [{"expired_object_delete_marker": True}]


def test_browsers_upload_from_the_site_alone(prod: Synthesized) -> None:
    assert len(prod.all("aws_s3_bucket_cors_configuration")) == len(SERVED)
    for bucket in SERVED:
        [rule] = of(prod, "aws_s3_bucket_cors_configuration", bucket)["cors_rule"]
        assert rule["allowed_origins"] == ["https://multitask.com", "https://www.multitask.com"]
        assert set(rule["allowed_methods"]) == {"POST", "GET", "HEAD"}
        assert rule["expose_headers"] == ["ETag"]


def test_every_bucket_but_the_logs_own_is_logged(dev: Synthesized) -> None:
    logs = of(dev, "aws_s3_bucket_versioning", "platform-access-logs")["bucket"]
    logging = dev.all("aws_s3_bucket_logging")
    assert {item["target_bucket"] for item in logging} == {logs}
    policies = dev.document["resource"]["aws_s3_bucket_policy"]
    [policy] = [label for label, item in policies.items() if item["bucket"] == logs]
    assert all(item["depends_on"] == [f"aws_s3_bucket_policy.{policy}"] for item in logging)
    assert {item["target_prefix"] for item in logging} == {
        f"s3/{bucket}-bucket-dev/" for bucket in (*SERVED, "platform-backups", *REBUILDABLE)
    }


def test_only_log_delivery_of_this_account_writes_logs(dev: Synthesized) -> None:
    label = of(dev, "aws_s3_bucket_versioning", "platform-access-logs")["bucket"]
    statements = dev.policy("aws_s3_bucket_policy", bucket=label)
    [delivery] = [item for item in statements if item["Effect"] == "Allow"]
    assert delivery["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    assert delivery["Action"] == "s3:PutObject"
    assert delivery["Resource"].endswith(".arn}/s3/*")
    assert delivery["Condition"] == {"StringEquals": {"aws:SourceAccount": "111122223333"}}


def test_access_control_lists_count_only_where_cloudfront_delivers(dev: Synthesized) -> None:
    for bucket in (*SERVED, *ARCHIVED, *REBUILDABLE):
        expected = (
            "BucketOwnerPreferred" if bucket == "platform-access-logs" else "BucketOwnerEnforced"
        )
        assert (
            of(dev, "aws_s3_bucket_ownership_controls", bucket)["rule"]["object_ownership"]
            == expected
        )


def test_buckets_outlive_an_environment_that_keeps_its_data(
    dev: Synthesized, prod: Synthesized
) -> None:
    for bucket in prod.all("aws_s3_bucket"):
        assert bucket["lifecycle"]["prevent_destroy"] is True
        assert bucket["force_destroy"] is False
    assert all(bucket["force_destroy"] for bucket in dev.all("aws_s3_bucket"))


def test_plain_http_is_denied_unless_the_cloud_has_nothing_else(dev: Synthesized) -> None:
    assert len(dev.all("aws_s3_bucket_policy")) == len(dev.all("aws_s3_bucket"))
    assert all('"TlsOnly"' in policy["policy"] for policy in dev.all("aws_s3_bucket_policy"))
    capabilities = environment().capabilities.model_copy(update={"bucket_tls_policy": False})
    assert '"TlsOnly"' not in str(storage(capabilities=capabilities).document)
