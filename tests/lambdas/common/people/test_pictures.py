"""URLs of pictures."""

import pytest

from lambdas.common.people.pictures import PictureSettings
from lambdas.common.settings import SettingsError, read

ENVIRON = {"STAGE": "dev", "REGION": "us-east-1", "CLOUDFRONT_DOMAIN": "cdn.example.com"}


@pytest.mark.parametrize(
    ("more", "scheme"), [({}, "https"), ({"CLOUDFRONT_SCHEME": "http"}, "http")]
)
def test_pictures_have_urls_of_the_cdn(more: dict[str, str], scheme: str) -> None:
    settings = read(PictureSettings, {**ENVIRON, **more})
    assert settings.picture_url("avatars/0a1b") == f"{scheme}://cdn.example.com/avatars/0a1b"


def test_other_schemes_are_rejected() -> None:
    with pytest.raises(SettingsError):
        read(PictureSettings, {**ENVIRON, "CLOUDFRONT_SCHEME": "ftp"})
