"""Uploads of files through signed forms.

A client posts a file to a private prefix of a bucket. When a service uses the file, it checks the
bytes and copies the file to a prefix that clients can read.
"""

import re
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from botocore.exceptions import ClientError
from msgspec import Meta, Struct

from lambdas.common.clock import new_id
from lambdas.common.problems import FieldError, Problem
from lambdas.common.validation import Body

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

ImageType = Literal["image/jpeg", "image/png", "image/webp"]
AttachmentType = Literal[
    "image/jpeg", "image/png", "image/webp", "application/pdf", "text/plain", "application/zip"
]
IMAGE_TYPES: frozenset[str] = frozenset(get_args(ImageType))
ATTACHMENT_TYPES: frozenset[str] = frozenset(get_args(AttachmentType))
"""The content types that the specification allows."""

MEGABYTE = 1024 * 1024
IMAGE_LIMIT = 5 * MEGABYTE
ATTACHMENT_LIMIT = 10 * MEGABYTE
"""Maximum bytes of an image or avatar, and of a chat attachment, from the specification."""

LIFETIME = 5 * 60
"""Seconds for which a signed form is valid (docs/api/README.md, Uploads)."""

PREFIX = "uploads/"
"""The prefix for uploads. A lifecycle rule deletes objects with this prefix after a day."""

_MAGIC = {
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "application/pdf": re.compile(rb"%PDF-"),
    # The signature of an archive with files, or without files.
    "application/zip": re.compile(rb"PK(\x03\x04|\x05\x06)"),
}
"""The first bytes of each file type (ITU T.81 B.2.1, PNG 5.2, RFC 9649 2.4, ISO 32000-2 7.5.2,
PKWARE's APPNOTE 4.3.7 and 4.3.16)."""
_MAGIC_LENGTH = 16
"""The number of bytes to read for the check. The longest pattern matches 12 bytes."""

# Without the permission s3:ListBucket, S3 returns 403 for missing objects.
_MISSING = {"NoSuchKey", "404", "AccessDenied", "403"}
_CHANGED = {"PreconditionFailed", "412"}


UploadKey = Annotated[
    str, Meta(min_length=1, max_length=300, description="must be the key of an upload")
]
"""The key of an upload, in a request. The services' keys have up to 120 characters."""


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
    """A form to post as multipart/form-data: all fields, then the file as `file`."""

    url: str
    fields: dict[str, str]


class SignedUpload(Struct, frozen=True):
    """A signed form and the key of its upload. The form is a credential: never log or store it."""

    upload: SignedForm
    key: str


class StoredObject(Struct, frozen=True):
    """A file that was copied to a prefix that clients can read. `size` is in bytes."""

    key: str
    content_type: str
    size: int


class _Upload(Struct, frozen=True):
    """An upload whose content was checked. `etag` identifies that content."""

    key: str
    content_type: str
    size: int
    etag: str


def new_uploads(files: Sequence[str], current: Container[str] = ()) -> dict[str, int]:
    """Finds the upload keys in a request's list of files. Returns each key's first position.

    Args:
        files: The request's list, which contains upload keys and URLs of `current`.
        current: The URLs of files that are in use already.
    """
    positions: dict[str, int] = {}
    for position, file in enumerate(files):
        if file not in current:
            positions.setdefault(file, position)
    return positions


class Uploads:
    """One service's uploads to one bucket.

    Args:
        s3: Returns the client. Called on first use, since most requests upload nothing.
        bucket: The bucket for uploads, and for the copies that clients can read.
        service: The service's name. A service cannot use another service's uploads.
        types: The accepted content types.
        limit: Maximum bytes of a file.
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
        """Signs a form for one file of exactly this type and size, valid for LIFETIME seconds.

        Raises Problem 422 if the service does not accept the type or the size.
        """
        errors = []
        if content_type not in self._types:
            errors.append(
                FieldError("contentType", f"must be one of {', '.join(sorted(self._types))}")
            )
        if not 0 < content_length <= self._limit:
            errors.append(
                FieldError(
                    "contentLength", f"must be the file's size in bytes, at most {self._limit}"
                )
            )
        if errors:
            raise Problem.invalid(errors)
        key = f"{self._prefix(user_id)}{new_id()}"
        # botocore adds the conditions for bucket and key.
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

    def is_key_of(self, user_id: str, key: str) -> bool:
        """Returns True if the key has the format of this user's upload keys."""
        prefix = self._prefix(user_id)
        return key.startswith(prefix) and bool(
            re.fullmatch(r"[0-9a-f]{32}", key.removeprefix(prefix))
        )

    def use(self, user_id: str, key: str, target_prefix: str) -> StoredObject:
        """Copies the user's upload to a new object below `target_prefix`, which ends in `/`.

        Each call creates a separate object. `remove` can delete it without checking for other uses.

        Raises:
            Problem: 422 for the field `key` if the user has no upload with that key, or the bytes
                do not match the declared type. The error does not reveal whether another user has
                such an upload. 409 if the upload is replaced during the call.
        """
        return self._use([(key, "key")], user_id, target_prefix)[0]

    def use_all(
        self, user_id: str, positions: Mapping[str, int], target_prefix: str, *, field: str
    ) -> dict[str, StoredObject]:
        """Calls `use` for uploads in a list field. Returns the copies by the keys of the uploads.

        Copies nothing unless all keys are valid. Problem 422 names each invalid key by `field` and
        its position, for example `images.0`.

        Args:
            positions: The position of each key in the list.
        """
        stored = self._use(
            [(key, f"{field}.{position}") for key, position in positions.items()],
            user_id,
            target_prefix,
        )
        return dict(zip(positions, stored, strict=True))

    def remove(self, key: str) -> None:
        """Deletes an object stored by `use`. A missing object is not an error."""
        self._s3().delete_object(Bucket=self._bucket, Key=key)

    def _use(
        self, keys: Sequence[tuple[str, str]], user_id: str, target_prefix: str
    ) -> list[StoredObject]:
        checked = [self._check(user_id, key, field) for key, field in keys]
        uploads = [result for result in checked if isinstance(result, _Upload)]
        errors = [result for result in checked if isinstance(result, FieldError)]
        if errors:
            raise Problem.invalid(errors)
        return [self._copy(upload, target_prefix) for upload in uploads]

    def _check(self, user_id: str, key: str, field: str) -> _Upload | FieldError:
        missing = FieldError(
            field, "must be the key of a file that you uploaded for this use in the last 24 hours"
        )
        if not self.is_key_of(user_id, key):
            return missing
        try:
            stored = self._s3().get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return missing
            raise
        with stored["Body"] as body:
            upload = _Upload(key, stored["ContentType"], stored["ContentLength"], stored["ETag"])
            acceptable = upload.content_type in self._types and 0 < upload.size <= self._limit
            if acceptable and _is_of_type(body, upload.content_type):
                return upload
        return FieldError(field, "is not a file of the declared content type")

    def _copy(self, upload: _Upload, target_prefix: str) -> StoredObject:
        target = f"{target_prefix}{new_id()}"
        try:
            self._s3().copy_object(
                Bucket=self._bucket,
                Key=target,
                CopySource={"Bucket": self._bucket, "Key": upload.key},
                # The form may still be valid, so the file may have been replaced since the check.
                CopySourceIfMatch=upload.etag,
                MetadataDirective="REPLACE",
                ContentType=upload.content_type,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in _CHANGED:
                detail = "The file was uploaded again while it was used. Repeat the request."
                raise Problem.conflict(detail, "upload_changed") from None
            raise
        return StoredObject(target, upload.content_type, upload.size)

    def _prefix(self, user_id: str) -> str:
        return f"{PREFIX}{self._service}/{user_id}/"


def _is_of_type(body: "StreamingBody", content_type: str) -> bool:
    if content_type != "text/plain":
        return _MAGIC[content_type].match(body.read(_MAGIC_LENGTH)) is not None
    # Text has no signature, so the whole file must be valid UTF-8 without NUL.
    try:
        return "\0" not in body.read().decode()
    except UnicodeDecodeError:
        return False
