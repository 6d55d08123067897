"""Tests the site that comes with the project, and when a deployment publishes it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import boto3
import pytest

from ops.cloud import Cloud
from ops.deployment.site.files import read_site
from ops.deployment.site.operations import publish_project_site, publish_under_lock
from ops.deployment.site.project_site import DESCRIPTION, LICENSE, WEB, build_project_site
from ops.errors import OperatorError
from tests.ops.deployment.site.test_publisher import OUTPUTS
from tests.ops.traffic.releases import make_ledger


@pytest.fixture
def built(tmp_path: Path) -> Path:
    build_project_site(tmp_path)
    return tmp_path


@pytest.fixture
def s3(cloud: Cloud) -> Any:
    make_ledger(cloud)
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="front")
    return client


def read_index(s3: Any) -> str:
    return str(s3.get_object(Bucket="front", Key="index.html")["Body"].read().decode())


def test_all_assets_are_cached_as_immutable_and_pages_are_revalidated(built: Path) -> None:
    files = read_site(built).files
    revalidated = {name for name, file in files.items() if not file.is_immutable}
    assert revalidated == {"index.html", "reference.html", f"assets/{LICENSE}"}
    assert len(files) > len(revalidated)


def test_the_api_reference_loads_only_files_of_the_site(built: Path) -> None:
    page = (built / "reference.html").read_text()
    for address in re.findall(r'(?:href|src)="([^"]+)"', page):
        assert (built / address).is_file(), address
    [description] = built.glob("assets/openapi-*.json")
    assert f'href="assets/{description.name}"' in page
    assert json.loads(description.read_text()) == json.loads(DESCRIPTION.read_text())


def test_a_page_that_refers_to_a_missing_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "index.html").write_text('<link href="style.css">')
    with pytest.raises(OperatorError, match="refers to style.css, which is missing"):
        build_project_site(tmp_path / "built", tmp_path / "web")


def test_pages_contain_no_inline_code() -> None:
    for page in WEB.rglob("*.html"):
        text = page.read_text()
        assert "<style" not in text
        assert " style=" not in text
        assert " onclick=" not in text
        assert text.count("<script") == text.count("<script src=")


def test_a_deployment_publishes_the_projects_site_unless_another_was_published(
    cloud: Cloud, s3: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "index.html" in publish_project_site(cloud, OUTPUTS)
    assert "status" in read_index(s3)
    assert publish_project_site(cloud, OUTPUTS) == []
    (tmp_path / "index.html").write_text("front end")
    publish_under_lock(cloud, OUTPUTS, tmp_path)
    changed = {**OUTPUTS, "api_url": "https://other.example.com"}
    assert publish_project_site(cloud, changed) == ["config.json"]
    assert read_index(s3) == "front end"
    assert f"Kept the site that was published from {tmp_path}" in capsys.readouterr().err
    publish_under_lock(cloud, OUTPUTS)
    assert "status" in read_index(s3)


def test_hidden_files_and_unreachable_pages_are_reported(
    cloud: Cloud, s3: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "index.html").write_text("front end")
    (tmp_path / ".env").write_text("SECRET=1")
    (tmp_path / "about").mkdir()
    (tmp_path / "about" / "index.html").write_text("about")
    publish_under_lock(cloud, OUTPUTS, tmp_path)
    reported = capsys.readouterr().err
    assert "Not published: .env" in reported
    assert "show index.html, not about/index.html: set `site_routes: pages`" in reported
    several_pages = cloud.environment.model_copy(update={"site_routes": "pages"})
    publish_under_lock(dataclasses.replace(cloud, environment=several_pages), OUTPUTS, tmp_path)
    assert "site_routes" not in capsys.readouterr().err
