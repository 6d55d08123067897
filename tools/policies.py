"""Writes the IAM policies that people attach, one file each in docs/policies/: `python -m tools.policies`.

They are what the pipelines' deploy role has, so that whoever is not a pipeline needs no more than one. `<environment>`, `<account>` and
`<region>` are to be filled in; bucket names, domains and the hosted zone are those of dev.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from environments import load_environment
from modules.base.naming import Names
from modules.base.policy import policy_document
from modules.deployment_permissions import DeploymentPermissions

DIRECTORY = Path(__file__).resolve().parent.parent / "docs" / "policies"
ENVIRONMENT, ACCOUNT, REGION = "environmentname", "999988887777", "xx-region-9"


def documents() -> Mapping[str, str]:
    """The policies as JSON, by file name."""
    environment = load_environment("dev", variables={"DEV_ACCOUNT_ID": ACCOUNT}).model_copy(
        update={"name": ENVIRONMENT, "region": REGION}
    )
    state = environment.state.model_copy(update={"key": f"multitask-platform/{ENVIRONMENT}/terraform.tfstate"})
    environment = environment.model_copy(update={"state": state})
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
    return {f"{name}.json": _placeheld(policy_document(statements)) for name, statements in policies.items()}


def _placeheld(text: str) -> str:
    for value, name in ((ENVIRONMENT, "environment"), (ACCOUNT, "account"), (REGION, "region")):
        text = text.replace(value, f"<{name}>")
    return json.dumps(json.loads(text), indent=2) + "\n"


if __name__ == "__main__":
    for name, text in documents().items():
        (DIRECTORY / name).write_text(text)
