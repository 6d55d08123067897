"""Reads the files of a built front end, and chooses the headers under which each is served."""

from __future__ import annotations

import hashlib
import json
import mimetypes
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from ops.errors import OperatorError

INDEX = "index.html"
CONFIG = "config.json"
IMMUTABLE = "public, max-age=31536000, immutable"
"""Cache-Control of assets. One year is the conventional maximum of max-age."""
REVALIDATE = "no-cache"
"""Cache-Control of other files. Browsers and CloudFront check for a newer version before each
use.
"""

_GENERATED_FOLDERS = ("_app/immutable/", "_astro/", "_next/static/", "_nuxt/")
"""Folders to which only SvelteKit, Astro, Next and Nuxt write. All their files are immutable."""
_VITE_FOLDER = "assets/"
"""The folder of Vite's output. It can also contain images with ordinary names."""
_HASH = re.compile(r"(?:^|[.-])(?P<hash>[0-9A-Za-z_-]{8}|[0-9a-f]{8,64}|[0-9A-Z]{8,13})$")
"""A content hash at the end of a name: Vite writes index-DiwrgTda.js, webpack main.8e1d37fd.js."""
_WORDS = re.compile(r"(?:[a-z]{2,})?(?:[A-Z]+[a-z]{2,})*[A-Z]*[0-9]*|[0-9]+x[0-9]+")
"""Words, numbers and sizes, which can be as long as a hash: darkMode, version2, 20261129, 512x1024.
If a hash is mistaken for a word, browsers make an additional request. If a word is mistaken for a
hash, browsers can show an old file for a year.
"""

_TYPES = {
    ".avif": "image/avif",
    ".cjs": "text/javascript",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".jsonld": "application/ld+json",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}
"""Media types by file suffix. Python does not know these types, or its versions differ in them."""
_TYPES_BY_NAME = {"apple-app-site-association": "application/json"}
# `filenames=()` ignores the media types that the operating system lists, so that every machine
# publishes the same types.
_KNOWN_TYPES = mimetypes.MimeTypes(filenames=())


@dataclass(frozen=True)
class SiteFile:
    """A file of a site, and its response headers."""

    md5: str
    """The digest of the content in hexadecimal. S3 returns it as the ETag."""
    content_type: str
    cache_control: str

    @property
    def is_immutable(self) -> bool:
        """True if the content never changes under this name."""
        return self.cache_control == IMMUTABLE


@dataclass(frozen=True)
class Site:
    """A built front end.

    Attributes:
        files: The files by name. A name is the path below the directory, with slashes.
        skipped: Names of files that are not published, because they are hidden, or because the
            platform writes a file of the same name.
    """

    directory: Path
    files: Mapping[str, SiteFile]
    skipped: Sequence[str] = ()

    @property
    def manifest(self) -> str:
        """The list of files as JSON."""
        return format_manifest(self.files)

    @property
    def digest(self) -> str:
        """ID of the site. It changes if a file or its headers change."""
        return hashlib.sha256(self.manifest.encode()).hexdigest()[:16]


def read_site(directory: Path, immutable: Sequence[str] | None = None) -> Site:
    """Reads the output directory of a front end's build.

    Args:
        immutable: Patterns of the names that contain a hash of the content, for example
            `static/*`. By default, `is_content_hashed` decides.

    Raises:
        OperatorError: The directory has no index.html, or contains node_modules.
    """
    if not (directory / INDEX).is_file():
        raise OperatorError(
            f"{directory} has no {INDEX}: build the front end, and pass the directory that the"
            " build wrote, for example dist"
        )
    if (directory / "node_modules").exists():
        raise OperatorError(
            f"{directory} contains node_modules, so it is the front end's source: pass the"
            " directory that the build wrote"
        )
    files: dict[str, SiteFile] = {}
    skipped: list[str] = []
    for path in sorted(directory.rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(directory).as_posix()
        if name == CONFIG or _is_hidden(name):
            skipped.append(name)
            continue
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
        files[name] = SiteFile(
            digest.hexdigest(), content_type(name), _cache_control(name, immutable)
        )
    return Site(directory, files, skipped)


def is_content_hashed(name: str) -> bool:
    """Returns True if a build tool put a hash of the content into the file's name."""
    path = PurePosixPath(name)
    if name.startswith(_GENERATED_FOLDERS):
        return True
    match = _HASH.search(path.stem)
    if match is None:
        return False
    if name.startswith(_VITE_FOLDER) and path.suffix in {".js", ".css"}:
        return True
    return not all(_WORDS.fullmatch(part) for part in re.split("[_-]", match["hash"]))


def content_type(name: str) -> str:
    """Returns the media type of a file, with the character set if it is text."""
    path = PurePosixPath(name)
    guessed, encoding = _KNOWN_TYPES.guess_type(path.name)
    type_ = _TYPES.get(path.suffix.lower()) or _TYPES_BY_NAME.get(path.name) or guessed
    if type_ is None or encoding:
        return "application/octet-stream"
    return f"{type_}; charset=utf-8" if type_.startswith("text/") else type_


def format_manifest(files: Mapping[str, SiteFile]) -> str:
    """Returns the list of files as JSON."""
    listed = {
        name: [file.md5, file.content_type, file.cache_control] for name, file in files.items()
    }
    return json.dumps(listed, sort_keys=True, separators=(",", ":"))


def parse_manifest(text: str | bytes) -> dict[str, SiteFile]:
    """Returns the files in a list that `format_manifest` wrote."""
    return {name: SiteFile(*values) for name, values in json.loads(text).items()}


def _cache_control(name: str, immutable: Sequence[str] | None) -> str:
    # The hash in the name of a source map is the hash of its script. The map can change although
    # the script and the hash do not, so browsers must check for a newer map.
    if PurePosixPath(name).suffix in {".html", ".map"}:
        return REVALIDATE
    if immutable is None:
        return IMMUTABLE if is_content_hashed(name) else REVALIDATE
    return IMMUTABLE if any(fnmatchcase(name, item) for item in immutable) else REVALIDATE


def _is_hidden(name: str) -> bool:
    """Returns True for .git, .env, .DS_Store and the like, but not for .well-known."""
    return any(part.startswith(".") for part in name.removeprefix(".well-known/").split("/"))
