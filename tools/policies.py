"""Writes the IAM policies that people attach: what the pipelines' deploy role has, so that whoever is not a pipeline needs no more.

python -m tools.policies                       docs/policies/, with <environment>, <account> and <region> left open
python -m tools.policies staging DIRECTORY     those of one environment, to be attached as they are
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from environments import Environment, load_environment
from modules.base.naming import Names
from modules.base.policy import policy_document
from modules.deployment_permissions import DeploymentPermissions

DIRECTORY = Path(__file__).resolve().parent.parent / "docs" / "policies"
ENVIRONMENT, ACCOUNT, REGION = "environmentname", "999988887777", "xx-region-9"


def documents() -> Mapping[str, str]:
    """The policies as JSON, by file name, with `<environment>`, `<account>` and `<region>`; all else is dev's."""
    environment = load_environment("dev", variables={"DEV_ACCOUNT_ID": ACCOUNT}).model_copy(
        update={"name": ENVIRONMENT, "region": REGION}
    )
    state = environment.state.model_copy(
        update={"key": f"multitask-platform/{ENVIRONMENT}/terraform.tfstate"}
    )
    policies = documents_of(environment.model_copy(update={"state": state}))
    return {name: _placeheld(text) for name, text in policies.items()}


def documents_of(environment: Environment) -> Mapping[str, str]:
    """The policies of one environment as JSON, by file name."""
    may = DeploymentPermissions(environment, Names(environment))
    policies = {
        "operator": may.releases(),
        "deploy-state": may.state(write=True),
        "deploy-functions": may.functions(),
        "deploy-data": may.data(),
        "deploy-edge": may.edge(),
        "deploy-network": may.network(),
        "deploy-identity": may.identity(),
        "remove-identity": may.removal(),
    }
    return {
        f"{name}.json": _indented(policy_document(statements))
        for name, statements in policies.items()
    }


def _placeheld(text: str) -> str:
    for value, name in ((ENVIRONMENT, "environment"), (ACCOUNT, "account"), (REGION, "region")):
        text = text.replace(value, f"<{name}>")
    return text


def _indented(text: str) -> str:
    return json.dumps(json.loads(text), indent=2) + "\n"


def main() -> None:
    """Writes the files and names them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "environment", nargs="?", help="whose; without it, everybody's with names left open"
    )
    parser.add_argument("directory", nargs="?", type=Path, help="where to write them")
    arguments = parser.parse_args()
    if bool(arguments.environment) != bool(arguments.directory):
        parser.error("an environment and a directory, or neither")
    directory: Path = arguments.directory or DIRECTORY
    directory.mkdir(parents=True, exist_ok=True)
    found = (
        documents_of(load_environment(arguments.environment))
        if arguments.environment
        else documents()
    )
    for name, text in found.items():
        (directory / name).write_text(text)
        print(directory / name)


if __name__ == "__main__":
    main()
