"""URLs of pictures that the cdn distribution serves."""

from typing import Literal

from lambdas.common.settings import Settings


class PictureSettings(Settings, frozen=True, kw_only=True):
    """`cloudfront_domain` is host[:port]. The scheme is http only where there is no certificate."""

    cloudfront_domain: str
    cloudfront_scheme: Literal["https", "http"] = "https"

    def picture_url(self, key: str) -> str:
        """Returns a picture's URL. Keys contain only characters that need no escaping."""
        return f"{self.cloudfront_scheme}://{self.cloudfront_domain}/{key}"
