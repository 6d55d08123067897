"""The images of posts: copies of uploads, below one prefix per post. CloudFront reads the copies,
not the uploads.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from lambdas.common.storage.uploads import IMAGE_LIMIT, IMAGE_TYPES, SignedUpload, Uploads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "images/post/"
"""The prefix of the S3 keys of all post images. CloudFront can read `images/`."""


class ImageStore(Protocol):
    def sign(self, user_id: str, content_type: str, content_length: int) -> SignedUpload: ...

    def use(self, user_id: str, positions: Mapping[str, int], post_id: str) -> dict[str, str]:
        """Copies uploads of the user to the post's images. Returns the key of the copy for the key
        of each upload.

        `positions` maps the key of each upload to its position in the request's list of images.
        Raises Problem 422 with one error per invalid upload, for example for the field `images.0`.
        """

    def remove(self, keys: Iterable[str]) -> None: ...


class S3Images:
    def __init__(self, s3: Callable[[], "S3Client"], bucket: str) -> None:
        """`s3` returns the S3 client, and is called at first use."""
        self._s3 = s3
        self._bucket = bucket
        self._uploads = Uploads(s3, bucket, "post", types=IMAGE_TYPES, limit=IMAGE_LIMIT)

    def sign(self, user_id: str, content_type: str, content_length: int) -> SignedUpload:
        return self._uploads.sign(user_id, content_type, content_length)

    def use(self, user_id: str, positions: Mapping[str, int], post_id: str) -> dict[str, str]:
        stored = self._uploads.use_all(user_id, positions, _prefix(post_id), field="images")
        return {upload: image.key for upload, image in stored.items()}

    def remove(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._uploads.remove(key)

    def remove_all(self, post_id: str) -> None:
        """Deletes all objects below the post's prefix, including those of interrupted changes."""
        pages = (
            self._s3()
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self._bucket, Prefix=_prefix(post_id))
        )
        for page in pages:
            self.remove(entry["Key"] for entry in page.get("Contents", []))


def _prefix(post_id: str) -> str:
    return f"{PREFIX}{post_id}/"
