"""Tests the URLs of pictures in CloudFront."""

from lambdas.common.people.pictures import PictureSettings
from lambdas.common.settings import read

ENVIRON = {"STAGE": "dev", "REGION": "us-east-1", "CLOUDFRONT_DOMAIN": "cdn.example.com"}


def test_pictures_have_urls_of_the_cdn() -> None:
    settings = read(PictureSettings, ENVIRON)
    assert settings.picture_url("avatars/0a1b") == "https://cdn.example.com/avatars/0a1b"
