"""Reads the schemas of the CloudFormation registry from the package cfn-lint.

The package is not installed. `download` downloads its wheel in the version of requirements.txt, and
verifies the hash.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

DIRECTORY = Path(__file__).resolve().parent
REQUIREMENTS = DIRECTORY / "requirements.txt"
TYPES = DIRECTORY / "types.yml"
SCHEMAS = "cfnlint/data/schemas/resources/"
"""The folder with the schemas in the package. Each file contains the schema of one type."""
STATEFUL = "cfnlint/data/AdditionalSpecs/StatefulResources.json"
"""The file in which cfn-lint lists the types that hold data, for which it demands a deletion
policy.
"""
PREFIXES = {
    "ApplicationAutoScaling": ("appautoscaling",),
    "CertificateManager": ("acm",),
    "CloudWatch": ("cloudwatch", "cloudwatch_metric"),
    "EC2": ("", "ec2", "vpc", "ebs"),
    "ElasticLoadBalancing": ("elb",),
    "ElasticLoadBalancingV2": ("lb", "alb"),
    "Events": ("cloudwatch_event",),
    "InspectorV2": ("inspector2",),
    "Logs": ("cloudwatch_log", "cloudwatch"),
    "Macie": ("macie2",),
    "OpenSearchService": ("opensearch",),
    "RDS": ("rds", "db"),
    "SDB": ("simpledb",),
    "SSO": ("ssoadmin",),
    "StepFunctions": ("sfn",),
}
"""For services that Terraform and CloudFormation name differently: the prefixes of Terraform's
types, by CloudFormation's name of the service."""


def locked_package() -> str:
    """Returns the package and version in requirements.txt, for example `cfn-lint==1.58.0`."""
    [package] = re.findall(r"^([\w-]+==\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    return str(package)


def download(directory: Path) -> Path:
    """Downloads the locked package and returns its path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes"]
    command += ["--requirement", str(REQUIREMENTS), "--dest", str(directory)]
    subprocess.run(command, check=True)
    [wheel] = directory.glob("*.whl")
    return wheel


def read_schemas(wheel: Path) -> Mapping[str, Mapping[str, Any]]:
    """Returns all schemas by name, for example `AWS::S3::Bucket`."""
    with zipfile.ZipFile(wheel) as package:
        names = [name for name in package.namelist() if name.startswith(SCHEMAS)]
        schemas = [json.loads(package.read(name)) for name in names if name.endswith(".json")]
    return {schema["typeName"]: schema for schema in schemas}


def read_stateful(wheel: Path) -> frozenset[str]:
    """Returns the names of the types that hold data, for example `AWS::S3::Bucket`."""
    with zipfile.ZipFile(wheel) as package:
        return frozenset(json.loads(package.read(STATEFUL))["ResourceTypes"])


def mapped_schemas() -> Mapping[str, tuple[str, ...]]:
    """Returns the schemas that types.yml names, by Terraform's type."""
    types = yaml.safe_load(TYPES.read_text())
    return {
        type_: tuple(f"AWS::{name}" for name in entry.get("schemas", ()))
        for type_, entry in types.items()
    }


def schemas_by_name(types: Iterable[str], schemas: Iterable[str]) -> Mapping[str, str]:
    """Returns the schema of each Terraform type whose name corresponds to the schema's name.

    Args:
        types: the types that the provider's schema contains.
        schemas: the names of the schemas in the registry.
    """
    by_name = {_squeezed(type_.removeprefix("aws_")): type_ for type_ in types}
    schema_of_type: dict[str, str] = {}
    for schema in sorted(schemas):
        vendor, service, resource = schema.split("::")[:3]
        if vendor == "AWS":
            names = set(_names(service, resource)) & by_name.keys()
            schema_of_type |= {by_name[name]: schema for name in names}
    return schema_of_type


def _names(service: str, resource: str) -> Iterable[str]:
    """Yields names that Terraform may use for a resource, in lower case and without underscores."""
    # AWS::RDS::DBCluster is aws_rds_cluster, and AWS::Backup::BackupVault is aws_backup_vault.
    shorter = re.sub(rf"^({service}|DB|Cache)(?=[A-Z])", "", resource)
    resources = {resource, shorter}
    if resource == "DBInstance":
        resources.add("ClusterInstance")
    for prefix in PREFIXES.get(service, (service,)):
        yield from (_squeezed(f"{prefix}{name}") for name in resources)


def _squeezed(name: str) -> str:
    return name.replace("_", "").lower()
