"""Updates handlers.json, the IAM actions that AWS lists for managing each resource type.

AWS publishes a schema for each type in the CloudFormation registry. The schema lists the IAM
actions that the handlers of create, read, update, delete and list need. The package cfn-lint
contains all schemas. This command downloads the version in requirements.txt, verifies its hash, and
extracts the types that types.yml names, so that the tests need neither the package nor a network.

python -m tools.aws_schemas
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from tools.aws_schemas.registry import (
    DIRECTORY,
    TYPES,
    download,
    locked_package,
    mapped_schemas,
    read_schemas,
)

HANDLERS = DIRECTORY / "handlers.json"


def wanted_schemas() -> set[str]:
    """Returns the schemas that types.yml names, for example `AWS::S3::Bucket`."""
    return {name for names in mapped_schemas().values() for name in names}


def handlers(wheel: Path, wanted: Collection[str]) -> Mapping[str, Mapping[str, list[str]]]:
    """Returns the IAM actions that each handler needs, by schema.

    Raises:
        SystemExit: The package lacks a schema, or a schema lists no permissions.
    """
    actions = {
        name: {
            handler: sorted(set(content.get("permissions", ())))
            for handler, content in sorted(schema.get("handlers", {}).items())
        }
        for name, schema in sorted(read_schemas(wheel).items())
        if name in wanted
    }
    missing = sorted(name for name in wanted if not any(actions.get(name, {}).values()))
    if missing:
        raise SystemExit(
            f"{wheel.name} lists no permissions for {', '.join(missing)}: correct these names in"
            f" {TYPES}"
        )
    return actions


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        actions = handlers(download(Path(directory)), wanted_schemas())
    document = {"package": locked_package(), "handlers": actions}
    HANDLERS.write_text(json.dumps(document, indent=1) + "\n")
    print(HANDLERS)


if __name__ == "__main__":
    main()
