"""Reads botocore's descriptions of AWS services in a form that takes little memory."""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
from botocore.loaders import JSONFileLoader, Loader

DOCUMENTATION = re.compile(rb'"documentation"\s*:\s*"(?:[^"\\]|\\.)*"')
"""Matches documentation texts, which are more than half of a description."""
LAZY_PARTS = {"shapes", "services"}
"""Keys of the largest parts of botocore's files: `shapes` contains the types of one service, and
`services` the endpoints of all services.
"""
Parts = dict[str, msgspec.Raw]


class LazyJsonDict(dict[str, Any]):
    """A dictionary that stores its values as JSON, and decodes a value when it is first read."""

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if isinstance(value, msgspec.Raw):
            value = self[name] = msgspec.json.decode(value)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """Returns the decoded value, or the default if the name is missing."""
        try:
            return self[name]
        except KeyError:
            return default


class ShortFiles(JSONFileLoader):
    """Reads botocore's files without their documentation. Stores the largest parts as JSON."""

    def load_file(self, file_path: str) -> Any:
        """Returns the content of the file at `file_path` plus .json or .json.gz.

        Returns None if neither file exists.
        """
        for ending, read in ((".json", Path.read_bytes), (".json.gz", _unpack)):
            file = Path(file_path + ending)
            if file.is_file():
                return _decode(msgspec.Raw(DOCUMENTATION.sub(b'"documentation":""', read(file))))
        return None


def _unpack(file: Path) -> bytes:
    return gzip.decompress(file.read_bytes())


def _decode(description: msgspec.Raw) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, part in msgspec.json.decode(description, type=Parts).items():
        if name in LAZY_PARTS:
            parts = msgspec.json.decode(part, type=Parts)
            result[name] = LazyJsonDict({key: value.copy() for key, value in parts.items()})
        elif name == "partitions":
            result[name] = list(map(_decode, msgspec.json.decode(part, type=list[msgspec.Raw])))
        else:
            result[name] = json.loads(bytes(part), object_hook=_share)
    return result


def _share(value: dict[str, Any]) -> dict[str, Any]:
    """Interns the string values of an object, so that equal strings are stored only once."""
    return {key: sys.intern(item) if isinstance(item, str) else item for key, item in value.items()}


def short_loader() -> Loader:
    """Returns a botocore loader that reads short descriptions."""
    return Loader(file_loader=ShortFiles())
