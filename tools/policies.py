"""Writes the IAM policies that operators need to bootstrap, deploy and remove an environment.

python -m tools.policies                       docs/policies/, with placeholders
python -m tools.policies staging DIRECTORY     the policies of one environment, without placeholders
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from environments import Environment, load_environment
from environments.resource_names import PROJECT
from modules.base.naming import Names
from modules.base.policy import policy_document
from modules.deployment_permissions import DeploymentPermissions

DIRECTORY = Path(__file__).resolve().parent.parent / "docs" / "policies"
ENVIRONMENT, ACCOUNT, REGION = "environmentname", "999988887777", "xx-region-9"


def documents() -> Mapping[str, str]:
    """Returns the policies of the environment dev as JSON, by file name.

    The policies contain the placeholders `<environment>`, `<account>` and `<region>`.
    """
    environment = load_environment("dev", variables={"DEV_ACCOUNT_ID": ACCOUNT}).model_copy(
        update={"name": ENVIRONMENT, "region": REGION}
    )
    state = environment.state.model_copy(
        update={"key": f"{PROJECT}/{ENVIRONMENT}/terraform.tfstate"}
    )
    policies = documents_of(environment.model_copy(update={"state": state}))
    return {name: _with_placeholders(text) for name, text in policies.items()}


def documents_of(environment: Environment) -> Mapping[str, str]:
    """Returns the policies of one environment as JSON, by file name."""
    permissions = DeploymentPermissions(environment, Names(environment))
    policies = {
        "bootstrap": permissions.allow_bootstrap(),
        "operator": permissions.allow_releases(),
        "deploy-state": permissions.allow_state_access(write=True),
        "deploy-functions": permissions.allow_managing_functions(),
        "deploy-data": permissions.allow_managing_data_stores(),
        "deploy-edge": permissions.allow_managing_edge(),
        "deploy-network": permissions.allow_managing_network(),
        "deploy-identity": permissions.allow_managing_roles(),
        "administer-identity": permissions.allow_managing_all_roles(),
        "remove-identity": permissions.allow_removing_all_roles(),
    }
    return {
        f"{name}.json": _indented(policy_document(statements))
        for name, statements in policies.items()
    }


def _with_placeholders(text: str) -> str:
    for value, name in ((ENVIRONMENT, "environment"), (ACCOUNT, "account"), (REGION, "region")):
        text = text.replace(value, f"<{name}>")
    return text


def _indented(text: str) -> str:
    return json.dumps(json.loads(text), indent=2) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "environment",
        nargs="?",
        help="the environment (default: dev, with placeholders for values)",
    )
    parser.add_argument(
        "directory", nargs="?", type=Path, help="the output directory (default: docs/policies)"
    )
    arguments = parser.parse_args()
    if bool(arguments.environment) != bool(arguments.directory):
        parser.error("Pass both an environment and a directory, or neither")
    directory: Path = arguments.directory or DIRECTORY
    directory.mkdir(parents=True, exist_ok=True)
    policies = (
        documents_of(load_environment(arguments.environment))
        if arguments.environment
        else documents()
    )
    for name, text in policies.items():
        (directory / name).write_text(text)
        print(directory / name)


if __name__ == "__main__":
    main()
