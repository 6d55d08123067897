"""The images of posts: uploads once used, below a prefix of each post's own, where the cdn domain serves them."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from lambdas.common.storage.uploads import IMAGE_LIMIT, IMAGE_TYPES, SignedUpload, Uploads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "images/post/"
"""What a post's images begin with; the cdn domain serves `images/`."""


class ImageStore(Protocol):
    """What the logic needs of the images. They are named by keys."""

    def sign(self, user_id: str, content_type: str, content_length: int) -> SignedUpload: ...

    def use(self, user_id: str, uploads: Sequence[str], post_id: str) -> tuple[str, ...]:
        """The post's images made of these uploads of the user. Raises Problem 422, naming `images.0` and so on."""

    def remove(self, keys: Iterable[str]) -> None: ...


class S3Images:
    """Images in S3."""

    def __init__(self, s3: Callable[[], "S3Client"], bucket: str) -> None:
        """`s3` gives the client at the first use."""
        self._s3 = s3
        self._bucket = bucket
        self._uploads = Uploads(s3, bucket, "post", types=IMAGE_TYPES, limit=IMAGE_LIMIT)

    def sign(self, user_id: str, content_type: str, content_length: int) -> SignedUpload:
        return self._uploads.sign(user_id, content_type, content_length)

    def use(self, user_id: str, uploads: Sequence[str], post_id: str) -> tuple[str, ...]:
        if not uploads:
            return ()
        return tuple(
            found.key
            for found in self._uploads.use_all(user_id, uploads, _prefix(post_id), field="images")
        )

    def remove(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._uploads.remove(key)

    def remove_all(self, post_id: str) -> None:
        """Removes whatever lies below the post's prefix, what an interrupted change has left there included."""
        pages = (
            self._s3()
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self._bucket, Prefix=_prefix(post_id))
        )
        for page in pages:
            self.remove(found["Key"] for found in page.get("Contents", []))


def _prefix(post_id: str) -> str:
    return f"{PREFIX}{post_id}/"
