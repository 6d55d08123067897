"""Writes the operators' IAM policy for people to attach: `python -m tools.operator_policy > docs/policies/operator.json`.

It is the same that the pipelines' deploy role has for releases. `<environment>`, `<account>` and `<region>` are to be filled in; the bucket
names are those of the defaults.
"""

from __future__ import annotations

import json

from environments import load_environment
from modules.base.naming import Names
from modules.base.policy import policy_document
from modules.deployment_permissions import DeploymentPermissions

ENVIRONMENT, ACCOUNT, REGION = "environmentname", "999988887777", "xx-region-9"


def document() -> str:
    """The policy, as JSON."""
    environment = load_environment("dev", variables={"DEV_ACCOUNT_ID": ACCOUNT}).model_copy(
        update={"name": ENVIRONMENT, "region": REGION}
    )
    state = environment.state.model_copy(update={"key": f"multitask-platform/{ENVIRONMENT}/terraform.tfstate"})
    environment = environment.model_copy(update={"state": state})
    text = policy_document(DeploymentPermissions(environment, Names(environment)).releases())
    for value, name in ((ENVIRONMENT, "environment"), (ACCOUNT, "account"), (REGION, "region")):
        text = text.replace(value, f"<{name}>")
    return json.dumps(json.loads(text), indent=2) + "\n"


if __name__ == "__main__":
    print(document(), end="")
