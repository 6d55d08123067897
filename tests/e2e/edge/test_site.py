"""Tests the status page through the embedded CloudFront."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ops.deployment.site.project_site import LICENSE, build_project_site
from tests.e2e.support.api_client import Api, ApiResponse
from tests.e2e.support.platform import Platform


@pytest.fixture
def site(platform: Platform) -> Api:
    """Returns an API client that connects to loopback, because not every resolver knows
    *.localhost.
    """
    return Api(platform.cloud.endpoint or "", is_described=False)


@pytest.fixture(scope="module")
def built_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a directory with the site that is built from the checkout."""
    directory = tmp_path_factory.mktemp("site")
    build_project_site(directory)
    return directory


def fetch_page(platform: Platform, site: Api, path: str) -> ApiResponse:
    return site.get(path, headers={"Host": urlsplit(platform.site_url).netloc})


def test_the_page_is_served_with_security_headers(
    platform: Platform, site: Api, built_site: Path
) -> None:
    response = fetch_page(platform, site, "/")
    assert response.status == 200
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.body == (built_site / "index.html").read_bytes()
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"]
    assert "max-age=" in response.headers["Strict-Transport-Security"]
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy or "default-src 'self'" in policy
    assert "unsafe-inline" not in policy


def test_assets_are_named_by_their_content_and_cached_permanently(
    platform: Platform, site: Api, built_site: Path
) -> None:
    assets = [file for file in (built_site / "assets").iterdir() if file.name != LICENSE]
    assert len(assets) > 5
    for file in assets:
        response = fetch_page(platform, site, f"/{file.relative_to(built_site).as_posix()}")
        assert response.body == file.read_bytes(), file
        assert "immutable" in response.headers["Cache-Control"]


def test_config_json_has_the_platforms_addresses(platform: Platform, site: Api) -> None:
    config = fetch_page(platform, site, "/config.json").expect(200)
    assert config == {
        "environment": "local",
        "apiUrl": platform.api_url,
        "wsUrl": platform.ws_url,
        "healthUrl": platform.outputs["health_url"],
    }


def test_paths_without_a_file_extension_serve_the_page_and_missing_files_are_not_found(
    platform: Platform, site: Api
) -> None:
    assert fetch_page(platform, site, "/some/spa/path").body == fetch_page(platform, site, "/").body
    assert fetch_page(platform, site, "/missing.js").status in {403, 404}


def test_the_bucket_is_not_public(platform: Platform, site: Api) -> None:
    assert site.get(f"/{platform.outputs['frontend_bucket']}/index.html").status == 403
