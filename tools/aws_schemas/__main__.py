"""Updates handlers.json, the IAM actions that AWS lists for managing each resource type.

AWS publishes a schema for each type in the CloudFormation registry. The schema lists the IAM
actions that the handlers of create, read, update, delete and list need. The package cfn-lint
contains all schemas. This command downloads the version in requirements.txt, verifies its hash, and
extracts the types that types.yml names, so that the tests need neither the package nor a network.

python -m tools.aws_schemas
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

DIRECTORY = Path(__file__).resolve().parent
REQUIREMENTS = DIRECTORY / "requirements.txt"
HANDLERS = DIRECTORY / "handlers.json"
TYPES = DIRECTORY / "types.yml"
SCHEMAS = "cfnlint/data/schemas/resources/"
"""The folder in the package. Each file contains the schema of one type."""


def locked_package() -> str:
    """Returns the package and version in requirements.txt, for example `cfn-lint==1.58.0`."""
    [package] = re.findall(r"^([\w-]+==\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    return str(package)


def wanted_schemas() -> set[str]:
    """Returns the schemas that types.yml names, for example `AWS::S3::Bucket`."""
    types = yaml.safe_load(TYPES.read_text())
    return {f"AWS::{name}" for entry in types.values() for name in entry.get("schemas", ())}


def download(directory: Path) -> Path:
    """Downloads the locked package and returns its path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes"]
    command += ["--requirement", str(REQUIREMENTS), "--dest", str(directory)]
    subprocess.run(command, check=True)
    [wheel] = directory.glob("*.whl")
    return wheel


def handlers(wheel: Path, wanted: Collection[str]) -> Mapping[str, Mapping[str, list[str]]]:
    """Returns the actions of each handler, by schema.

    Raises:
        SystemExit: The package lacks a schema, or a schema lists no permissions.
    """
    found: dict[str, dict[str, list[str]]] = {}
    with zipfile.ZipFile(wheel) as package:
        for name in package.namelist():
            if not name.startswith(SCHEMAS) or not name.endswith(".json"):
                continue
            schema: dict[str, Any] = json.loads(package.read(name))
            if schema["typeName"] in wanted:
                found[schema["typeName"]] = {
                    handler: sorted(set(content.get("permissions", ())))
                    for handler, content in sorted(schema.get("handlers", {}).items())
                }
    missing = sorted(name for name in wanted if not any(found.get(name, {}).values()))
    if missing:
        raise SystemExit(
            f"{wheel.name} lists no permissions for {', '.join(missing)}: correct these names in"
            f" {TYPES}"
        )
    return dict(sorted(found.items()))


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        found = handlers(download(Path(directory)), wanted_schemas())
    document = {"package": locked_package(), "handlers": found}
    HANDLERS.write_text(json.dumps(document, indent=1) + "\n")
    print(HANDLERS)


if __name__ == "__main__":
    main()
