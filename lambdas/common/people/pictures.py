"""Addresses of pictures that the cdn distribution serves."""

from typing import Literal

from lambdas.common.settings import Settings


class PictureSettings(Settings, frozen=True, kw_only=True):
    """`cloudfront_domain` is host[:port]; the scheme is another than https only where the edge has no certificate."""

    cloudfront_domain: str
    cloudfront_scheme: Literal["https", "http"] = "https"

    def picture_url(self, key: str) -> str:
        """Where the picture with that key is served. Keys are made of characters that an address takes as they are."""
        return f"{self.cloudfront_scheme}://{self.cloudfront_domain}/{key}"
