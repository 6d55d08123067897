"""URLs of pictures in CloudFront."""

from lambdas.common.settings import Settings


class PictureSettings(Settings, frozen=True, kw_only=True):
    """The address of the CloudFront distribution. `cloudfront_domain` has the form host[:port]."""

    cloudfront_domain: str

    def picture_url(self, key: str) -> str:
        """Returns a picture's URL. S3 keys of pictures need no escaping."""
        return f"https://{self.cloudfront_domain}/{key}"
