"""Tests uploads through signed forms, on moto."""

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lambdas.common.clients import Clients
from lambdas.common.problems import Problem
from lambdas.common.storage.uploads import (
    ATTACHMENT_LIMIT,
    ATTACHMENT_TYPES,
    IMAGE_LIMIT,
    IMAGE_TYPES,
    LIFETIME,
    AttachmentUpload,
    ImageUpload,
    Uploads,
    new_uploads,
)
from lambdas.common.validation import validate
from tests.lambdas.support import REGION

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "pictures"
FILES = {
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF rest",
    "image/png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR rest",
    "image/webp": b"RIFF\n\x00\x00\x00WEBPVP8 rest",
    "application/pdf": b"%PDF-1.7 rest",
    "application/zip": b"PK\x03\x04 rest",
    "text/plain": "two lines\nof téxt".encode(),
}
MISSING = "must be the key of a file that you uploaded for this use in the last 24 hours"
INVALID = "is not a file of the declared content type"


@pytest.fixture
def s3(aws: None) -> "S3Client":
    client = boto3.client("s3", region_name=REGION)
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def uploads(s3: "S3Client") -> Uploads:
    return Uploads(lambda: s3, BUCKET, "chat", types=ATTACHMENT_TYPES, limit=ATTACHMENT_LIMIT)


def upload(
    s3: "S3Client", uploads: Uploads, content: bytes, content_type: str, user: str = "user-1"
) -> str:
    """Uploads a file to the key of a signed form.

    Uploads without the form, because only the real S3 would enforce the form's conditions.
    """
    key = uploads.sign(user, content_type, len(content)).key
    s3.put_object(Bucket=BUCKET, Key=key, Body=content, ContentType=content_type)
    return key


def expect_problem(uploads: Uploads, key: str, user: str = "user-1") -> tuple[int, dict[str, str]]:
    with pytest.raises(Problem) as refused:
        uploads.use(user, key, "served/")
    return refused.value.status, {error.field: error.message for error in refused.value.errors}


def test_the_upload_form_permits_one_key_one_type_and_one_size(aws: None) -> None:
    uploads = Uploads(
        lambda: Clients("eu-central-1").s3, BUCKET, "post", types=IMAGE_TYPES, limit=IMAGE_LIMIT
    )
    signed = uploads.sign("user-1", "image/png", 1234)
    assert re.fullmatch(r"uploads/post/user-1/[0-9a-f]{32}", signed.key)
    fields = signed.upload.fields
    assert signed.upload.url == f"https://{BUCKET}.s3.amazonaws.com/"
    assert (fields["key"], fields["Content-Type"]) == (signed.key, "image/png")
    assert fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    policy = json.loads(base64.b64decode(fields["policy"]))
    assert {"key": signed.key} in policy["conditions"]
    assert {"bucket": BUCKET} in policy["conditions"]
    assert {"Content-Type": "image/png"} in policy["conditions"]
    assert ["content-length-range", 1234, 1234] in policy["conditions"]
    assert LIFETIME == 300
    assert uploads.sign("user-1", "image/png", 1234).key != signed.key


@pytest.mark.parametrize(
    ("content_type", "length", "fields"),
    [
        ("image/gif", 10, {"contentType"}),
        ("image/png", 0, {"contentLength"}),
        ("image/png", ATTACHMENT_LIMIT + 1, {"contentLength"}),
        ("text/html", -1, {"contentType", "contentLength"}),
    ],
)
def test_unsupported_types_and_sizes_are_not_signed(
    uploads: Uploads, content_type: str, length: int, fields: set[str]
) -> None:
    with pytest.raises(Problem) as refused:
        uploads.sign("user-1", content_type, length)
    assert {error.field for error in refused.value.errors} == fields


def test_a_422_names_every_invalid_field(aws: None) -> None:
    for model, limit in ((ImageUpload, IMAGE_LIMIT), (AttachmentUpload, ATTACHMENT_LIMIT)):
        for wrong in (
            {"contentType": "image/svg+xml", "contentLength": limit + 1},
            {"contentLength": True},
            {},
        ):
            with pytest.raises(Problem) as refused:
                validate(model, wrong)
            assert {error.field for error in refused.value.errors} == {
                "contentType",
                "contentLength",
            }
        validate(model, {"contentType": "image/webp", "contentLength": limit})
    validate(AttachmentUpload, {"contentType": "application/zip", "contentLength": 1})


@pytest.mark.parametrize("content_type", FILES)
def test_an_upload_is_copied_to_the_served_key(
    s3: "S3Client", uploads: Uploads, content_type: str
) -> None:
    key = upload(s3, uploads, FILES[content_type], content_type)
    stored = uploads.use("user-1", key, "served/")
    assert re.fullmatch(r"served/[0-9a-f]{32}", stored.key)
    assert (stored.content_type, stored.size) == (content_type, len(FILES[content_type]))
    served = s3.get_object(Bucket=BUCKET, Key=stored.key)
    assert (served["ContentType"], served["Body"].read()) == (content_type, FILES[content_type])
    assert uploads.use("user-1", key, "served/").key != stored.key


@pytest.mark.parametrize("declared", FILES)
def test_content_of_another_type_is_rejected(
    s3: "S3Client", uploads: Uploads, declared: str
) -> None:
    others = [content for content_type, content in FILES.items() if content_type != declared]
    if declared == "text/plain":
        others = [b"\xff\xd8\xff", b"\x89PNG", b"text\0text", b"caf\xe9"]
    for content in (
        [*others, b"<script>", FILES[declared][1:]] if declared != "text/plain" else others
    ):
        assert expect_problem(uploads, upload(s3, uploads, content, declared)) == (
            422,
            {"key": INVALID},
        )
    assert {
        item["Key"].split("/")[0] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    } == {"uploads"}


def test_an_upload_with_an_unsigned_type_or_size_is_rejected(
    s3: "S3Client", uploads: Uploads
) -> None:
    key = uploads.sign("user-1", "image/png", 10).key
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"<html>", ContentType="text/html")
    assert expect_problem(uploads, key) == (422, {"key": INVALID})
    small = Uploads(lambda: s3, BUCKET, "chat", types=ATTACHMENT_TYPES, limit=5)
    assert expect_problem(small, upload(s3, uploads, FILES["image/png"], "image/png")) == (
        422,
        {"key": INVALID},
    )


def test_only_finished_uploads_of_the_user_to_this_service_are_accepted(
    s3: "S3Client", uploads: Uploads
) -> None:
    png = FILES["image/png"]
    other_users_key = upload(s3, uploads, png, "image/png", user="user-2")
    elsewhere = upload(
        s3, Uploads(lambda: s3, BUCKET, "post", types=IMAGE_TYPES, limit=99), png, "image/png"
    )
    own_key = upload(s3, uploads, png, "image/png")
    s3.put_object(Bucket=BUCKET, Key="served/x", Body=png, ContentType="image/png")
    never_posted = uploads.sign("user-1", "image/png", 10).key
    for key in (
        other_users_key,
        elsewhere,
        never_posted,
        "served/x",
        "",
        own_key + "/..",
        own_key[:-1] + "g",
        f"uploads/chat/user-1/../{own_key}",
    ):
        assert expect_problem(uploads, key) == (422, {"key": MISSING}), key
    assert expect_problem(uploads, own_key, "user-2") == (422, {"key": MISSING})


def test_a_list_with_invalid_keys_names_them_and_copies_nothing(
    s3: "S3Client", uploads: Uploads
) -> None:
    good = [upload(s3, uploads, FILES["image/png"], "image/png") for _ in range(2)]
    bad = upload(s3, uploads, b"<script>", "image/png")
    files = new_uploads([good[0], bad, good[1], "x"])
    with pytest.raises(Problem) as refused:
        uploads.use_all("user-1", files, "served/", field="images")
    assert {error.field: error.message for error in refused.value.errors} == {
        "images.1": INVALID,
        "images.3": MISSING,
    }
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET, Prefix="served/")
    stored = uploads.use_all("user-1", new_uploads(good), "served/", field="images")
    assert list(stored) == good
    assert len({copy.key for copy in stored.values()}) == 2
    assert uploads.use_all("user-1", {}, "served/", field="images") == {}


def test_new_uploads_returns_each_upload_key_once_with_its_first_position() -> None:
    files = ["https://cdn/1", "upload-1", "https://cdn/2", "upload-2", "upload-1"]
    current = {"https://cdn/1", "https://cdn/2"}
    assert new_uploads(files, current) == {"upload-1": 1, "upload-2": 3}


def test_content_that_changes_between_check_and_copy_is_not_served(
    s3: "S3Client", uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = upload(s3, uploads, FILES["image/png"], "image/png")
    copy = s3.copy_object

    def change_before_copying(**arguments: Any) -> Any:
        assert arguments["CopySourceIfMatch"] == s3.head_object(Bucket=BUCKET, Key=key)["ETag"]
        error = {
            "Error": {"Code": "PreconditionFailed", "Message": ""},
            "ResponseMetadata": {"HTTPStatusCode": 412},
        }
        raise ClientError(error, "CopyObject")  # type: ignore[arg-type]

    monkeypatch.setattr(s3, "copy_object", change_before_copying)
    with pytest.raises(Problem) as refused:
        uploads.use("user-1", key, "served/")
    assert (refused.value.status, refused.value.code) == (409, "upload_changed")
    monkeypatch.setattr(s3, "copy_object", copy)
    assert uploads.use("user-1", key, "served/")


def test_a_missing_upload_is_reported_even_if_s3_denies_access(
    s3: "S3Client", uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "GetObject")

    monkeypatch.setattr(s3, "get_object", refuse)
    assert expect_problem(uploads, uploads.sign("user-1", "image/png", 10).key) == (
        422,
        {"key": MISSING},
    )


def test_removing_an_object_is_idempotent(s3: "S3Client", uploads: Uploads) -> None:
    stored = uploads.use("user-1", upload(s3, uploads, FILES["image/png"], "image/png"), "served/")
    for _ in range(2):
        uploads.remove(stored.key)
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET, Prefix="served/")
