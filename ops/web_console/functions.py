"""Lists functions with their traffic, versions, releases, configuration and permissions."""

from __future__ import annotations

from typing import Any

from ops.functions.versions import Functions
from ops.terraform.policies import Statement, statements
from ops.traffic.ledger import Ledger
from ops.web_console.source import Source

LISTED_VERSIONS = 10
"""Number of a function's versions that the console lists."""


def list_functions(source: Source) -> list[dict[str, Any]]:
    """Returns each function with its live version, weights and settings."""
    functions = Functions(source.cloud(), source.outputs()["functions"])
    pages = functions.client.get_paginator("list_functions").paginate()
    configurations = {item["FunctionName"]: item for page in pages for item in page["Functions"]}
    result = []
    for service, name in sorted(functions.names.items()):
        live = functions.live(service)
        settings = configurations.get(name, {})
        result.append(
            {
                "service": service,
                "name": name,
                "version": live.version,
                "weights": live.weights,
                "memory": settings.get("MemorySize"),
                "timeout": settings.get("Timeout"),
                "runtime": settings.get("Runtime"),
                "modified": settings.get("LastModified"),
            }
        )
    return result


def describe_function(source: Source, service: str) -> dict[str, Any]:
    """Returns a function's live version, latest versions with their releases, and IAM
    permissions.
    """
    outputs = source.outputs()
    source.name("functions", service)
    functions = Functions(source.cloud(), outputs["functions"])
    live = functions.live(service)
    settings = functions.configuration(service, live.version)
    releases = Ledger(source.cloud()).history(service)
    released = {record.to_version: record for record in reversed(releases)}
    role = outputs["roles"][service]
    return {
        "service": service,
        "name": functions.names[service],
        "version": live.version,
        "weights": live.weights,
        "versions": [
            {
                "number": version.number,
                "modified": version.modified,
                "release": released.get(version.number),
            }
            for version in reversed(functions.versions(service)[-LISTED_VERSIONS:])
        ],
        "configuration": {
            "memory (MB)": settings.get("MemorySize"),
            "timeout (s)": settings.get("Timeout"),
            "runtime": settings.get("Runtime"),
            "architecture": ", ".join(settings.get("Architectures", [])),
            "handler": settings.get("Handler"),
            "role": role,
            "layers": len(settings.get("Layers", [])),
            "VPC": bool(settings.get("VpcConfig", {}).get("VpcId")),
        },
        "environment": settings.get("Environment", {}).get("Variables", {}),
        "permissions": [
            line
            for policy in source.policies()
            if policy["role"] == role
            for statement in statements(policy["policy"])
            for line in describe_permission(statement)
        ],
    }


def describe_permission(statement: Statement) -> list[str]:
    """Returns a sentence for each resource, such as `may PutItem on chat-messages-dev`."""
    actions = ", ".join(action.partition(":")[2] or action for action in statement.written_actions)
    verb = "may" if statement.allows else "must not"
    verb += " do everything except" if statement.excludes_actions else ""
    exception = "everything except " if statement.excludes_resources else ""
    keys = ", ".join(dict.fromkeys(condition.key for condition in statement.conditions))
    condition = f", depending on {keys}" if keys else ""
    names = dict.fromkeys(_short(resource) for resource in statement.resources)
    return [f"{verb} {actions} on {exception}{name}{condition}" for name in names]


def _short(arn: str) -> str:
    if arn == "*":
        return "every resource"
    parts = arn.split(":", 5)
    name = parts[5] if len(parts) > 5 else arn
    kind, _, rest = name.partition("/")
    return rest if rest and kind in {"table", "function", "role", "userpool", "event-bus"} else name
