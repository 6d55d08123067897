"""Writes software bills of materials of the functions and the site.

    python -m tools.sbom

Writes CycloneDX files to .build/sbom: functions.cdx.json, with the packages in the functions' zips,
and site.cdx.json, with the npm packages of the published site. Then writes docs/licences.md, which
lists their SPDX licences.
"""

from __future__ import annotations

import json
import os
import subprocess
import venv
from collections.abc import Iterator
from typing import Any

from ops.root import PROJECT
from tools.wheelhouse import install_pins

OUT = PROJECT / ".build" / "sbom"
GENERATOR = PROJECT / "tools" / "sbom" / ".venv" / "bin" / "cyclonedx-py"
PAGE = PROJECT / "docs" / "licences.md"
REVIEWED = {"emoji": "BSD-3-Clause", "pg8000": "BSD-3-Clause"}
"""SPDX licences of packages whose metadata says only `BSD License`, determined from their licence
files.
"""
HEAD = """\
# Which licences do the shipped packages have

`make sbom` writes this page, from the metadata of the packages. It lists what a release contains:
packages in the functions' zips, and npm packages of the published site. The commands and tests use
further packages, which are not shipped.

| package | version | licence (SPDX) | part of |
| --- | --- | --- | --- |
"""


def read_pins() -> set[str]:
    """Returns the `name==version` pins of all functions."""
    files = (PROJECT / "lambdas").glob("*/requirements.txt")
    lines = [line.partition("#")[0].strip() for file in files for line in file.open()]
    return {line for line in lines if line}


def describe_functions() -> dict[str, Any]:
    """Returns the CycloneDX document of the packages in the functions' zips."""
    environment = OUT / "functions"
    venv.create(environment, clear=True)
    install_pins(environment, read_pins())
    command = [
        str(GENERATOR),
        "environment",
        "--output-reproducible",
        f"--pyproject={PROJECT / 'pyproject.toml'}",
        str(environment / "bin" / "python"),
    ]
    return _run(command)


def describe_site() -> dict[str, Any]:
    """Returns the CycloneDX document of the npm packages that the site contains."""
    command = ["npm", "sbom", "--sbom-format=cyclonedx", "--package-lock-only", "--omit=dev"]
    return _run(command)


def _run(command: list[str]) -> dict[str, Any]:
    result = subprocess.run(
        command, cwd=PROJECT, env=os.environ, capture_output=True, text=True, check=True
    )
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def read_licences(document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yields name, version and SPDX licence of each package in a CycloneDX document."""
    for component in document["components"]:
        licences = {
            entry.get("expression") or entry["license"].get("id") or entry["license"]["name"]
            for entry in component.get("licenses", [])
        }
        licence = REVIEWED.get(component["name"]) or " AND ".join(sorted(licences)) or "unknown"
        yield component["name"], component["version"], licence


def main() -> None:
    """Writes the bills of materials to .build/sbom, and docs/licences.md."""
    OUT.mkdir(parents=True, exist_ok=True)
    rows = []
    for part, document in (("functions", describe_functions()), ("site", describe_site())):
        (OUT / f"{part}.cdx.json").write_text(json.dumps(document, indent=2) + "\n")
        rows += [
            f"| {name} | {version} | {licence} | {part} |\n"
            for name, version, licence in sorted(read_licences(document))
        ]
    PAGE.write_text(HEAD + "".join(rows))


if __name__ == "__main__":
    main()
