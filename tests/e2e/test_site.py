"""The status page, through the embedded CloudFront."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from ops.deployment.site import Site, build
from tests.e2e.support import Answer, Api, Platform


@pytest.fixture
def site(platform: Platform) -> Api:
    """The site's distribution, addressed by its Host header: not every resolver knows names below localhost."""
    return Api(platform.cloud.endpoint or "")


@pytest.fixture
def published(platform: Platform) -> Site:
    """What the checkout's site is for this platform."""
    return build("local", platform.outputs)


def get(platform: Platform, site: Api, path: str) -> Answer:
    return site.get(path, headers={"Host": urlsplit(platform.site_url).netloc})


def test_the_page_is_served_with_security_headers(
    platform: Platform, site: Api, published: Site
) -> None:
    answer = get(platform, site, "/")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.body == published.page
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"]
    assert "max-age=" in answer.headers["Strict-Transport-Security"]
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy or "default-src 'self'" in policy
    assert "unsafe-inline" not in policy


def test_assets_are_named_by_their_content_and_kept_for_good(
    platform: Platform, site: Api, published: Site
) -> None:
    assert len(published.assets) == 3
    for key, content in published.assets.items():
        answer = get(platform, site, f"/{key}")
        assert answer.body == content, key
        assert "immutable" in answer.headers["Cache-Control"]
        assert key.encode() in published.page


def test_the_page_is_told_where_the_platform_is(platform: Platform, site: Api) -> None:
    config = get(platform, site, "/config.json").expect(200)
    assert config == {
        "environment": "local",
        "apiUrl": platform.api_url,
        "wsUrl": platform.ws_url,
        "healthUrl": platform.outputs["health_url"],
    }


def test_paths_of_a_single_page_serve_it_and_missing_files_do_not(
    platform: Platform, site: Api
) -> None:
    assert get(platform, site, "/some/spa/path").body == get(platform, site, "/").body
    assert get(platform, site, "/missing.js").status in {403, 404}


def test_the_bucket_itself_is_closed(platform: Platform, site: Api) -> None:
    assert site.get(f"/{platform.outputs['frontend_bucket']}/index.html").status == 403
