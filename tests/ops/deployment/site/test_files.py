"""Tests which names count as content-hashed, content types, and which directories are rejected."""

from __future__ import annotations

import random
import string
from pathlib import Path

import pytest

from ops.deployment.site.files import (
    IMMUTABLE,
    content_type,
    format_manifest,
    is_content_hashed,
    parse_manifest,
    read_site,
)
from ops.errors import OperatorError

HASHED = [
    "assets/index-DiwrgTda.js",
    "assets/index-B-x_9aZk.css",
    "assets/inter-latin-400-normal-C38fXH4l.woff2",
    "_astro/about.DgEhK_X2.css",
    "_next/static/chunks/app/page-3b1a2f4c5d6e7f80.js",
    "_next/static/media/e4af272ccee01ff0-s.p.woff2",
    "_app/immutable/entry/start.B0ZQ3v1k.js",
    "_nuxt/BKd8x_2a.js",
    "main.8e1d37fd.js",
    "static/media/logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg",
    "main-5BGQ3MLR.js",
]
"""Names from the output of Vite, Astro, Next, SvelteKit, Nuxt, webpack and Angular."""
NOT_HASHED = [
    "index.html",
    "favicon.svg",
    "robots.txt",
    "sw.js",
    "assets/hero-darkMode.png",
    "assets/photo-20261129.jpg",
    "assets/photo-IMG_2026.jpg",
    "assets/icon-512x1024.png",
    "assets/guide-chapter1.pdf",
    "react.production.min.js",
    "jquery-3.7.1.min.js",
    "hello-document.js",
]


@pytest.mark.parametrize("name", HASHED)
def test_hashed_names_of_build_tools_are_recognized(name: str) -> None:
    assert is_content_hashed(name)


@pytest.mark.parametrize("name", NOT_HASHED)
def test_words_dates_and_sizes_are_not_recognized_as_hashes(name: str) -> None:
    assert not is_content_hashed(name)


def test_all_hashed_scripts_of_vite_and_most_hashed_images_are_recognized() -> None:
    generator = random.Random(1)  # noqa: S311 (not a secret)
    alphabet = string.ascii_letters + string.digits + "-_"
    hashes = ["".join(generator.choices(alphabet, k=8)) for _ in range(2000)]
    assert all(is_content_hashed(f"assets/index-{item}.js") for item in hashes)
    images = sum(is_content_hashed(f"assets/logo-{item}.png") for item in hashes)
    assert images > 0.9 * len(hashes)


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("app.mjs", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("robots.txt", "text/plain; charset=utf-8"),
        ("LOGO.SVG", "image/svg+xml"),
        ("photo.avif", "image/avif"),
        ("photo.webp", "image/webp"),
        ("favicon.ico", "image/x-icon"),
        ("inter.woff2", "font/woff2"),
        ("module.wasm", "application/wasm"),
        ("app.webmanifest", "application/manifest+json"),
        ("app.js.map", "application/json"),
        ("data.json", "application/json"),
        ("feed.xml", "application/xml"),
        (".well-known/apple-app-site-association", "application/json"),
        ("archive.tar.gz", "application/octet-stream"),
        ("LICENSE", "application/octet-stream"),
    ],
)
def test_content_types_do_not_depend_on_the_machine(name: str, type_: str) -> None:
    assert content_type(name) == type_


def write(directory: Path, *names: str) -> Path:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(name)
    return directory


def test_hidden_files_and_the_config_json_of_the_build_are_not_published(tmp_path: Path) -> None:
    site = read_site(
        write(
            tmp_path,
            "index.html",
            "config.json",
            ".env",
            ".vite/manifest.json",
            ".well-known/security.txt",
            "a b/é.txt",
        )
    )
    assert list(site.files) == [".well-known/security.txt", "a b/é.txt", "index.html"]
    assert site.skipped == [".env", ".vite/manifest.json", "config.json"]


def test_only_files_that_match_the_given_patterns_are_immutable(tmp_path: Path) -> None:
    write(tmp_path, "index.html", "assets/a-DiwrgTda.js", "static/a.js", "static/a.js.map")
    site = read_site(tmp_path, ["static/*"])
    assert [name for name, file in site.files.items() if file.is_immutable] == ["static/a.js"]
    assert site.files["static/a.js"].cache_control == IMMUTABLE


def test_a_manifest_contains_the_files_and_their_headers(tmp_path: Path) -> None:
    files = read_site(write(tmp_path, "index.html", "assets/a-DiwrgTda.js")).files
    assert parse_manifest(format_manifest(files)) == files


def test_a_directory_of_unbuilt_sources_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="has no index.html: build the front end"):
        read_site(write(tmp_path, "src/main.ts"))
    with pytest.raises(OperatorError, match="contains node_modules"):
        read_site(write(tmp_path, "index.html", "node_modules/vite/index.js"))
