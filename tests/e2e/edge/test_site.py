"""Tests the status page through the embedded CloudFront."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from ops.deployment.site import Site, build
from tests.e2e.support.api_client import Api, ApiResponse
from tests.e2e.support.platform import Platform


@pytest.fixture
def site(platform: Platform) -> Api:
    """Returns an API client for loopback, since not every resolver knows *.localhost."""
    return Api(platform.cloud.endpoint or "")


@pytest.fixture
def built_site(platform: Platform) -> Site:
    """Returns the checkout's site with this platform's config.json."""
    return build("local", platform.outputs)


def fetch_page(platform: Platform, site: Api, path: str) -> ApiResponse:
    return site.get(path, headers={"Host": urlsplit(platform.site_url).netloc})


def test_the_page_is_served_with_security_headers(
    platform: Platform, site: Api, built_site: Site
) -> None:
    response = fetch_page(platform, site, "/")
    assert response.status == 200
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.body == built_site.page
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"]
    assert "max-age=" in response.headers["Strict-Transport-Security"]
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy or "default-src 'self'" in policy
    assert "unsafe-inline" not in policy


def test_assets_are_named_by_their_content_and_cached_permanently(
    platform: Platform, site: Api, built_site: Site
) -> None:
    assert len(built_site.assets) == 3
    for key, content in built_site.assets.items():
        response = fetch_page(platform, site, f"/{key}")
        assert response.body == content, key
        assert "immutable" in response.headers["Cache-Control"]
        assert key.encode() in built_site.page


def test_config_json_has_the_platforms_addresses(platform: Platform, site: Api) -> None:
    config = fetch_page(platform, site, "/config.json").expect(200)
    assert config == {
        "environment": "local",
        "apiUrl": platform.api_url,
        "wsUrl": platform.ws_url,
        "healthUrl": platform.outputs["health_url"],
    }


def test_page_paths_serve_the_page_and_missing_files_are_not_found(
    platform: Platform, site: Api
) -> None:
    assert fetch_page(platform, site, "/some/spa/path").body == fetch_page(platform, site, "/").body
    assert fetch_page(platform, site, "/missing.js").status in {403, 404}


def test_the_bucket_is_not_public(platform: Platform, site: Api) -> None:
    assert site.get(f"/{platform.outputs['frontend_bucket']}/index.html").status == 403
