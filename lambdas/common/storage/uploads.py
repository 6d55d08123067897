"""Uploads: the client posts a file straight to a private prefix of a bucket, by a form signed for that one file; what is
used of it is checked by its bytes and copied to where it is served."""

import re
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from botocore.exceptions import ClientError
from msgspec import Meta, Struct

from lambdas.common.clock import new_id
from lambdas.common.problems import FieldError, Problem
from lambdas.common.web.validation import Body

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

ImageType = Literal["image/jpeg", "image/png", "image/webp"]
AttachmentType = Literal[
    "image/jpeg", "image/png", "image/webp", "application/pdf", "text/plain", "application/zip"
]
IMAGE_TYPES: frozenset[str] = frozenset(get_args(ImageType))
ATTACHMENT_TYPES: frozenset[str] = frozenset(get_args(AttachmentType))
"""API contract, Uploads."""

MEGABYTE = 1024 * 1024
IMAGE_LIMIT = 5 * MEGABYTE
ATTACHMENT_LIMIT = 10 * MEGABYTE
"""Bytes of one file at most (API contract: avatars, images of posts and listings; chat attachments)."""

LIFETIME = 5 * 60
"""Seconds a signed form is good for (API contract, Uploads)."""

PREFIX = "uploads/"
"""The prefix that nothing serves; its objects expire after a day, so that nobody has to clear up."""

_MAGIC = {
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "application/pdf": re.compile(rb"%PDF-"),
    "application/zip": re.compile(rb"PK(\x03\x04|\x05\x06)"),  # a first entry, or none at all
}
"""How each type's files begin: ITU T.81 B.2.1, PNG 5.2, RFC 9649 2.4, ISO 32000-2 7.5.2, PKWARE's APPNOTE 4.3.7 and 4.3.16."""
_MAGIC_LENGTH = 16
"""Bytes that hold the longest of them."""

# Without the right to list a bucket, S3 answers 403 for what is not there.
_MISSING = {"NoSuchKey", "404", "AccessDenied", "403"}
_CHANGED = {"PreconditionFailed", "412"}


class ImageUpload(Body, frozen=True, kw_only=True):
    """Body of a request to upload an image."""

    content_type: Annotated[
        ImageType, Meta(description="must be image/jpeg, image/png or image/webp")
    ]
    content_length: Annotated[
        int,
        Meta(
            ge=1,
            le=IMAGE_LIMIT,
            description=f"must be the file's size in bytes, at most {IMAGE_LIMIT}",
        ),
    ]


class AttachmentUpload(Body, frozen=True, kw_only=True):
    """Body of a request to upload an attachment."""

    content_type: Annotated[
        AttachmentType, Meta(description=f"must be one of {', '.join(get_args(AttachmentType))}")
    ]
    content_length: Annotated[
        int,
        Meta(
            ge=1,
            le=ATTACHMENT_LIMIT,
            description=f"must be the file's size in bytes, at most {ATTACHMENT_LIMIT}",
        ),
    ]


class SignedForm(Struct, frozen=True):
    """A form to post as multipart/form-data: every field, then the file as `file`."""

    url: str
    fields: dict[str, str]


class SignedUpload(Struct, frozen=True):
    """Where to upload to, and the key by which the upload is used afterwards. Never to be logged or stored: it is a permission."""

    upload: SignedForm
    key: str


class StoredObject(Struct, frozen=True):
    """An object where it is served; `size` in bytes."""

    key: str
    content_type: str
    size: int


class _Upload(Struct, frozen=True):
    """An upload whose bytes have been checked; `etag` says which bytes those were."""

    key: str
    content_type: str
    size: int
    etag: str


class Uploads:
    """One service's uploads to one bucket.

    Args:
        s3: gives the client at the first use; most requests upload nothing.
        bucket: where uploads land and are served from.
        service: its name: uploads of one service are of no use to another.
        types: content types it takes.
        limit: bytes of a file at most.
    """

    def __init__(
        self,
        s3: Callable[[], "S3Client"],
        bucket: str,
        service: str,
        *,
        types: Collection[str],
        limit: int,
    ) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._service = service
        self._types = types
        self._limit = limit

    def sign(self, user_id: str, content_type: str, content_length: int) -> SignedUpload:
        """A form for one file of exactly this type and size, good for LIFETIME seconds.

        Raises Problem 422 for a type or a size that the service does not take.
        """
        wrong = []
        if content_type not in self._types:
            wrong.append(
                FieldError("contentType", f"must be one of {', '.join(sorted(self._types))}")
            )
        if not 0 < content_length <= self._limit:
            wrong.append(
                FieldError(
                    "contentLength", f"must be the file's size in bytes, at most {self._limit}"
                )
            )
        if wrong:
            raise Problem.invalid(wrong)
        key = f"{self._prefix(user_id)}{new_id()}"
        # Bucket and key are conditions by themselves (botocore adds them).
        conditions: list[Any] = [
            {"Content-Type": content_type},
            ["content-length-range", content_length, content_length],
        ]
        form = self._s3().generate_presigned_post(
            self._bucket,
            key,
            Fields={"Content-Type": content_type},
            Conditions=conditions,
            ExpiresIn=LIFETIME,
        )
        return SignedUpload(SignedForm(form["url"], form["fields"]), key)

    def use(self, user_id: str, key: str, target_prefix: str) -> StoredObject:
        """Copies the user's upload to a new object below `target_prefix`, which ends in `/`.

        Each use makes an object of its own, so whoever uses an upload may remove its object without asking who else has one.
        Raises Problem 422, naming the field `key`, unless the user has uploaded a file by that key whose bytes are of the type it was
        declared as: a key that was invented, is another user's or has not been uploaded to yet all look the same. Raises Problem 409
        when the upload is replaced at this very moment.
        """
        return self._use([(key, "key")], user_id, target_prefix)[0]

    def use_all(
        self, user_id: str, keys: Sequence[str], target_prefix: str, *, field: str
    ) -> list[StoredObject]:
        """`use` for each of the keys of a list field. Nothing is copied unless all can be; the 422 names each bad one, as `field.0`."""
        return self._use(
            [(key, f"{field}.{index}") for index, key in enumerate(keys)], user_id, target_prefix
        )

    def remove(self, key: str) -> None:
        """Deletes what `use` stored; that it is gone already is no error."""
        self._s3().delete_object(Bucket=self._bucket, Key=key)

    def _use(
        self, keys: Sequence[tuple[str, str]], user_id: str, target_prefix: str
    ) -> list[StoredObject]:
        checked = [self._check(user_id, key, field) for key, field in keys]
        uploads = [found for found in checked if isinstance(found, _Upload)]
        wrong = [found for found in checked if isinstance(found, FieldError)]
        if wrong:
            raise Problem.invalid(wrong)
        return [self._copy(upload, target_prefix) for upload in uploads]

    def _check(self, user_id: str, key: str, field: str) -> _Upload | FieldError:
        missing = FieldError(
            field, "must be the key of a file that you have uploaded here within a day"
        )
        prefix = self._prefix(user_id)
        if not (key.startswith(prefix) and re.fullmatch(r"[0-9a-f]{32}", key.removeprefix(prefix))):
            return missing
        try:
            found = self._s3().get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return missing
            raise
        with found["Body"] as body:
            upload = _Upload(key, found["ContentType"], found["ContentLength"], found["ETag"])
            acceptable = upload.content_type in self._types and 0 < upload.size <= self._limit
            if acceptable and _is_of_type(body, upload.content_type):
                return upload
        return FieldError(field, "is not a file of the type that it was declared as")

    def _copy(self, upload: _Upload, target_prefix: str) -> StoredObject:
        target = f"{target_prefix}{new_id()}"
        try:
            self._s3().copy_object(
                Bucket=self._bucket,
                Key=target,
                CopySource={"Bucket": self._bucket, "Key": upload.key},
                CopySourceIfMatch=upload.etag,  # the form is still good: other bytes may have come since the check
                MetadataDirective="REPLACE",
                ContentType=upload.content_type,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in _CHANGED:
                detail = "The file was uploaded again while it was being used: repeat the request."
                raise Problem.conflict(detail, "upload_changed") from None
            raise
        return StoredObject(target, upload.content_type, upload.size)

    def _prefix(self, user_id: str) -> str:
        return f"{PREFIX}{self._service}/{user_id}/"


def _is_of_type(body: "StreamingBody", content_type: str) -> bool:
    if content_type != "text/plain":
        return _MAGIC[content_type].match(body.read(_MAGIC_LENGTH)) is not None
    # Text has no beginning of its own: all of it has to be text.
    try:
        return "\0" not in body.read().decode()
    except UnicodeDecodeError:
        return False
