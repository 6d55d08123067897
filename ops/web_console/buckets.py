"""Lists the objects of S3 buckets, previews pictures, and downloads objects."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from starlette.responses import RedirectResponse, Response, StreamingResponse

from ops.errors import OperatorError
from ops.web_console.source import Source

SUFFIX = "_bucket"
"""The suffix of the outputs that contain the names of buckets."""
STATE_BUCKET_OUTPUT = "state_bucket"
"""The output with the name of the bucket of Terraform's state, which the console does not show."""
PAGE_SIZE = 200
"""Number of objects that one request lists."""
EXPIRY = 300
"""Seconds for which a presigned URL is valid."""
LARGEST_PREVIEW = 5 * 1024 * 1024
"""Maximum size of a picture that the console previews, in bytes."""
PICTURES = {
    rb"\x89PNG": "image/png",
    rb"\xff\xd8\xff": "image/jpeg",
    rb"GIF8": "image/gif",
    rb"RIFF.{4}WEBP": "image/webp",
}
"""The media types of the allowed pictures, by a pattern of the first bytes of such a picture.

SVG is not allowed, because an SVG file can contain scripts.
"""


def list_buckets(source: Source) -> dict[str, str]:
    """Returns the buckets' names by purpose, without the state bucket."""
    return {
        key.removesuffix(SUFFIX): str(name)
        for key, name in sorted(source.outputs().items())
        if key.endswith(SUFFIX) and key != STATE_BUCKET_OUTPUT
    }


def list_objects(source: Source, bucket: str, prefix: str = "", after: str = "") -> dict[str, Any]:
    """Returns the objects and folders of a bucket under a prefix.

    Args:
        after: `next` of the previous result, to list the objects that follow. Empty for the first.
    """
    arguments: dict[str, Any] = {
        "Bucket": _name(source, bucket),
        "Prefix": prefix,
        "Delimiter": "/",
        "MaxKeys": PAGE_SIZE,
    }
    if after:
        arguments["ContinuationToken"] = after
    response = source.client("s3").list_objects_v2(**arguments)
    return {
        "folders": [item["Prefix"] for item in response.get("CommonPrefixes", [])],
        "objects": [
            {"key": item["Key"], "size": item["Size"], "modified": item["LastModified"].isoformat()}
            for item in response.get("Contents", [])
        ],
        "next": response.get("NextContinuationToken"),
    }


def preview(source: Source, bucket: str, key: str) -> Response:
    """Returns a picture in a bucket, for display in the console.

    Raises:
        OperatorError: The object is larger than LARGEST_PREVIEW, or is not a picture.
    """
    response = source.client("s3").get_object(Bucket=_name(source, bucket), Key=key)
    if response["ContentLength"] > LARGEST_PREVIEW:
        raise OperatorError(f"{key} has no preview, because it is larger than 5 MiB: download it")
    content: bytes = response["Body"].read()
    for start, kind in PICTURES.items():
        if re.match(start, content, re.DOTALL):
            return Response(content, media_type=kind)
    raise OperatorError(
        f"{key} has no preview, because it is not a PNG, JPEG, GIF or WebP picture: download it"
    )


def download(source: Source, bucket: str, key: str) -> Response:
    """Returns an object as a download: on AWS, a redirect to a presigned URL.

    On this machine, returns the object itself, because browsers do not trust the certificate of the
    embedded AWS.
    """
    name, s3 = _name(source, bucket), source.client("s3")
    file = PurePosixPath(key).name.encode("ascii", "replace").decode().replace('"', "'")
    disposition = f'attachment; filename="{file}"'
    if source.is_local:
        body = s3.get_object(Bucket=name, Key=key)["Body"]
        return StreamingResponse(
            body.iter_chunks(),
            media_type="application/octet-stream",
            headers={"Content-Disposition": disposition},
        )
    parameters = {"Bucket": name, "Key": key, "ResponseContentDisposition": disposition}
    return RedirectResponse(
        s3.generate_presigned_url("get_object", Params=parameters, ExpiresIn=EXPIRY)
    )


def _name(source: Source, bucket: str) -> str:
    buckets = list_buckets(source)
    if bucket not in buckets:
        raise OperatorError(f"The bucket {bucket} does not exist: use one of {', '.join(buckets)}")
    return buckets[bucket]
