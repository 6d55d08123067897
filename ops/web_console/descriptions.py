"""Reads AWS's service descriptions in a form that takes little memory."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

from botocore.loaders import JSONFileLoader, Loader


class ShortFiles(JSONFileLoader):
    """Reads botocore's files without their documentation, which is more than half of their size."""

    def load_file(self, file_path: str) -> Any:
        """Returns the content of the file with this path and one of botocore's endings, or None."""
        for ending, read in ((".json", Path.read_bytes), (".json.gz", _unpack)):
            file = Path(file_path + ending)
            if file.is_file():
                return json.loads(read(file), object_hook=_shorten)
        return None


def _unpack(file: Path) -> bytes:
    return gzip.decompress(file.read_bytes())


def _shorten(value: dict[str, Any]) -> dict[str, Any]:
    """Replaces documentation by empty texts, and shares equal names in memory."""
    names = {key: sys.intern(item) for key, item in value.items() if isinstance(item, str)}
    if "documentation" in names:
        names["documentation"] = ""
    return value | names


def short_loader() -> Loader:
    """Returns botocore's loader with short descriptions."""
    return Loader(file_loader=ShortFiles())
